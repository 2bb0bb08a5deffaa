"""A session of another version is called so; an input that the recorder never heard is said."""

import json

import pytest
from mm_cli.main import app
from mm_cli.verify import verify_session
from mm_runtime import session_version
from mm_runtime.session_file import Kind
from test_session import (
    flip,
    journal_of,
    position_of,
    recorded,
    rewrite,
    session,
    silent,
    streams_of,
)
from typer.testing import CliRunner

import mmquant
from mmquant.codes import Stream

__all__ = ["recorded", "session"]  # fixtures


def opened_as(path, **changed):
    """Write a session's file anew as another version would have begun it."""

    def change(items):
        opened = json.loads(items[0].payload) | changed
        opened = {name: value for name, value in opened.items() if value is not None}
        return [items[0]._replace(payload=json.dumps(opened).encode()), *items[1:]]

    rewrite(path, change)


def other_byte(items):
    at = position_of(items, Kind.MESSAGE, Stream.POSITIONS, skip=3)
    items[at] = flip(items[at], 32)
    return items


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": "0.0.9"}, "was recorded by version 0.0.9, with the same messages"),
        (
            {"version": "0.0.9", "messages": "ab"},
            "was recorded by version 0.0.9, with other messages",
        ),
        (
            {"messages": "ab"},
            f"was recorded by another build of version {mmquant.__version__}, with other messages",
        ),
        ({"version": None, "messages": None}, "does not say by which version it was recorded"),
    ],
)
def test_another_version_is_named_and_no_difference_where_all_is_equal(session, changed, words):
    journal, streams = journal_of(session, "mm_strategy"), streams_of(session)
    opened_as(journal, **changed)
    opened_as(streams, **changed)
    result = verify_session(session, silent)
    assert result.verdict == "EQUAL"
    assert result.other_versions == [f"{streams.name} {words}", f"{journal.name} {words}"]


def test_what_differs_then_is_told_as_another_versions(session):
    rewrite(streams_of(session), other_byte)
    assert verify_session(session, silent).verdict == "DIFFERENT"
    opened_as(journal_of(session, "mm_simulator"), version="0.0.9")
    done = CliRunner().invoke(app, ["verify-session", str(session)])
    assert done.exit_code == 1
    assert "was recorded by version 0.0.9" in done.output
    assert (
        "OTHER VERSION    the session was recorded by another version and does not" in done.output
    )
    assert "DIFFERENT " not in done.output


def test_other_messages_are_another_hash(monkeypatch):
    before = session_version.own_version()
    monkeypatch.setattr(session_version, "schema_xml", lambda: "other")
    assert session_version.own_version()["messages"] != before["messages"]
    assert session_version.another_version(before).endswith("with other messages")


@pytest.mark.parametrize("of", [Stream.MARKET_DATA, Stream.TRADES])
def test_an_input_that_the_recorder_never_heard_is_said_in_words(session, of):
    rewrite(
        streams_of(session),
        lambda items: [
            item
            for i, item in enumerate(items)
            if i not in (position_of(items, Kind.MESSAGE, of, skip=k) for k in (5, 6))
        ],
    )
    result = verify_session(session, silent)
    assert result.verdict == "INCOMPLETE"
    name = of.name.lower()
    assert any(f"{name}: 2 messages were consumed that" in text for text in result.unverified)
    done = CliRunner().invoke(app, ["verify-session", str(session)])
    assert f"2 {name}: consumed, never heard by the recorder" in done.output
    assert done.exit_code == 1


def test_what_came_before_the_recorder_listened_is_counted_alone(session):
    def late(items):
        first = position_of(items, Kind.MESSAGE, Stream.MARKET_DATA)
        return [item for i, item in enumerate(items) if i != first]

    rewrite(streams_of(session), late)
    result = verify_session(session, silent)
    assert result.verdict == "EQUAL"
    assert {1} == {s.unheard["market_data"] for s in result.services if s.unheard}


def test_a_stream_of_which_nothing_was_heard_is_not_confirmed(session):
    rewrite(
        streams_of(session),
        lambda items: [item for item in items if item.stream != Stream.MARKET_DATA],
    )
    assert verify_session(session, silent).verdict == "INCOMPLETE"
