"""Runs a service again from its journal: the very agent, its clock and streams played back."""

import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from mm_pricing.parameters import load_model, load_table
from mm_pricing.service import Pricing
from mm_runtime.config import ConfigError
from mm_runtime.journal import Phase
from mm_runtime.service import Service
from mm_runtime.session_file import Item, Kind, SessionError, SessionFile
from mm_runtime.settings import (
    PricingSettings,
    RuntimeSettings,
    Settings,
    SimulatorSettings,
    StrategySettings,
)
from mm_runtime.transport import Publisher, Subscriber, Transport
from mm_simulator.service import Simulator
from mm_strategy.reload import LastGood
from mm_strategy.service import Strategy

from mmquant.codes import Stream, Template
from mmquant.wire import Inbox

__all__ = ["Diverged", "Output", "ReplayedJournal", "replay_service"]

log = logging.getLogger(__name__)

Output = Callable[[int, int, bytes], None]  # stream, session, message
_SERVICES: dict[str, tuple[Callable[..., Service], type[Settings]]] = {
    "mm_pricing": (Pricing, PricingSettings),
    "mm_strategy": (Strategy, StrategySettings),
    "mm_simulator": (Simulator, SimulatorSettings),
}


class Diverged(Exception):
    """The service did something else than what its journal says it did."""


class _JournalEnds(Exception):
    """The service was killed, or failed, in the middle of this turn."""


class ReplayedJournal:
    """Journal that gives a service back what it once read, in the same order.

    Parameters
    ----------
    file
        The journal's file.

    Attributes
    ----------
    opened, closed
        First and last words; the latter is None where the service was killed.
    turns, messages
        How many there were so far.
    publications
        Stream and session of each publication that was opened so far.
    has_failed
        Whether the turn is one that an exception ended then: nothing behind it is computed.
    """

    def __init__(self, file: SessionFile) -> None:
        self._file = file
        self._items = iter(file)
        self._next = next(self._items, None)
        if self._next is None or self._next.kind != Kind.OPENED:
            raise SessionError(f"{file.path}: does not begin with who wrote it")
        self.opened: dict[str, Any] = json.loads(self._next.payload)
        self._now_ns = self._next.now_ns
        self._is_released = False
        self.closed: dict[str, Any] | None = None
        self.turns = 0
        self.messages = 0
        self.publications: set[tuple[int, int]] = set()
        self.heard_of: Callable[[Item], None] = lambda item: None
        self._turn: deque[Item] = deque()
        self._is_last = False
        self.has_failed = False
        self._advance()

    def phase(self) -> Phase | None:
        """Return what the next turn is; None at the end."""
        if self._turn:
            left = ", ".join(Kind(item.kind).name for item in list(self._turn)[:5])
            raise Diverged(f"turn {self.turns}: {len(self._turn)} inputs were not read: {left}")
        if self.has_failed:
            return None
        if self._next is not None and self._next.kind == Kind.CLOSED:
            self.closed = json.loads(self._next.payload)
            self._advance()
        if self._next is None:
            return None
        if self._next.kind != Kind.TURN:
            raise SessionError(f"{self._file.path}: {Kind(self._next.kind).name} between two turns")
        return Phase(self._next.session)

    def begin(self, phase: Phase) -> None:
        """Read the next turn."""
        if self.phase() is not phase:
            raise Diverged(f"the journal has no turn of phase {phase.name} here")
        self._advance()
        while self._next is not None and self._next.kind not in (Kind.TURN, Kind.CLOSED):
            self._turn.append(self._next)
            self._advance()
        self._is_last = self._next is None
        if self._turn and self._turn[-1].kind == Kind.FAULT:
            self._turn.pop()
            self.has_failed = True
        self.turns += 1

    def end(self, matters: bool, failed: bool = False) -> None:
        """End the turn; what is left of it is found when the next one begins."""

    def now_ns(self) -> int:
        """Return the time that was read here."""
        if self.turns and not self._is_released:  # not while the service is built
            self._now_ns = self._take(Kind.CLOCK).now_ns
        return self._now_ns

    def heard(self, stream: int, session: int, message: bytes) -> None:
        """Know of it already."""

    def publication(self, stream: Stream, session: int) -> None:
        """Know of it already."""

    def outside(self, fetch: Callable[[], bytes]) -> bytes:
        """Return what was read from elsewhere."""
        return self._take(Kind.OUTSIDE).payload

    def close(self, words: dict[str, Any]) -> None:
        """Know them already."""

    def release(self) -> None:
        """Let time stand still from here on, for a service that ends before its journal."""
        self._is_released = True

    def session_of(self, stream: Stream) -> int:
        """Return under which session `stream` was published."""
        item = self._take(Kind.PUBLICATION)
        if item.stream != stream:
            raise Diverged(f"turn {self.turns}: publishes {stream.name}, not {item.stream}")
        self.publications.add((item.stream, item.session))
        return item.session

    def message(self, stream: int) -> Item | None:
        """Return the next input where it is a message of `stream`."""
        if not self._turn or self._turn[0].kind != Kind.MESSAGE or self._turn[0].stream != stream:
            return None
        self.messages += 1
        item = self._turn.popleft()
        self.heard_of(item)
        return item

    def _take(self, kind: Kind) -> Item:
        if not self._turn:
            if self._is_last or self.has_failed:
                raise _JournalEnds
            raise Diverged(f"turn {self.turns}: asks for {kind.name}, but the turn was over")
        item = self._turn.popleft()
        if item.kind != kind:
            raise Diverged(
                f"turn {self.turns}: asks for {kind.name}, but the journal has "
                f"{Kind(item.kind).name} of stream {item.stream}"
            )
        return item

    def _advance(self) -> None:
        self._next = next(self._items, None)
        if self._next is not None and self._next.kind == Kind.HOLE:
            raise SessionError(
                f"{self._file.path}: {self._next.session} records are missing: its queue was full"
            )


class _Header:
    """As much of a fragment's header as is read."""

    def __init__(self, item: Item) -> None:
        self.stream_id, self.session_id = item.stream, item.session


class _Subscription:
    """Stands for Aeron's: gives what the journal has next."""

    def __init__(self, journal: ReplayedJournal, stream: Stream) -> None:
        self._journal, self._stream = journal, int(stream)

    def poll(self, handler: Callable[[Any, Any], None], limit: int) -> int:
        """Handle the messages that are next; the limit is what it was then."""
        count = 0
        while (item := self._journal.message(self._stream)) is not None:
            handler(item.payload, _Header(item))
            count += 1
        return count

    def close(self) -> None:
        """Have nothing to close."""


class _Publication:
    """Stands for Aeron's: hands every message to whoever compares."""

    def __init__(self, stream: Stream, session: int, output: Output) -> None:
        self.session_id = session
        self._stream, self._output = int(stream), output

    def offer(self, payload: bytes | memoryview) -> bool:
        """Take the message."""
        self._output(self._stream, self.session_id, bytes(payload))
        return True

    def close(self) -> None:
        """Have nothing to close."""


class _PlayedTransport(Transport):
    """A transport without a driver."""

    def __init__(self, journal: ReplayedJournal, output: Output) -> None:
        self.is_silent = False
        self._journal, self._output = journal, output

    def publisher(self, stream: Stream, queue_limit: int, conflate: bool = False) -> Publisher:
        """Publish to `output`."""
        session = self._journal.session_of(stream)
        publication: Any = _Publication(stream, session, self._hand_over)
        return Publisher(publication, queue_limit, conflate)

    def subscriber(
        self,
        stream: Stream,
        inbox: Inbox,
        handlers: Mapping[Template, Callable[[], None]],
        on_any: Callable[[int, int], None] | None = None,
        on_bytes: Callable[[int, int, bytes], None] | None = None,
    ) -> Subscriber:
        """Subscribe to the journal."""
        subscription: Any = _Subscription(self._journal, stream)
        return Subscriber([subscription], inbox, handlers, on_any, on_bytes)

    def _hand_over(self, stream: int, session: int, message: bytes) -> None:
        if not self.is_silent:
            self._output(stream, session, message)

    def check(self) -> None:
        """Find the driver well."""

    def close(self) -> None:
        """Have nothing to close."""


def _build(journal: ReplayedJournal, scratch: Path) -> Service:
    """Return the service of a journal as it was then, its files from where they lie now."""
    name, folder = journal.opened["service"], Path(journal.opened["config_dir"])
    if name not in _SERVICES:
        raise SessionError(f"{name} is no service that can be computed: {', '.join(_SERVICES)}")
    build, settings_type = _SERVICES[name]
    try:
        runtime = msgspec.convert(journal.opened["runtime"], RuntimeSettings)
        runtime = msgspec.structs.replace(runtime, state_directory=str(scratch))
        config: Any = msgspec.convert(journal.opened["config"], settings_type)
        more: tuple[Any, ...] = ()
        if name == "mm_strategy":  # its file is read through the journal
            more = (LastGood(folder, scratch),)
        elif name == "mm_pricing":
            more = (load_table(config, folder), load_model(config, folder))
        return build(runtime, config, journal, *more)
    except (ConfigError, msgspec.ValidationError) as error:
        raise SessionError(
            f"{name} cannot be built as it was: {error}: verify with the version that recorded it, "
            f"its models and tables in {folder.resolve()}"
        ) from error


def replay_service(journal: ReplayedJournal, output: Output, scratch: Path) -> Iterator[int]:
    """Run the service of a journal again, turn by turn; yield the number of turns done.

    Parameters
    ----------
    journal
        Inputs, times and settings.
    output
        Told every message the service sends, in order.
    scratch
        An empty folder for its ledger.

    Raises
    ------
    Diverged
        Where the service does not do what it did.
    SessionError
        Where the journal is damaged, or its service cannot be built any more.
    """
    service = _build(journal, scratch)
    service.journal = journal
    transport = _PlayedTransport(journal, output)
    service.connect = lambda settings: transport
    service.log.disabled = True
    steps = {Phase.START: service.on_start, Phase.WORK: service.do_work}
    has_ended = False
    try:
        while (phase := journal.phase()) is not None and phase is not Phase.CLOSE:
            steps[phase]()
            yield journal.turns
        if phase is Phase.CLOSE:
            service.on_close()
            has_ended = True
            journal.phase()
    except _JournalEnds:
        log.info("the journal of %s ends within a turn", service.role.name.lower())
    except (Diverged, SessionError):
        raise
    except Exception as error:
        if not journal.has_failed:
            what = f"{type(error).__name__}: {error}"
            raise Diverged(
                f"turn {journal.turns}: failed, where it went on then: {what}"
            ) from error
        log.info("%s failed as it did then: %s", service.role.name.lower(), error)
    finally:
        if (
            not has_ended
        ):  # killed or given up: nothing is said any more, but files are to be closed
            transport.is_silent = True
            journal.release()
            with contextlib.suppress(_JournalEnds, Diverged):
                service.stop()
        service.log.disabled = False
