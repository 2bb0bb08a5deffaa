"""How far a long read is: a bar on a terminal or in a notebook, nothing elsewhere."""

import sys
import time
from typing import TextIO

__all__ = ["Progress"]

_WIDTH = 30
_EVERY_S = 0.1
_AFTER_S = 0.5  # what is over sooner needs no bar


class Progress:
    """A bar on standard error that shows itself only where someone may look at it.

    Written by hand: the library has no terminal package, and a bar is one line.

    Parameters
    ----------
    title : str
        What is being read.
    total : int
        Of the units that `advance` counts; 0 where unknown.
    shown : bool, optional
        Whether to draw; without it: where standard error is a terminal or a notebook's.
    """

    def __init__(self, title: str, total: int, shown: bool | None = None) -> None:
        self.done = 0
        self._title = title
        self._total = total
        self._out: TextIO = sys.stderr
        self._shown = _is_watched(self._out) if shown is None else shown
        self._started_s = time.monotonic()
        self._drawn_s = self._started_s + (_AFTER_S if shown is None else -_EVERY_S)
        self._width = 0  # of what is drawn

    def advance(self, units: int) -> None:
        """Say that so many units more are done."""
        self.done += units
        now_s = time.monotonic()
        if self._shown and now_s - self._drawn_s >= _EVERY_S:
            self._drawn_s = now_s
            self._draw(now_s)

    def close(self) -> None:
        """Remove the bar."""
        if self._width:
            self._out.write(f"\r{' ' * self._width}\r")
            self._out.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, now_s: float) -> None:
        share = min(1.0, self.done / self._total) if self._total else 0.0
        left_s = (now_s - self._started_s) * (1 - share) / share if share else 0.0
        bar = "#" * int(share * _WIDTH)
        text = f"{self._title} [{bar:<{_WIDTH}}] {share:4.0%}, {left_s:.0f} s left"
        # Spaces over what stood there: a notebook knows no escape sequences.
        self._width = max(self._width, len(text))
        self._out.write(f"\r{text:<{self._width}}")
        self._out.flush()


def _is_watched(out: TextIO) -> bool:
    return out.isatty() or type(out).__module__.startswith("ipykernel.")
