"""Other people's packages, each in a virtual environment of its own under var/peers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parents[1] / "var" / "peers"


def find_python(version: str) -> Path | None:
    """Return an interpreter of `version` ("3.12"): this one, on the path, or in pyenv."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    folders = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep)]
    candidates = [*sorted(pyenv.glob(f"{version}.*/bin/python3")), *folders]
    for candidate in candidates:
        python = candidate if candidate.name == "python3" else candidate / f"python{version}"
        # A shim on the path may stand for a version that is not switched on.
        if (
            python.is_file()
            and not subprocess.run([python, "-c", "import venv"], capture_output=True).returncode
        ):
            return python
    return None


def venv(name: str, requirements: list[str], python: str | None = None) -> Path | None:
    """Return the interpreter of the environment `name`, made where it is not there yet.

    Parameters
    ----------
    name : str
        Folder under var/peers.
    requirements : list of str
        What pip installs.
    python : str, optional
        Version of the interpreter ("3.12"); this one's without it.

    Returns
    -------
    Path or None
        None, said on standard error, where the interpreter is missing or the packages cannot be
        installed (no package index within reach): the comparison is left out.
    """
    wanted = json.dumps([requirements, python])
    folder = PEERS / name
    mark = folder / "installed"
    inside = folder / "bin" / "python"
    if mark.is_file() and mark.read_text() == wanted:
        return inside
    base = find_python(python) if python else Path(sys.executable)
    if base is None:
        print(f"peer {name} left out: it needs Python {python}", file=sys.stderr)
        return None
    print(f"installing {name} into {folder} ...", file=sys.stderr)
    subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
    done = subprocess.run(
        [inside, "-m", "pip", "install", "--quiet", *requirements], capture_output=True, text=True
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        print(f"peer {name} left out: {why} (is the package index reachable?)", file=sys.stderr)
        return None
    mark.write_text(wanted)
    return inside


def run(python: Path, script: str, *arguments: str) -> Any:
    """Run `script` in a peer's environment and return the JSON it prints last."""
    done = subprocess.run(
        [python, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the peer's script failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
