"""Recorder: every message of every stream to a file of the session, never holding anybody up."""

import json
import os
from pathlib import Path

from mm_runtime.agent import CannotStart
from mm_runtime.clock import Clock
from mm_runtime.config import load
from mm_runtime.service import Service
from mm_runtime.session_file import Item, Kind, SessionWriter
from mm_runtime.session_version import own_version
from mm_runtime.settings import RecorderSettings, RuntimeSettings
from mm_runtime.transport import Subscriber

from mmquant.codes import Reason, Role, ServiceState, Stream

__all__ = ["Recorder", "build"]

_MEGABYTE = 1_000_000
_POLL_LIMIT = 1_024
_LAST_POLLS = 64


class Recorder(Service):
    """Agent of mm_recorder: its file is `<session.directory>/streams-<time>-<pid>.mms`."""

    role = Role.MM_RECORDER

    def __init__(self, settings: RuntimeSettings, config: RecorderSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.config = config
        self._batch: list[Item] = []
        self._now_ns = 0
        self._has_file = False
        if not settings.session.directory:
            raise CannotStart(
                "runtime.toml: session.directory: must be a folder for mm_recorder, got ''"
            )

    def start(self) -> None:
        """Open the file, then listen to everything, to its own messages too."""
        directory = Path(self.settings.session.directory)
        path = directory / f"streams-{self.clock.now_ns()}-{os.getpid()}.mms"
        try:
            self._writer = SessionWriter(
                path,
                self.config.max_queue_megabytes * _MEGABYTE,
                self.settings.session.min_free_megabytes * _MEGABYTE,
            )
        except OSError as error:
            raise CannotStart(f"{path}: {error.strerror}") from error
        self._has_file = True
        opened = json.dumps({"service": "mm_recorder", "pid": os.getpid(), **own_version()})
        self._writer.put([Item(Kind.OPENED, now_ns=self.clock.now_ns(), payload=opened.encode())])
        bus = self._transport()
        self._listeners: list[Subscriber] = [
            bus.subscriber(stream, self.inbox, {}, on_bytes=self._keep) for stream in Stream
        ]

    def duty(self, now_ns: int) -> int:
        """Hand over what came to the writer."""
        self._now_ns = now_ns
        work = self.poll() + sum(each.poll(_POLL_LIMIT) for each in self._listeners)
        if self._batch:
            batch, self._batch = self._batch, []
            if self._writer.put(batch):
                self.counters["recorded"] += len(batch)
        self.counters["record_dropped"] = self._writer.dropped
        if self._writer.refused:
            self.set_state(ServiceState.DEGRADED, Reason.OVERFLOW, self._writer.refused)
        elif self.state is not ServiceState.READY:
            self.set_state(ServiceState.READY, Reason.NONE, f"recording to {self._writer.path}")
        return work

    def stop(self) -> None:
        """Write what waits; where the file could not be made there is nothing."""
        if not self._has_file:
            return
        for _ in range(_LAST_POLLS):  # the last words of those that have ended
            if not self.duty(self.clock.now_ns()):
                break
        self._writer.put([Item(Kind.CLOSED, payload=b"{}")])
        self._writer.close()

    def fault(self) -> str:
        """Return why nothing is written, "" where all is well."""
        return self._writer.refused if self._has_file else ""

    def _keep(self, stream: int, session: int, message: bytes) -> None:
        self._batch.append(Item(Kind.MESSAGE, stream, session, self._now_ns, message))


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> Recorder:
    """Return the service that recorder.toml describes."""
    return Recorder(settings, load("recorder", RecorderSettings, config_dir), clock)
