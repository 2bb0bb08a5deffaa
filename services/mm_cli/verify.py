"""Computes a recorded session once more, and compares every message with what was sent."""

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mm_runtime.session_file import MAGIC, Item, Kind, SessionError, SessionFile
from mm_runtime.session_version import another_version
from numpy.typing import NDArray

from mm_cli.session_replay import Diverged, ReplayedJournal, replay_service
from mmquant.codes import Stream
from mmquant.wire import decode

__all__ = ["Difference", "ServiceResult", "SessionResult", "verify_session"]

VERIFIED = (Stream.PRICING, Stream.QUOTES, Stream.FILLS, Stream.POSITIONS)
_SEQ = slice(8, 16)  # of every message, behind the header
_SAY_EVERY = 2_000


@dataclass
class Difference:
    """The first message of a service that is not what it was."""

    stream: str
    seq: int
    turn: int
    fields: dict[str, tuple[Any, Any]]  # name: (recorded, computed)
    recorded: dict[str, Any]
    computed: dict[str, Any]


@dataclass
class ServiceResult:
    """One incarnation of a service.

    `unrecorded` counts, by stream, messages that the recorder did not hear: replaced by newer ones
    while the stream was blocked, or sent before it listened. `beyond` counts what was recorded and
    is not in the journal any more, of a service that was killed. `unheard` counts, by stream, what
    it consumed and no recorder heard. `unverified` says of which streams something, or all, was
    not compared: where no last words say how many messages it sent, and what was consumed unheard
    in the midst of what was recorded. `other_version` says how the version that ran differs from
    this one.
    """

    service: str
    journal: str
    ended: str = "in order"
    turns: int = 0
    inputs: int = 0
    inputs_checked: int = 0
    compared: dict[str, int] = field(default_factory=dict)
    unrecorded: dict[str, int] = field(default_factory=dict)
    beyond: dict[str, int] = field(default_factory=dict)
    unheard: dict[str, int] = field(default_factory=dict)
    other_version: str = ""
    unverified: list[str] = field(default_factory=list)
    difference: Difference | None = None
    problem: str = ""

    @property
    def is_equal(self) -> bool:
        """Whether everything that could be compared is the same."""
        return self.difference is None and not self.problem


@dataclass
class SessionResult:
    """A whole session."""

    directory: str
    messages: dict[str, int]
    services: list[ServiceResult]
    problems: list[str]
    other_versions: list[str]  # which files another version wrote, in words

    @property
    def compared(self) -> int:
        """How many messages were compared."""
        return sum(sum(each.compared.values()) for each in self.services)

    @property
    def is_equal(self) -> bool:
        """Whether something was compared and nothing differs."""
        return bool(self.compared and not self.problems and all(s.is_equal for s in self.services))

    @property
    def unverified(self) -> list[str]:
        """What was not compared, and why, by journal."""
        return [f"{each.journal}: {text}" for each in self.services for text in each.unverified]

    @property
    def verdict(self) -> str:
        """EQUAL, INCOMPLETE (nothing differs, not all was compared), DIFFERENT, NOT VERIFIED.

        And OTHER VERSION, where it differs and this version did not record it.
        """
        if not self.compared:
            return "NOT VERIFIED"
        if not self.is_equal:
            return "OTHER VERSION" if self.other_versions else "DIFFERENT"
        return "INCOMPLETE" if self.unverified else "EQUAL"

    def as_json(self) -> dict[str, Any]:
        """Return all of it for a file."""
        return {"verdict": self.verdict, "equal": self.verdict == "EQUAL", **asdict(self)}


class _Heard:
    """What the recorder heard, by stream, publisher's session and sequence number."""

    def __init__(self, paths: list[Path]) -> None:
        self.problems: list[str] = []
        self.other_versions: list[str] = []
        self.holes = 0
        self.is_closed = True  # each recorder ended in order: what came later is nobody's loss
        self.messages: Counter[str] = Counter()
        self._files = [SessionFile(path) for path in paths]
        rows: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
        for number, file in enumerate(self._files):
            self._index(number, file, rows)
        self._rows: dict[tuple[int, int], NDArray[np.int64]] = {
            key: np.array(sorted(values), np.int64) for key, values in rows.items()
        }

    def sessions(self, stream: int) -> set[int]:
        return {session for of, session in self._rows if of == stream}

    def seqs(self, stream: int, session: int) -> NDArray[np.int64]:
        """Return the sequence numbers heard, in order."""
        rows = self._rows.get((stream, session))
        return np.empty(0, np.int64) if rows is None else rows[:, 0]

    def find(self, stream: int, session: int, seq: int) -> list[bytes]:
        """Return every message heard under this number: one, unless two recorders listened."""
        rows = self._rows.get((stream, session))
        if rows is None:
            return []
        first, last = np.searchsorted(rows[:, 0], (seq, seq + 1))
        return [self._files[number].read(at).payload for _, number, at in rows[first:last].tolist()]

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _index(
        self,
        number: int,
        file: SessionFile,
        rows: dict[tuple[int, int], list[tuple[int, int, int]]],
    ) -> None:
        is_closed = False
        for offset, item in file.offsets():
            is_closed = item.kind == Kind.CLOSED
            if item.kind == Kind.HOLE:
                self.holes += item.session
            if item.kind == Kind.OPENED and (other := another_version(json.loads(item.payload))):
                self.other_versions.append(f"{file.path.name} {other}")
            if item.kind != Kind.MESSAGE:
                continue
            self.messages[Stream(item.stream).name.lower()] += 1
            seq = int.from_bytes(item.payload[_SEQ], "little", signed=True)
            rows[item.stream, item.session].append((seq, number, offset))
        self.is_closed &= is_closed
        if self.holes:
            self.problems.append(f"{file.path.name}: {self.holes} messages were not recorded")


class _Comparison:
    """Compares what one incarnation computes with what was heard of it."""

    def __init__(self, journal: ReplayedJournal, heard: _Heard, result: ServiceResult) -> None:
        self._journal, self._heard, self._result = journal, heard, result
        self._computed: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._unheard: dict[tuple[int, int], list[int]] = defaultdict(list)
        journal.heard_of = self._check_input

    def output(self, stream: int, session: int, message: bytes) -> None:
        """Take a message that was computed."""
        if stream not in VERIFIED:
            return
        seq = int.from_bytes(message[_SEQ], "little", signed=True)
        self._computed[stream, session].append(seq)
        for recorded in self._heard.find(stream, session, seq):
            name = Stream(stream).name.lower()
            self._result.compared[name] = self._result.compared.get(name, 0) + 1
            if recorded != message:
                self._result.difference = _difference(
                    name, seq, self._journal.turns, recorded, message
                )
                raise _Different

    def finish(self) -> None:
        """Look for what is only on one side."""
        for (stream, session), seqs in sorted(self._unheard.items()):
            self._judge_unheard(
                Stream(stream).name.lower(), seqs, self._heard.seqs(stream, session)
            )
        for stream, session in sorted(self._journal.publications):
            if stream not in VERIFIED:
                continue
            computed = self._computed[stream, session]
            name = Stream(stream).name.lower()
            recorded = self._heard.seqs(stream, session)
            missing = np.setdiff1d(np.array(computed, np.int64), recorded)
            if len(missing):
                self._result.unrecorded[name] = len(missing)
                self._judge(name, str(stream), missing, recorded)
            extra = np.setdiff1d(recorded, computed)
            if len(extra):
                self._result.beyond[name] = len(extra)
                if self._journal.closed is not None or extra[0] < max(computed, default=0):
                    self._result.problem = (
                        f"{len(extra)} messages of {name} were recorded that the service does not "
                        f"compute, the first one is number {extra[0]}"
                    )

    def _judge(
        self, name: str, stream: str, missing: NDArray[np.int64], recorded: NDArray[np.int64]
    ) -> None:
        """Find a known cause of what is missing between two messages that were heard.

        And of what is missing behind the last one, where a recorder did not end in order.
        """
        if not len(recorded) or self._journal.closed is None:
            return
        last = recorded[-1] if self._heard.is_closed else missing[-1] + 1
        inside = int(((missing > recorded[0]) & (missing < last)).sum())
        counts = self._journal.closed.get(stream, {})
        excused = sum(counts.get(key, 0) for key in ("conflated", "dropped", "unheard"))
        if inside > excused + self._heard.holes:
            self._result.problem = (
                f"{inside} messages of {name} are missing in the recording, {excused} were "
                "replaced or dropped by their publisher"
            )

    def _judge_unheard(self, name: str, seqs: list[int], recorded: NDArray[np.int64]) -> None:
        """Say what was consumed and not recorded, unless the recorder listened later or no more."""
        self._result.unheard[name] = self._result.unheard.get(name, 0) + len(seqs)
        within = [n for n in seqs if not len(recorded) or recorded[0] < n < recorded[-1]]
        if within:
            self._result.unverified.append(
                f"{name}: {len(within)} messages were consumed that the recorder never heard, the "
                f"first is number {within[0]}: nothing confirms them"
            )

    def _check_input(self, item: Item) -> None:
        """Compare a message that was consumed with what the recorder heard of it."""
        seq = int.from_bytes(item.payload[_SEQ], "little", signed=True)
        self._result.inputs += 1
        heard = self._heard.find(item.stream, item.session, seq)
        if not heard:
            self._unheard[item.stream, item.session].append(seq)
        for recorded in heard:
            self._result.inputs_checked += 1
            if recorded != item.payload:
                name = Stream(item.stream).name.lower()
                self._result.problem = (
                    f"message {seq} of {name} was consumed in turn {self._journal.turns} with "
                    "other bytes than were recorded"
                )
                raise _Different


class _Different(Diverged):
    """Something differs: the result says what."""


def verify_session(directory: Path, say: Callable[[int, str], None]) -> SessionResult:
    """Compute every journalled service of a session again and compare.

    Parameters
    ----------
    directory
        What `--record` was given.
    say
        Told the number of turns and the service now and then.

    Raises
    ------
    SessionError
        Where there is no session, or the recorder's file is damaged.
    """
    streams = sorted(directory.glob("streams-*.mms"))
    journals = sorted((directory / "journals").glob("*.mms"))
    for paths, what in ((streams, "streams-*.mms"), (journals, "journals/*.mms")):
        if not paths:
            raise SessionError(
                f"{directory}: has no {what}: give the folder that `--record` was given"
            )
    heard = _Heard(streams)
    try:
        results = [_verify_journal(path, heard, say) for path in journals]
        problems = heard.problems + list(_orphans(heard, journals))
    finally:
        heard.close()
    others = [f"{each.journal} {each.other_version}" for each in results if each.other_version]
    return SessionResult(
        str(directory), dict(heard.messages), results, problems, heard.other_versions + others
    )


def _verify_journal(path: Path, heard: _Heard, say: Callable[[int, str], None]) -> ServiceResult:
    result = ServiceResult(path.name.partition("-")[0], path.name)
    if path.stat().st_size <= len(MAGIC):
        result.ended = "killed at its start"
        result.unverified = list(_unverified(result, []))
        return result
    file = journal = None
    try:
        file = SessionFile(path)
        journal = ReplayedJournal(file)
        result.other_version = another_version(journal.opened)
        comparison = _Comparison(journal, heard, result)
        with tempfile.TemporaryDirectory(prefix="mm-verify-") as scratch:
            try:
                for turns in replay_service(journal, comparison.output, Path(scratch)):
                    if turns % _SAY_EVERY == 0:
                        say(turns, result.service)
                comparison.finish()
            except _Different:
                pass  # the result says what it was
        if journal.closed is None and result.is_equal:
            result.ended = "by an error" if journal.has_failed else "killed"
            streams = sorted(stream for stream, _ in journal.publications if stream in VERIFIED)
            result.unverified += _unverified(result, streams)
    except (SessionError, Diverged) as error:
        result.problem = str(error)
    finally:
        if journal is not None:
            result.turns = journal.turns
        if file is not None:
            file.close()
    return result


def _unverified(result: ServiceResult, streams: Sequence[int]) -> Iterator[str]:
    """Say what of a service without last words was not compared: nobody knows what it sent."""
    if not streams:
        yield "it published nothing before its journal ends: nothing of it was computed"
    for name in (Stream(stream).name.lower() for stream in streams):
        beyond = result.beyond.get(name, 0)
        if not result.compared.get(name):
            yield (
                f"{name}: nothing was compared, {beyond} messages were recorded, and it left no "
                "last words that say how many it sent"
            )
        elif beyond:
            yield f"{name}: {beyond} messages were recorded after the end of its journal"


def _orphans(heard: _Heard, journals: list[Path]) -> Iterator[str]:
    """Say what was recorded of services that left no journal."""
    known: set[tuple[int, int]] = set()
    for path in journals:
        if path.stat().st_size <= len(MAGIC):
            continue
        file = SessionFile(path)
        try:
            items = (item for item in file if item.kind == Kind.PUBLICATION)
            known.update((item.stream, item.session) for item in items)
        except SessionError:
            continue  # it has been reported as its service's problem
        finally:
            file.close()
    for stream in VERIFIED:
        for session in heard.sessions(stream):
            if (int(stream), session) not in known:
                yield f"{stream.name.lower()}: session {session} has no journal"


def _difference(stream: str, seq: int, turn: int, recorded: bytes, computed: bytes) -> Difference:
    sides = [_fields(message) for message in (recorded, computed)]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    differing = {
        name: (sides[0].get(name), sides[1].get(name))
        for name in names
        if repr(sides[0].get(name)) != repr(sides[1].get(name))
    }
    return Difference(stream, seq, turn, differing, sides[0], sides[1])


def _fields(message: bytes) -> dict[str, Any]:
    """Return a message's fields by name; a group's entries as `name[i]`."""
    try:
        template, block, groups = decode(message)
    except ValueError as error:
        return {"unreadable": str(error)}
    # Another version's message may be longer with the same values in it.
    fields: dict[str, Any] = {"template": template.name, "bytes": len(message), **block}
    for name, entries in groups.items():
        fields[f"{name}.count"] = len(entries)
        fields.update({f"{name}[{i}]": entry for i, entry in enumerate(entries)})
    return fields
