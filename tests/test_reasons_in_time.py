"""Each reason comes with the quotes behind the message that bears its cause: on a small session."""

import pytest
from heard_and_said import lines_of, times_in_time
from recorded_session import record_session

from mmquant.codes import Reason


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
        if line.is_said and line.row["reason"] == Reason.BOOK_NOT_LIVE
    )
    behind = next(k for k in range(at + 1, len(late)) if not late[k].is_said)
    late.insert(behind, late.pop(at))
    with pytest.raises(AssertionError):
        times_in_time(late)
