"""How much memory a process has had; needs nothing but the standard library."""

from pathlib import Path

__all__ = ["peak_mb"]


def peak_mb() -> float:
    """Return the most memory that this process had since it began, in megabytes.

    As the kernel counts it for the program itself: `ru_maxrss` has that of the parent in it.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no VmHWM: measured on Linux only")
