"""Each reason comes with the quotes behind the message that bears its cause: on a small session."""

from dataclasses import replace

import pytest
from gate_scenarios import HALTED, PAUSED, PULLED, UNJUDGED
from heard_and_said import Kind, lines_of
from reasons_in_time import times_in_time
from recorded_session import record_session

from mmquant.codes import Reason, Role, Template

FADING = {Reason.INVENTORY_SOFT_LIMIT: {"soft_limit": 0.0}}  # or the limit is passed first
TRIPPED = [
    (FADING.get(reason, changes), reason)
    for changes, reason in PULLED + PAUSED + HALTED
    if reason not in UNJUDGED
]


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    (lines,) = lines_of(record_session(folder, 200), folder)
    return lines


def test_what_a_message_bears_is_in_the_next_quotes(lines):
    counts = times_in_time(lines)
    assert counts[Reason.BOOK_NOT_LIVE] >= 1


def test_a_reason_that_comes_a_message_late_is_found(lines):
    late = list(lines)
    at = next(
        k
        for k, line in enumerate(late)
        if line.kind is Kind.SAID and line.row["reason"] == Reason.BOOK_NOT_LIVE
    )
    behind = next(k for k in range(at + 1, len(late)) if late[k].kind is not Kind.SAID)
    late.insert(behind, late.pop(at))
    with pytest.raises(AssertionError):
        times_in_time(late)


@pytest.mark.parametrize(("changes", "reason"), TRIPPED, ids=[reason.name for _, reason in TRIPPED])
def test_a_reason_that_never_comes_is_found(lines, changes, reason):
    def changed(settings):
        return settings | changes | {"gates": settings["gates"] | changes.get("gates", {})}

    with pytest.raises(AssertionError, match=reason.name):
        times_in_time([replace(line, settings=changed(line.settings)) for line in lines])


def test_a_reason_without_its_cause_is_found(lines):
    at = next(k for k, line in enumerate(lines) if line.kind is Kind.SAID and any(line.orders))
    for reason in (Reason.UPSTREAM_SILENT, Reason.BOOK_STALE, Reason.KILLED):
        wrong = replace(lines[at], row=lines[at].row | {"reason": reason}, orders=([], []))
        with pytest.raises(AssertionError, match=reason.name):
            times_in_time([*lines[:at], wrong, *lines[at + 1 :]])


@pytest.mark.parametrize("role", [Role.MM_COLLECTOR, Role.MM_PRICING, Role.MM_SIMULATOR])
def test_quotes_beyond_a_missed_heartbeat_are_found(lines, role):
    beats = [line for line in lines if line.template is Template.HEARTBEAT]
    others = [id(line) for line in beats if line.row["role"] == role][1:]
    with pytest.raises(AssertionError, match="UPSTREAM_SILENT"):
        times_in_time([line for line in lines if id(line) not in others])


def test_quotes_without_a_position_are_found(lines):
    with pytest.raises(AssertionError, match="NO_POSITION"):
        times_in_time([line for line in lines if line.template is not Template.POSITION])


def test_quotes_of_a_kill_are_found(lines):
    at = next(k for k, line in enumerate(lines) if line.kind is Kind.SAID and any(line.orders))
    turn = next(k for k in range(at, len(lines)) if lines[k].kind is Kind.TURN)
    killed = replace(lines[turn], kind=Kind.LOOKED, halt=Reason.KILLED)
    with pytest.raises(AssertionError, match="KILLED"):
        times_in_time([*lines[: turn + 1], killed, *lines[turn + 1 :]])
