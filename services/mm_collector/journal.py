"""The collector's raw recording: switched on or not, counted, and unable to stop the feed."""

from collections import Counter
from pathlib import Path

from mm_runtime.agent import CannotStart
from mm_runtime.settings import CollectorSettings

from mm_collector.recording import Recorder
from mm_collector.subscriptions import stream_of

__all__ = ["Journal"]

_SHOWN_BYTES = 80


class Journal:
    """Passes on to a recorder what is to be recorded, if anything is."""

    def __init__(self, config: CollectorSettings, counters: Counter[str]) -> None:
        self._counters = counters
        self._symbols = {symbol.lower(): symbol for symbol in config.symbols}
        self._recorder: Recorder | None = None
        self._market = config.market
        self._record = config.record

    def open(self) -> None:
        """Begin to record, where that is wanted.

        Raises
        ------
        CannotStart
            The folder cannot be made.
        """
        if not self._record.enabled:
            return
        directory = Path(self._record.directory)
        queue_bytes = self._record.max_queue_megabytes << 20
        try:
            self._recorder = Recorder(directory, self._market, queue_bytes)
        except OSError as error:
            text = f"record.directory: cannot record in {directory}: {error}"
            raise CannotStart(text) from None

    def frame(self, symbol: str, local_ns: int, payload: bytes) -> None:
        """Record a frame or a snapshot as it came."""
        if self._recorder is not None:
            self._recorder.frame(symbol, local_ns, payload)

    def mark(self, symbol: str, local_ns: int, kind: str, text: str) -> None:
        """Record that something happened to a symbol's book."""
        if self._recorder is not None:
            self._recorder.mark(symbol, local_ns, kind, text)

    def bad_frame(self, payload: bytes, local_ns: int, text: str) -> None:
        """Record the first bytes of a frame that broke a rule, where its symbol can be told."""
        name = stream_of(payload).partition("@")[0]
        if self._recorder is not None and name in self._symbols:
            shown = payload[:_SHOWN_BYTES].decode(errors="replace")
            self._recorder.mark(self._symbols[name], local_ns, "bad_frame", f"{text} | {shown}")

    def count(self) -> None:
        """Bring the counters up to date."""
        if self._recorder is not None:
            self._counters["recorded"] = self._recorder.written
            self._counters["record_dropped"] = self._recorder.dropped

    def close(self) -> None:
        """Write what is queued and close the files."""
        if self._recorder is not None:
            self._recorder.close()
            self.count()
