"""A recorded session computes to the same bytes; a wrong byte or a lost input is found."""

import json
import time
from pathlib import Path

import pytest
from memory_bus import MemoryBus, SteppedClock
from mm_cli import session_replay
from mm_cli.main import app
from mm_cli.verify import verify_session
from mm_recorder.service import Recorder
from mm_runtime.agent import CannotStart
from mm_runtime.journal import Phase, WrittenJournal
from mm_runtime.session_file import (
    MAGIC,
    Item,
    Kind,
    SessionError,
    SessionFile,
    SessionWriter,
    pack,
)
from mm_runtime.settings import (
    RecorderSettings,
    RuntimeSettings,
    SessionSettings,
    SimulatorSettings,
    StrategySettings,
)
from mm_simulator.service import Simulator
from mm_strategy.service import Strategy
from recorded_session import record_session
from typer.testing import CliRunner

from mmquant.codes import Stream
from mmquant.state import PRICING_MEMORY

MEGABYTE = 1_000_000
STEPS = 120


def silent(turns, service):
    """Say nothing."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return the folder of a session that nobody changes."""
    return record_session(tmp_path_factory.mktemp("session"), STEPS)


@pytest.fixture
def session(recorded, tmp_path):
    """Return a copy of it to be changed."""
    folder = tmp_path / "copy"
    (folder / "journals").mkdir(parents=True)
    for path in recorded.rglob("*.mms"):
        (folder / path.relative_to(recorded)).write_bytes(path.read_bytes())
    return folder


def streams_of(session):
    return next(session.glob("streams-*.mms"))


def journal_of(session, service):
    return next((session / "journals").glob(f"{service}-*.mms"))


def rewrite(path, change):
    """Write a session's file anew, its checksums right, with the items that `change` gives."""
    file = SessionFile(path)
    items = list(change(list(file)))
    file.close()
    path.write_bytes(MAGIC + b"".join(pack(i, item) for i, item in enumerate(items)))


def flip(item, byte):
    payload = bytearray(item.payload)
    payload[byte] ^= 1
    return item._replace(payload=bytes(payload))


def position_of(items, kind, stream=0, skip=0):
    found = [i for i, item in enumerate(items) if (item.kind, item.stream) == (kind, stream)]
    return found[skip]


def test_every_output_is_computed_to_the_same_bytes(recorded):
    result = verify_session(recorded, silent)
    assert result.is_equal
    assert (result.verdict, result.unverified) == ("EQUAL", [])
    compared = {}
    for service in result.services:
        assert service.ended == "in order"
        assert service.inputs_checked == service.inputs > 0
        assert not service.unrecorded
        compared |= service.compared
    assert set(compared) == {"pricing", "quotes", "fills", "positions"}
    assert compared == {name: result.messages[name] for name in compared}
    assert min(compared.values()) > 10


def test_a_killed_service_and_its_successor_are_both_computed(tmp_path):
    result = verify_session(record_session(tmp_path, STEPS, kill_at=STEPS // 2), silent)
    assert result.is_equal
    ended = [service.ended for service in result.services if service.service == "mm_strategy"]
    assert ended == ["killed", "in order"]
    assert result.verdict == "EQUAL", "it had written down all that it sent"


def test_restarted_services_go_on_from_their_journals(tmp_path):
    record_session(tmp_path, STEPS)
    (tmp_path / "s").rename(tmp_path / "first")
    second = record_session(tmp_path, STEPS, seed=2)  # with the first one's ledger
    journal = SessionFile(journal_of(second, "mm_simulator"))
    restored = [item.payload for item in journal if item.kind == Kind.OUTSIDE]
    journal.close()
    assert len(restored) == 1
    assert len(restored[0]) > 1000, "the account of the first session"
    journal = SessionFile(journal_of(second, "mm_pricing"))
    stored = [item.payload for item in journal if item.kind == Kind.OUTSIDE]
    journal.close()
    assert [len(payload) for payload in stored] == [PRICING_MEMORY.itemsize], "its estimates"
    assert verify_session(second, silent).is_equal


@pytest.mark.parametrize("stream", [Stream.PRICING, Stream.QUOTES, Stream.FILLS, Stream.POSITIONS])
def test_one_other_byte_of_an_output_is_found(session, stream):
    def change(items):
        at = position_of(items, Kind.MESSAGE, stream, skip=5)
        items[at] = flip(items[at], 40)
        return items

    rewrite(streams_of(session), change)
    result = verify_session(session, silent)
    assert not result.is_equal
    # Who consumes the message finds it as well, in its inputs.
    first = next(s.difference for s in result.services if s.difference is not None)
    assert first.stream == stream.name.lower()
    assert len(first.fields) == 1
    (recorded, computed) = next(iter(first.fields.values()))
    assert recorded != computed


def test_a_dropped_input_is_found(session):
    def change(items):
        del items[position_of(items, Kind.MESSAGE, Stream.MARKET_DATA, skip=20)]
        return items

    rewrite(journal_of(session, "mm_pricing"), change)
    result = verify_session(session, silent)
    assert not result.is_equal
    problems = {service.service: service.problem for service in result.services}
    assert "were not read" in problems["mm_pricing"]
    assert not problems["mm_strategy"]


def test_an_input_with_another_byte_is_found(session):
    def change(items):
        at = position_of(items, Kind.MESSAGE, Stream.PRICING, skip=9)
        items[at] = flip(items[at], 80)
        return items

    rewrite(journal_of(session, "mm_strategy"), change)
    result = verify_session(session, silent)
    assert [s.service for s in result.services if not s.is_equal] == ["mm_strategy"]
    assert "pricing was consumed" in next(s.problem for s in result.services if s.problem)


def test_a_wrong_time_is_found(session):
    def change(items):
        begin = position_of(items, Kind.CLOCK, skip=200)
        for at, item in enumerate(items):
            if at >= begin and item.kind == Kind.CLOCK:
                items[at] = item._replace(now_ns=item.now_ns + 1)
        return items

    rewrite(journal_of(session, "mm_pricing"), change)
    result = verify_session(session, silent)
    difference = next(s.difference for s in result.services if s.service == "mm_pricing")
    assert set(difference.fields) <= {"sent_ns", "received_ns"}


def test_an_output_missing_in_the_recording_is_found(session):
    def change(items):
        del items[position_of(items, Kind.MESSAGE, Stream.FILLS, skip=7)]
        return items

    rewrite(streams_of(session), change)
    result = verify_session(session, silent)
    assert not result.is_equal
    assert "1 messages of fills are missing" in next(
        s.problem for s in result.services if s.problem
    )


def test_a_service_without_a_journal_is_said(session):
    journal_of(session, "mm_strategy").unlink()
    result = verify_session(session, silent)
    assert not result.is_equal
    assert any(problem.startswith("quotes: session") for problem in result.problems)


def test_a_damaged_file_is_named_with_its_place(session):
    path = streams_of(session)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(SessionError, match=rf"{path.name}: record \d+ at byte \d+ is damaged"):
        verify_session(session, silent)


def test_a_recording_cut_short_is_not_equal(session):
    path = streams_of(session)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = verify_session(session, silent)
    assert not result.is_equal
    assert any("are missing in the recording" in service.problem for service in result.services)


def test_a_service_that_lost_its_driver_is_computed_up_to_there(tmp_path):
    session = record_session(tmp_path, STEPS, lose_at=STEPS // 2)
    result = verify_session(session, silent)
    assert result.is_equal, [service.problem for service in result.services]
    ended = [service.ended for service in result.services if service.service == "mm_strategy"]
    assert ended == ["by an error", "in order"]
    assert all(service.compared for service in result.services)


def test_a_file_cut_short_is_read_to_its_last_whole_record(session):
    path = journal_of(session, "mm_simulator")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = verify_session(session, silent)
    simulator = next(s for s in result.services if s.service == "mm_simulator")
    assert simulator.ended == "killed"
    assert sum(simulator.beyond.values()) > 0
    assert result.is_equal
    assert result.verdict == "INCOMPLETE"
    assert [
        f"{journal_of(session, 'mm_simulator').name}: {name}: {n} messages were recorded after the "
        "end of its journal"
        for name, n in simulator.beyond.items()
    ] == sorted(result.unverified)


def test_a_killed_service_that_computed_nothing_of_a_stream_is_not_equal(session, tmp_path):
    path = journal_of(session, "mm_simulator")

    def before_its_first_output(items):
        """Leave its start, in which it publishes, and nothing that it computed."""
        turns = [i for i, item in enumerate(items) if item.kind == Kind.TURN]
        return items[: turns[1]]

    rewrite(path, before_its_first_output)
    result = verify_session(session, silent)
    assert result.is_equal, "nothing that was compared differs"
    assert result.verdict == "INCOMPLETE"
    assert [text.partition(",")[0] for text in result.unverified] == [
        f"{path.name}: fills: nothing was compared",
        f"{path.name}: positions: nothing was compared",
    ]
    done = CliRunner().invoke(app, ["verify-session", str(session), "--json", str(tmp_path / "r")])
    assert done.exit_code == 1
    assert "INCOMPLETE" in done.output
    assert "left no last words" in done.output
    told = json.loads((tmp_path / "r").read_text())
    assert (told["verdict"], told["equal"]) == ("INCOMPLETE", False)


@pytest.mark.parametrize("service", ["mm_pricing", "mm_strategy", "mm_simulator"])
def test_a_service_killed_before_its_first_turn_computes_nothing(session, service):
    # What a kill leaves right after the start: who it is, and no turn yet.
    path = journal_of(session, service)
    file = SessionFile(path)
    first = next(iter(file))
    file.close()
    path.with_name(f"{service}-9-9.mms").write_bytes(MAGIC + pack(0, first))
    result = verify_session(session, silent)
    assert result.is_equal
    assert result.verdict == "INCOMPLETE"
    assert result.unverified == [
        f"{service}-9-9.mms: it published nothing before its journal ends: nothing of it was "
        "computed"
    ]
    ends = [(each.turns, each.ended) for each in result.services if each.service == service]
    assert (0, "killed") in ends


def test_a_service_that_says_nothing_any_more_is_found(recorded, monkeypatch):
    class Mute(Strategy):
        def start(self):
            super().start()
            monkeypatch.setattr(self.publisher(Stream.QUOTES), "offer", lambda message: None)

    monkeypatch.setitem(session_replay._SERVICES, "mm_strategy", (Mute, StrategySettings))
    result = verify_session(recorded, silent)
    assert not result.is_equal
    assert [s.service for s in result.services if not s.is_equal] == ["mm_strategy"]
    problem = next(s.problem for s in result.services if s.problem)
    quotes = result.messages["quotes"]
    assert problem.startswith(f"{quotes} messages of quotes were recorded that the service does")


def test_a_service_that_fails_where_it_went_on_then_is_said(recorded, monkeypatch):
    class Broken(Strategy):
        def duty(self, now_ns):
            return {}["nothing"]

    monkeypatch.setitem(session_replay._SERVICES, "mm_strategy", (Broken, StrategySettings))
    result = verify_session(recorded, silent)
    problem = next(s.problem for s in result.services if s.problem)
    assert problem == "turn 2: failed, where it went on then: KeyError: 'nothing'"


def test_settings_of_another_version_are_said(session):
    def change(items):
        opened = json.loads(items[0].payload)
        opened["config"]["of_old"] = 1
        items[0] = items[0]._replace(payload=json.dumps(opened).encode())
        return items

    rewrite(journal_of(session, "mm_strategy"), change)
    result = verify_session(session, silent)
    problem = next(s.problem for s in result.services if s.problem)
    assert "mm_strategy cannot be built as it was: " in problem
    assert "of_old" in problem
    assert "verify with the version that recorded it" in problem


def test_a_table_of_prices_is_read_from_where_it_lay_and_missed_where_it_is_gone(tmp_path):
    table = tmp_path / "table.json"
    table.write_text('{"adjustment_ticks": [[-0.2, 0.2], [-0.4, 0.4]], "steps": 5}')
    (tmp_path / "pricing.toml").write_text(
        'warmup_s = 0.1\nstoikov_file = "table.json"\n[blend]\nstoikov = 1.0\nmicroprice = 0.0\n'
    )
    session = record_session(tmp_path, STEPS, pricing_dir=tmp_path)
    assert verify_session(session, silent).is_equal
    table.unlink()
    result = verify_session(session, silent)
    assert not result.is_equal
    problem = next(s.problem for s in result.services if s.problem)
    assert problem.startswith(
        f"mm_pricing cannot be built as it was: {tmp_path / 'pricing.toml'}: stoikov_file: "
    )
    assert f"its models and tables in {tmp_path}" in problem


def test_the_command_prints_the_first_difference_and_fails(session, tmp_path):
    runner, out = CliRunner(), tmp_path / "result.json"
    done = runner.invoke(app, ["verify-session", str(session), "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert "byte for byte" in done.output
    assert json.loads(out.read_text())["equal"] is True

    def change(items):
        at = position_of(items, Kind.MESSAGE, Stream.POSITIONS, skip=3)
        items[at] = flip(items[at], 32)
        return items

    rewrite(streams_of(session), change)
    done = runner.invoke(app, ["verify-session", str(session)])
    assert done.exit_code == 1
    assert "FIRST DIFFERENCE: positions message" in done.output
    assert "<--" in done.output


def test_a_folder_without_a_session_is_said_in_one_line(tmp_path):
    done = CliRunner().invoke(app, ["verify-session", str(tmp_path)])
    assert done.exit_code == 2
    assert "give the folder" in done.output


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "x.mms").write_bytes(b"not a session")
    with pytest.raises(SessionError, match="must begin with"):
        SessionFile(tmp_path / "x.mms")


def test_a_full_queue_drops_counts_and_marks_the_place(tmp_path):
    writer = SessionWriter(tmp_path / "a.mms", 1_000, 0)
    message = Item(Kind.MESSAGE, 10, 1, 0, bytes(500))
    assert writer.put([message])
    assert not writer.put([message] * 3)
    assert writer.dropped == 3
    while writer._queue:
        time.sleep(0.001)
    deadline = time.monotonic() + 20
    while not writer.put([message]):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    writer.close()
    file = SessionFile(tmp_path / "a.mms")
    kinds = [(item.kind, item.session) for item in file if item.kind == Kind.HOLE]
    file.close()
    assert kinds == [(Kind.HOLE, writer.dropped)]


def test_a_journal_with_a_hole_ends_there(tmp_path):
    clock = SteppedClock()
    writer = SessionWriter(tmp_path / "mm_pricing-1-1.mms", 300, 0)
    journal = WrittenJournal(clock, writer, {})
    journal.begin(Phase.WORK)
    journal.heard(10, 1, bytes(1_000))
    journal.end(matters=True)
    assert journal.has_hole
    journal.close({})
    file = SessionFile(tmp_path / "mm_pricing-1-1.mms")
    assert [item.kind for item in file] == [Kind.OPENED]
    file.close()


def test_a_disk_without_room_is_said_and_nothing_is_written(tmp_path):
    writer = SessionWriter(tmp_path / "a.mms", MEGABYTE, 10**18)
    deadline = time.monotonic() + 20
    while not writer.refused:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert "left on the disk" in writer.refused
    assert not writer.put([Item(Kind.CLOCK)])
    writer.close()
    assert (tmp_path / "a.mms").read_bytes() == MAGIC


def test_turns_without_consequence_are_not_kept(tmp_path):
    writer = SessionWriter(tmp_path / "a.mms", MEGABYTE, 0)
    journal = WrittenJournal(SteppedClock(), writer, {})
    for matters in (False, True, False):
        journal.begin(Phase.WORK)
        journal.now_ns()
        journal.end(matters)
    journal.now_ns()  # outside a turn: nobody's business
    journal.close({})
    file = SessionFile(tmp_path / "a.mms")
    assert [item.kind for item in file] == [Kind.OPENED, Kind.TURN, Kind.CLOCK, Kind.CLOSED]
    file.close()


def test_a_recorder_without_a_folder_does_not_start():
    with pytest.raises(CannotStart, match=r"session\.directory"):
        Recorder(RuntimeSettings(), RecorderSettings(), SteppedClock())


def test_a_recorder_that_cannot_write_says_why_and_closes(tmp_path):
    (tmp_path / "taken").touch()
    session = SessionSettings(directory=str(tmp_path / "taken"))
    recorder = Recorder(RuntimeSettings(session=session), RecorderSettings(), SteppedClock())
    recorder.connect = MemoryBus().connect
    with pytest.raises(CannotStart, match=r"taken.*File exists"):
        recorder.on_start()
    recorder.on_close()


def test_a_simulator_without_its_ledger_says_why_and_closes(tmp_path):
    (tmp_path / "taken").touch()
    settings = RuntimeSettings(state_directory=str(tmp_path / "taken"))
    simulator = Simulator(settings, SimulatorSettings(), SteppedClock())
    simulator.connect = MemoryBus().connect
    with pytest.raises((OSError, CannotStart), match="taken"):
        simulator.on_start()
    simulator.on_close()


def test_the_folder_is_used_once(recorded):
    from mm_cli.launcher import _check_is_new
    from mm_cli.processes import CannotContinue

    _check_is_new(Path("/nowhere"))
    with pytest.raises(CannotContinue, match="holds a recorded session already"):
        _check_is_new(recorded)
