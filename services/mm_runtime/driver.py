"""The media driver: starts Aeron's C driver inside this process, one to a directory."""

import os
import shutil
import socket
from pathlib import Path

import pyaeron

from mm_runtime.agent import CannotStart
from mm_runtime.settings import AeronmdSettings
from mm_runtime.transport import is_driver_alive

__all__ = ["DirectoryInUse", "Driver", "is_directory_in_use"]


class DirectoryInUse(CannotStart):
    """Another driver owns the directory."""


class Driver:
    """Aeron's media driver in `directory`, gone without a trace after `close`.

    Parameters
    ----------
    directory
        Where its files are made; on tmpfs. What a dead driver left there is removed.
    settings
        Threading and timeouts.

    Raises
    ------
    DirectoryInUse
        Where a driver is alive in the directory.
    """

    def __init__(self, directory: Path, settings: AeronmdSettings) -> None:
        self.directory = directory
        self._lock = _lock(directory)
        # The driver reads these itself, as the stand-alone aeronmd does.
        timeout_ms = settings.client_liveness_timeout_ms
        os.environ["AERON_CLIENT_LIVENESS_TIMEOUT"] = f"{timeout_ms}ms"
        # Our lock is held, so what lies there belongs to a driver of ours that was killed, or
        # to a driver of somebody else, who may well be alive.
        if directory.exists() and not (directory / _OURS).exists():
            if is_driver_alive(directory, timeout_ms):
                self._lock.close()
                raise DirectoryInUse(_in_use(directory))
        shutil.rmtree(directory, ignore_errors=True)
        self._driver = pyaeron.MediaDriver(
            dir=str(directory),
            threading=settings.threading,
            dir_delete_on_start=True,
            dir_delete_on_shutdown=True,
        )
        (directory / _OURS).touch()

    def close(self) -> None:
        """Stop the driver and remove its files."""
        self._driver.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        self._lock.close()


_OURS = "mmquant"


def is_directory_in_use(directory: Path) -> bool:
    """Return whether a driver of ours owns `directory` at this moment."""
    try:
        _lock(directory).close()
    except DirectoryInUse:
        return True
    return False


def _lock(directory: Path) -> socket.socket:
    """Own `directory` for as long as this process lives: an abstract socket leaves no file."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(f"\0mmquant-driver:{directory}"[:100])
    except OSError:
        lock.close()
        raise DirectoryInUse(_in_use(directory)) from None
    return lock


def _in_use(directory: Path) -> str:
    return (
        f"{directory} is in use by another media driver; stop that one, or set aeron.directory "
        "in config/runtime.toml (or MM_RUNTIME__AERON__DIRECTORY) to another folder"
    )
