"""Where a run keeps its state: the launcher says so in a file, for the commands beside it."""

import os
from pathlib import Path

import orjson
from mm_runtime.settings import RuntimeSettings

__all__ = ["announce_run", "forget_run", "state_directory"]


def _file(settings: RuntimeSettings, base: Path) -> Path:
    """Return the file of the run on this media driver: there is one run a driver."""
    name = str(settings.aeron_directory()).strip("/").replace("/", "-")
    return base / f"run-{name}.json"


def announce_run(settings: RuntimeSettings, directory: Path) -> None:
    """Say that the run on this driver keeps its state in `directory`."""
    base = Path(settings.state_directory)
    base.mkdir(parents=True, exist_ok=True)
    content = {"pid": os.getpid(), "state_directory": str(directory.resolve())}
    _file(settings, base).write_bytes(orjson.dumps(content))


def forget_run(settings: RuntimeSettings) -> None:
    """Take that back."""
    _file(settings, Path(settings.state_directory)).unlink(missing_ok=True)


def state_directory(settings: RuntimeSettings) -> Path:
    """Return where the running services keep their state.

    That is what the launcher on this driver has announced, if it lives; or else the folder of
    runtime.toml, which is right for services that were started one by one, as in containers.
    """
    base = Path(settings.state_directory)
    try:
        run = orjson.loads(_file(settings, base).read_bytes())
        os.kill(int(run["pid"]), 0)
        return Path(run["state_directory"])
    except (FileNotFoundError, ProcessLookupError):
        return base
    except PermissionError:  # it lives, and is somebody else's
        return Path(run["state_directory"])
