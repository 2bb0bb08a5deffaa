"""A child that begins as a copy of the launcher: everything imported, every kernel loaded.

Importing numba and loading compiled code costs a second of processor time in each process; a
copy of a process that has done it starts in milliseconds. Only for a launcher that still has one
thread: a restart later on is a process of its own from the start.
"""

import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from setproctitle import setproctitle

__all__ = ["ForkedProcess"]

_POLL_S = 0.01


class ForkedProcess:
    """`python -m COMMAND` in a copy of this process; as much of `subprocess.Popen` as is used.

    Parameters
    ----------
    command
        Module and arguments.
    environment
        What the child's environment has on top of ours.
    errors
        Where its stderr goes; it has no stdin and no stdout.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], errors: Path
    ) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become(command, environment, errors)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; raise subprocess.TimeoutExpired after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(_POLL_S)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _become(command: Sequence[str], environment: Mapping[str, str], errors: Path) -> None:
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        stderr = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for target, source in ((0, nothing), (1, nothing), (2, stderr)):
            os.dup2(source, target)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        os.environ.update(environment)
        module, *arguments = command
        sys.modules.pop(f"{module}.__main__", None)  # it is to run anew, whoever imported it
        sys.argv = [module, *arguments]
        setproctitle(" ".join(("python", "-m", *command)))
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        # Nothing of the launcher's own clean-up may run in the copy.
        sys.stderr.flush()
        os._exit(code)
