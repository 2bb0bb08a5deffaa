"""What a process asks of the kernel about itself (Linux)."""

import ctypes
import os
import signal

__all__ = ["LAUNCHER_VARIABLE", "die_with_launcher", "share_one_heap", "sleep_precisely"]

LAUNCHER_VARIABLE = "MM_LAUNCHER"  # the launcher's process id, in its children's environment
_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1_000
_M_ARENA_MAX = -8


def die_with_launcher() -> None:
    """Let this process end with the launcher that started it, however that ends."""
    launcher = os.environ.get(LAUNCHER_VARIABLE)
    if launcher is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(launcher):  # it has died before it could be asked for
        os.kill(os.getpid(), signal.SIGTERM)


def sleep_precisely() -> None:
    """Ask for short sleeps: Linux lengthens each by up to 50 us otherwise, as long as our park."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS)


def share_one_heap() -> None:
    """Let all threads allocate from one heap (glibc).

    Else each gets an arena, and what a short-lived thread's leaves behind in holes is memory
    that malloc keeps and nobody uses: private memory would grow with every connection made.
    """
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
