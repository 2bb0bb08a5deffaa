"""Child processes under supervision: started in order, restarted when they die, stopped in time."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mm_runtime.main import EXIT_CANNOT_START
from mm_runtime.process import LAUNCHER_VARIABLE

from mm_cli.forked import ForkedProcess

__all__ = ["CannotContinue", "Child", "Processes"]

log = logging.getLogger("mm_launcher")

_STABLE_S = 30.0
_MAX_BACKOFF_S = 5.0


class CannotContinue(Exception):
    """A child ended in a way that starting it anew cannot mend; the message is its own."""


@dataclass
class Child:
    """One supervised process."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    errors: Path
    process: subprocess.Popen[bytes] | ForkedProcess | None = None
    started_s: float = 0.0
    restarts: int = 0
    backoff_s: float = 0.0
    start_at_s: float = 0.0

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def last_words(self) -> str:
        """Return the last lines the process wrote to stderr."""
        if not self.errors.exists():
            return ""
        lines = self.errors.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-5:])


class Processes:
    """The children of one launcher.

    Parameters
    ----------
    directory
        Where their stderr is kept.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.children: dict[str, Child] = {}

    def add(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Register a child; `start` starts it."""
        child = Child(name, command, environment, self._directory / f"{name}.stderr")
        self.children[name] = child
        return child

    def fork(self, child: Child) -> None:
        """Start `child` as a copy of this process, which must have one thread only."""
        environment = {**child.environment, LAUNCHER_VARIABLE: str(os.getpid())}
        child.process = ForkedProcess(child.command, environment, child.errors)
        child.started_s = time.monotonic()

    def start(self, child: Child) -> None:
        """Start `child` in a session of its own, so that Ctrl-C reaches only the launcher."""
        with child.errors.open("wb") as errors:
            child.process = subprocess.Popen(
                [sys.executable, "-m", *child.command],
                env={**os.environ, **child.environment, LAUNCHER_VARIABLE: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        child.started_s = time.monotonic()

    def revive(self) -> list[str]:
        """Start anew what has died; return the names of those found dead.

        Raises
        ------
        CannotContinue
            Where a child says that starting it again is no help.
        """
        now_s = time.monotonic()
        found = []
        for child in self.children.values():
            if child.process is None:
                if child.start_at_s and now_s >= child.start_at_s:
                    child.start_at_s = 0.0
                    self.start(child)
                continue
            code = child.process.poll()
            if code is None:
                continue
            found.append(child.name)
            self._bury(child, code, now_s)
        return found

    def stop(self, names: Sequence[str], timeout_s: float) -> None:
        """Ask children to end, and end those that do not within `timeout_s`."""
        running = [self.children[name] for name in names if self.children[name].is_running]
        for child in running:
            assert child.process is not None
            child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        for child in running:
            assert child.process is not None
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("%s does not stop: killed", child.name)
                child.process.kill()
                child.process.wait()

    def _bury(self, child: Child, code: int, now_s: float) -> None:
        child.process = None
        words = child.last_words()
        if code == EXIT_CANNOT_START:
            raise CannotContinue(words or f"{child.name} cannot start")
        if now_s - child.started_s > _STABLE_S:
            child.backoff_s = 0.0
        child.start_at_s = now_s + child.backoff_s
        child.backoff_s = min(_MAX_BACKOFF_S, max(0.2, 2 * child.backoff_s))
        child.restarts += 1
        log.warning("%s ended with code %d; starting it anew. %s", child.name, code, words)
