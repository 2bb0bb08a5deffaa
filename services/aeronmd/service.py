"""The media driver's process: owns the driver, beats like every service, counts shared memory."""

import os
from collections.abc import Iterator
from pathlib import Path

from mm_runtime.clock import Clock
from mm_runtime.config import load
from mm_runtime.driver import Driver
from mm_runtime.metrics_table import Sample
from mm_runtime.service import Service
from mm_runtime.settings import AeronmdSettings, RuntimeSettings
from mm_runtime.transport import is_driver_alive, shared_memory_bytes

from mmquant.codes import Reason, Role, ServiceState

__all__ = ["DriverService", "build"]

_MEASURE_INTERVAL_NS = 1_000_000_000
_FULL = 0.9  # of the limit: there must be time to do something about it


class DriverService(Service):
    """Agent of aeronmd: the driver's own threads do the work."""

    role = Role.AERONMD

    def __init__(self, settings: RuntimeSettings, config: AeronmdSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.config = config
        self._driver: Driver | None = None
        self._next_measure_ns = 0
        self._limit_bytes = config.shared_memory_limit_bytes

    def on_start(self) -> None:
        """Start the driver, then connect to it like any other service."""
        self._driver = Driver(self.settings.aeron_directory(), self.config)
        super().on_start()
        self._tell_ready()

    def duty(self, now_ns: int) -> int:
        """Hear the peers; measure the shared memory in use."""
        work = self.poll()
        if now_ns >= self._next_measure_ns:
            self._next_measure_ns = now_ns + _MEASURE_INTERVAL_NS
            used = shared_memory_bytes(self.settings.aeron_directory())
            self.counters["shm_bytes"] = used
            # No more than the file system has, whatever is configured.
            system = os.statvfs(self.settings.aeron_directory().parent)
            size = system.f_frsize * system.f_blocks
            self._limit_bytes = min(self.config.shared_memory_limit_bytes, size)
            if used > _FULL * self._limit_bytes:
                text = f"{used} of {self._limit_bytes} bytes of shared memory in use"
                self.set_state(ServiceState.DEGRADED, Reason.OVERFLOW, text)
            else:
                self._tell_ready()
        return work

    def fault(self) -> str:
        """Return "" where the driver gives signs of life."""
        directory = self.settings.aeron_directory()
        if is_driver_alive(directory, self.settings.aeron.driver_timeout_ms):
            return ""
        return f"no media driver is alive in {directory}"

    def samples(self) -> Iterator[Sample]:
        """Give the driver's life and its shared memory."""
        yield Sample("driver_active", not self.fault())
        yield Sample("shared_memory_used_bytes", self.counters["shm_bytes"])
        yield Sample("shared_memory_limit_bytes", self._limit_bytes)

    def on_close(self) -> None:
        """Leave the driver as a client, then stop it."""
        super().on_close()
        if self._driver is not None:
            self._driver.close()

    def _tell_ready(self) -> None:
        directory = self.settings.aeron_directory()
        self.set_state(ServiceState.READY, Reason.NONE, f"driver in {directory}")


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> DriverService:
    """Return the service that aeronmd.toml describes."""
    return DriverService(settings, load("aeronmd", AeronmdSettings, config_dir), clock)
