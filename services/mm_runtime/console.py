"""Lines to stdout or stderr: what its reader does not take at once is dropped, and counted."""

import io
import os
import select
import sys

__all__ = ["Console"]


class Console:
    """Writes lines to a standard stream of this process, and never waits for it.

    A pipe or a terminal that nobody reads fills up, and the next write would hold up the whole
    service. Once it is read again, it is told how many lines are missing.

    Parameters
    ----------
    name
        "stdout" or "stderr": whatever that is at the time; it may be gone.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._missing = 0
        self._is_cut = False  # the last line was taken in part

    def write(self, line: str) -> None:
        """Write a line, or count it as missing."""
        text = f"{line}\n"
        if self._missing:
            text = f"({self._missing} lines are missing here: the console was full)\n{text}"
        if self._is_cut:
            text = f"\n{text}"
        data = text.encode(errors="backslashreplace")
        left = self._write(data)
        if left:
            self._missing += 1
            self._is_cut = self._is_cut or len(left) < len(data)
        else:
            self._missing, self._is_cut = 0, False

    def _write(self, data: bytes) -> bytes:
        """Write what is taken at once; return the rest."""
        stream = getattr(sys, self._name)
        if stream is None:
            return data
        try:
            file = stream.fileno()
        except io.UnsupportedOperation:  # a stream in memory takes everything
            stream.write(data.decode())
            return b""
        except ValueError:  # it is closed
            return data
        poll = select.poll()
        poll.register(file, select.POLLOUT)
        try:
            # A pipe that is ready has room for this much; for more, a write would wait.
            while data and poll.poll(0):
                data = data[os.write(file, data[: select.PIPE_BUF]) :]
        except OSError:  # it is gone: nobody is left to tell
            return data
        return data
