"""Hourly logs: logs/<service>.log.YYYY-MM-DD-HH in UTC, the oldest deleted, never in the way.

A log that cannot be written (a full or read-only disk) is said once on stderr, where the rest of
the hour's records go, and tried again at the next hour. No call that logs ever fails for it.
"""

import json
import logging
import re
import sys
import time
from io import FileIO
from pathlib import Path

from mm_runtime.settings import LogSettings

__all__ = ["HourlyFileHandler", "LineFormatter", "configure_logging"]

_HOUR_S = 3600
_HOUR = re.compile(r"\d{4}-\d{2}-\d{2}-\d{2}")


class LineFormatter(logging.Formatter):
    """One record, one line (a traceback follows on lines of its own in plain text).

    Parameters
    ----------
    service : str
        Name of the service, in every line.
    as_json : bool
        JSON objects instead of `2026-11-22T17:00:00.123Z INFO mm_collector message`.
    """

    def __init__(self, service: str, as_json: bool) -> None:
        super().__init__()
        self._service = service
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, without a line end."""
        message, trace = _message(record), ""
        if record.exc_info:
            trace = self.formatException(record.exc_info)
        if not self._as_json:
            # What the venue sends may stand in a message: it must not forge lines.
            message = message.replace("\r", "\\r").replace("\n", "\\n")
            line = f"{_utc(record.created)} {record.levelname} {self._service} {message}"
            return f"{line}\n{trace}" if trace else line
        fields = {
            "time": _utc(record.created),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": message,
        }
        if trace:
            fields["exception"] = trace
        return json.dumps(fields)


class HourlyFileHandler(logging.Handler):
    """Appends to one file an hour, chosen by the record's time, and deletes old ones.

    Parameters
    ----------
    service : str
        First part of the files' names; only such files are ever deleted.
    directory : Path
        Made where it is missing.
    keep_files : int
        Files that are kept, the present one included.
    speaks_on_failure : bool
        Write to stderr what cannot be written to the file. False where stderr has it anyway.
    """

    def __init__(
        self, service: str, directory: Path, keep_files: int, speaks_on_failure: bool
    ) -> None:
        super().__init__()
        self._service = service
        self._directory = directory
        self._keep_files = keep_files
        self._speaks_on_failure = speaks_on_failure
        self._hour: int | None = None
        self._file: FileIO | None = None  # None: this hour's file cannot be written

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        line = self.format(record)
        hour = int(record.created // _HOUR_S)
        if hour != self._hour:
            self._hour = hour
            self._open(hour)
        if self._file is not None:
            data = f"{line}\n".encode(errors="backslashreplace")
            try:
                while data:  # a disk that fills up takes a part first, then refuses the rest
                    data = data[self._file.write(data) :]
                return
            except OSError as error:
                self._degrade(error)
        if self._speaks_on_failure:
            _say(line)

    def close(self) -> None:
        """Close the present file."""
        self._close_file()
        super().close()

    def _open(self, hour: int) -> None:
        self._close_file()
        name = time.strftime("%Y-%m-%d-%H", time.gmtime(hour * _HOUR_S))
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a line is in the file when the call returns, and none is left over
            # to fail at closing.
            self._file = FileIO(self._directory / f"{self._service}.log.{name}", "a")
        except OSError as error:
            self._degrade(error)
            return
        try:
            self._delete_old()
        except OSError as error:  # what is kept too long does not stop the logging
            _say(f"{self._service}: cannot delete old logs in {self._directory}: {error}")

    def _delete_old(self) -> None:
        prefix = f"{self._service}.log."
        files = sorted(
            path
            for path in self._directory.iterdir()
            if path.name.startswith(prefix) and _HOUR.fullmatch(path.name.removeprefix(prefix))
        )
        for path in files[: -self._keep_files]:
            path.unlink(missing_ok=True)

    def _degrade(self, error: OSError) -> None:
        self._close_file()
        _say(f"{self._service}: cannot log to {self._directory} until the next hour: {error}")

    def _close_file(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
        except OSError as error:
            _say(f"{self._service}: closing a log: {error}")


def configure_logging(service: str, settings: LogSettings, to_stderr: bool) -> None:
    """Send all logging of this process to the service's hourly files, and to stderr if asked.

    Handlers that were there before are closed and removed.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [
        HourlyFileHandler(service, Path(settings.directory), settings.keep_files, not to_stderr)
    ]
    if to_stderr:
        handlers.append(_StderrHandler())
    for handler in handlers:
        handler.setFormatter(LineFormatter(service, settings.json))
        root.addHandler(handler)
    root.setLevel(settings.level.upper())


class _StderrHandler(logging.Handler):
    """Writes to whatever stderr is at the time, and survives its loss."""

    def emit(self, record: logging.LogRecord) -> None:
        _say(self.format(record))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, LookupError) as error:  # the arguments do not fit the text
        return f"{record.msg} {record.args!r} ({error})"


def _utc(seconds: float) -> str:
    whole, milliseconds = divmod(int(seconds * 1000 + 0.001), 1000)  # of a float: 0.123 is less
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"


def _say(line: str) -> None:
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return  # stderr is closed or gone: nobody is left to tell
