"""What processes hold over time, as the kernel counts it: resident memory, open handles."""

import os
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Footprint", "read_process"]

_FIELDS = ("VmRSS:", "RssShmem:")


def read_process(pid: int) -> tuple[int, int, int] | None:
    """Return (resident KiB, of them private, open handles) of a process; None if it is gone.

    Private is what is not mapped shared memory: Aeron's log buffers are shared memory, become
    resident page by page as they are first used, and end at the size of the terms.
    """
    try:
        text = Path(f"/proc/{pid}/status").read_text()
        handles = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    found = {
        line.split()[0]: int(line.split()[1])
        for line in text.splitlines()
        if line.startswith(_FIELDS)
    }
    if len(found) < len(_FIELDS):
        return None  # it has ended, and waits to be buried
    resident, shared = (found[name] for name in _FIELDS)
    return resident, resident - shared, handles


@dataclass
class Footprint:
    """One service's samples, as columns.

    Attributes
    ----------
    at_s
        Since the run began.
    life
        Counts the lives of the process: another one after each restart, and where the media
        driver is another one, since a service builds itself anew then.
    """

    at_s: list[float] = field(default_factory=list)
    life: list[int] = field(default_factory=list)
    resident_kib: list[int] = field(default_factory=list)
    private_kib: list[int] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)
    _key: tuple[int, int] = (0, 0)

    def take(self, at_s: float, pid: int, driver_pid: int) -> None:
        """Add a sample, if the process is there."""
        values = read_process(pid)
        if values is None:
            return
        is_other = (pid, driver_pid) != self._key
        self._key = (pid, driver_pid)
        self.life.append((self.life[-1] if self.life else 0) + is_other)
        self.at_s.append(round(at_s, 1))
        for column, value in zip(
            (self.resident_kib, self.private_kib, self.handles), values, strict=True
        ):
            column.append(value)

    def lives(self, column: list[int], warmup_s: float) -> list[tuple[list[float], list[float]]]:
        """Return (times in s, values) of each life, without its first `warmup_s`."""
        pieces: dict[int, tuple[list[float], list[float]]] = {}
        began: dict[int, float] = {}
        for at_s, life, value in zip(self.at_s, self.life, column, strict=True):
            if at_s - began.setdefault(life, at_s) >= warmup_s:
                times, values = pieces.setdefault(life, ([], []))
                times.append(at_s)
                values.append(float(value))
        return list(pieces.values())
