"""Hourly logs: var/logs/<service>.log.YYYY-MM-DD-HH in UTC, the oldest deleted, never in the way.

A log that cannot be written (a full or read-only disk, a folder that is gone) is said once on the
console, where the records go instead, and tried again a minute later. No call that logs ever fails
for it.
"""

import json
import logging
import os
import re
import time
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

from mm_runtime.config import ConfigError
from mm_runtime.console import Console
from mm_runtime.settings import LogSettings

__all__ = ["HourlyFileHandler", "LineFormatter", "configure_logging"]

LEVEL_VARIABLE = "MM_LOG"  # stands above the level of runtime.toml
_LEVELS = ("debug", "info", "warning", "error")
_HOUR_S = 3600
_RETRY_S = 60
_MEGABYTE = 1_000_000
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
    settings : LogSettings
        The folder, made where it is missing, and how many files and bytes are kept in it. An
        hour that alone is more than that goes to the console from there on.
    echoes : bool
        Write to stderr what cannot be written to the file. False where the console has it anyway.
    """

    def __init__(self, service: str, settings: LogSettings, echoes: bool) -> None:
        super().__init__()
        self._service = service
        self._directory = Path(settings.directory)
        self._keep_files = settings.keep_files
        self._max_bytes = settings.max_megabytes * _MEGABYTE
        self._echoes = echoes
        self._console = Console("stderr")
        self._hour: int | None = None
        self._retry_s = 0.0
        self._file: FileIO | None = None  # None: the file cannot be written at present
        self._path = Path()
        self._free_bytes = 0  # what may be written before old files must go

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        line = self.format(record)
        hour = int(record.created // _HOUR_S)
        due = self._file is None and record.created >= self._retry_s
        if hour != self._hour or due or self._is_gone():
            self._hour = hour
            self._open(hour, record.created)
        if not self._write(f"{line}\n".encode(errors="backslashreplace"), record.created):
            if self._echoes:
                self._console.write(line)

    def close(self) -> None:
        """Close the present file."""
        self._close_file()
        super().close()

    def _write(self, data: bytes, now_s: float) -> bool:
        self._free_bytes -= len(data)
        if self._file is not None and self._free_bytes < 0:
            self._delete_old(now_s, len(data))
        if self._file is None:
            return False
        try:
            while data:  # a disk that fills up takes a part first, then refuses the rest
                data = data[self._file.write(data) :]
        except OSError as error:
            self._degrade(error.strerror or str(error), now_s)
            return False
        if self._retry_s:
            self._retry_s = 0.0
            self._console.write(f"{self._service}: logs to {self._directory} again")
        return True

    def _open(self, hour: int, now_s: float) -> None:
        self._close_file()
        name = time.strftime("%Y-%m-%d-%H", time.gmtime(hour * _HOUR_S))
        self._path = self._directory / f"{self._service}.log.{name}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a line is in the file when the call returns, and none is left over
            # to fail at closing.
            self._file = FileIO(self._path, "a")
        except OSError as error:
            self._degrade(error.strerror or str(error), now_s)
            return
        self._delete_old(now_s, 0)

    def _is_gone(self) -> bool:
        """Return whether somebody has removed or renamed the open file."""
        if self._file is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except OSError:
            return True

    def _delete_old(self, now_s: float, coming_bytes: int) -> None:
        """Keep the newest files within the limits; give up the present one where it is alone."""
        try:
            files = self._own_files()
            sizes = [path.stat().st_size for path in files]
            limit = self._max_bytes - coming_bytes
            while len(files) > 1 and (len(files) > self._keep_files or sum(sizes) > limit):
                files.pop(0).unlink(missing_ok=True)
                sizes.pop(0)
        except OSError as error:  # what is kept too long does not stop the logging
            self._console.write(
                f"{self._service}: cannot delete old logs in {self._directory}: {error}"
            )
            self._free_bytes = self._max_bytes
            return
        self._free_bytes = limit - sum(sizes)
        if self._free_bytes < 0:
            most = self._max_bytes // _MEGABYTE
            self._degrade(f"this hour has more than max_megabytes ({most} MB)", now_s)

    def _own_files(self) -> list[Path]:
        prefix = f"{self._service}.log."
        return sorted(
            path
            for path in self._directory.iterdir()
            if path.name.startswith(prefix) and _HOUR.fullmatch(path.name.removeprefix(prefix))
        )

    def _degrade(self, why: str, now_s: float) -> None:
        self._close_file()
        if not self._retry_s:
            where = "the console has it until then" if self._echoes else "the console has it all"
            self._console.write(
                f"{self._service}: cannot log to {self._directory}, tried again every "
                f"{_RETRY_S} s, {where}: {why}"
            )
        self._retry_s = now_s + _RETRY_S

    def _close_file(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
        except OSError as error:
            self._console.write(f"{self._service}: closing a log: {error}")


def configure_logging(
    service: str,
    settings: LogSettings,
    to_stdout: bool,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Send all logging of this process to the service's hourly files, and to stdout if asked.

    Handlers that were there before are closed and removed.

    Raises
    ------
    ConfigError
        Where `MM_LOG` is no level.
    """
    level = (environ.get(LEVEL_VARIABLE) or settings.level).lower()
    if level not in _LEVELS:
        choices = ", ".join(map(repr, _LEVELS))
        raise ConfigError(f"{LEVEL_VARIABLE}: must be one of {choices}, got {level!r}")
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [HourlyFileHandler(service, settings, not to_stdout)]
    if to_stdout:
        handlers.append(_StdoutHandler())
    for handler in handlers:
        handler.setFormatter(LineFormatter(service, settings.json))
        root.addHandler(handler)
    root.setLevel(level.upper())


class _StdoutHandler(logging.Handler):
    """Writes to whatever stdout is at the time, and survives its loss and its being full."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console("stdout")

    def emit(self, record: logging.LogRecord) -> None:
        self._console.write(self.format(record))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, LookupError) as error:  # the arguments do not fit the text
        return f"{record.msg} {record.args!r} ({error})"


def _utc(seconds: float) -> str:
    whole, milliseconds = divmod(int(seconds * 1000 + 0.001), 1000)  # of a float: 0.123 is less
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"
