"""The storm of faults: its rules on made-up recordings, and a minute of the real thing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mm_cli.chaos_report import chaos_verdict
from mm_cli.followed_book import Difference, FollowedBook, compare
from mm_cli.live_check import LONGEST_PULL_NS, check_live
from mm_cli.recorder import BookWord, PricingWord, QuotesWord, Recording, StateWord

from mmquant.codes import BookState

ROOT = Path(__file__).parents[1]
MS = 1_000_000


def healthy():
    """LIVE from 10 ms, broken from 50 ms to 90 ms, the news 2 ms later at the strategy."""
    return Recording(
        books=[
            BookWord(1, 1, 10 * MS, True, 100),
            BookWord(1, 2, 50 * MS, False, 100),
            BookWord(1, 3, 90 * MS, True, 130),
            BookWord(1, 4, 2_000 * MS, True, 140),
        ],
        states=[
            StateWord(1, 1, 11 * MS, BookState.LIVE),
            StateWord(1, 2, 51 * MS, BookState.GAP),
            StateWord(1, 3, 91 * MS, BookState.LIVE),
        ],
        pricing=[
            PricingWord(1, 1, 11 * MS, 10 * MS, True),
            PricingWord(1, 2, 51 * MS, 50 * MS, False),
            PricingWord(1, 3, 91 * MS, 90 * MS, True),
        ],
        quotes=[
            QuotesWord(1, 1, 12 * MS, 1, 2),
            QuotesWord(1, 2, 52 * MS, 2, 0),
            QuotesWord(1, 3, 92 * MS, 3, 2),
        ],
    )


def test_a_healthy_pipeline_breaks_no_rule():
    check = check_live(healthy())
    assert check.violations == []
    assert check.pulls_ns == [2 * MS]
    assert check.not_live_ns == 40 * MS
    assert check.quoted_ns == 40 * MS


def test_quotes_on_their_way_with_the_news_are_no_fault():
    recording = healthy()
    recording.quotes.insert(1, QuotesWord(1, 9, 51 * MS, 1, 2))  # repeated before the news came
    check = check_live(recording)
    assert check.violations == []
    assert check.pulls_ns == [2 * MS]


def test_quotes_on_prices_that_are_not_live():
    recording = healthy()
    recording.quotes[1] = QuotesWord(1, 2, 52 * MS, 2, 2)
    texts = check_live(recording).violations
    assert any("quotes on prices that are not LIVE" in text for text in texts)
    assert any("quotes were not pulled" in text for text in texts)


def test_prices_that_hide_a_broken_book():
    recording = healthy()
    recording.pricing[1] = PricingWord(1, 2, 51 * MS, 50 * MS, True)
    (text,) = check_live(recording).violations
    assert text.startswith("LIVE prices of a book that is not LIVE: PricingWord(")
    assert "seq=2, sent_ns=50000000, is_live=False" in text


def test_quotes_that_nobody_pulls():
    recording = healthy()
    del recording.quotes[1]
    (text,) = check_live(recording).violations
    assert "quotes were not pulled" in text
    recording.quotes = recording.quotes[:1]  # and none ever again
    (text,) = check_live(recording).violations
    assert "quotes were not pulled" in text
    # But a recording that ends at once proves nothing.
    recording.books, recording.pricing = recording.books[:2], recording.pricing[:2]
    assert check_live(recording).violations == []


def test_quotes_that_are_pulled_too_late():
    recording = healthy()
    recording.books[2] = BookWord(1, 3, 3_000 * MS, True, 130)
    recording.pricing[2] = PricingWord(1, 3, 3_001 * MS, 3_000 * MS, True)
    recording.states[2] = StateWord(1, 3, 3_001 * MS, BookState.LIVE)
    late_ns = 50 * MS + LONGEST_PULL_NS
    recording.quotes[1:] = [QuotesWord(1, 2, late_ns, 2, 0), QuotesWord(1, 3, 3_002 * MS, 3, 2)]
    assert check_live(recording).violations == []
    recording.quotes[1] = QuotesWord(1, 2, late_ns + 1, 2, 0)
    (text,) = check_live(recording).violations
    assert text.startswith("pulled late")


def test_quotes_of_a_pricing_message_that_never_was():
    recording = healthy()
    recording.quotes[2] = QuotesWord(1, 3, 92 * MS, 77, 2)
    assert "never sent" in check_live(recording).violations[0]


def test_a_pricing_that_starts_anew_counts_from_the_first_message_again():
    recording = healthy()
    recording.pricing += [
        PricingWord(1, 1, 101 * MS, 90 * MS, True),
        PricingWord(1, 2, 102 * MS, 90 * MS, True),
        PricingWord(1, 3, 103 * MS, 50 * MS, False),  # not what number 3 was before
    ]
    recording.quotes.append(QuotesWord(1, 4, 102 * MS, 2, 2))  # nor is this the first number 2
    assert check_live(recording).violations == []
    recording.quotes.append(QuotesWord(1, 5, 103 * MS, 3, 2))
    (text,) = check_live(recording).violations
    assert text.startswith("quotes on prices that are not LIVE")


def test_a_collector_that_says_one_thing_and_sends_another():
    recording = healthy()
    del recording.books[1], recording.pricing[1], recording.quotes[1]
    (text,) = check_live(recording).violations
    assert text.startswith("stream 10 goes on as LIVE: StateWord(")


def test_another_instrument_s_state_is_its_own():
    recording = healthy()
    recording.books.append(BookWord(2, 5, 11 * MS, False, 7))
    assert check_live(recording).violations == []


KNOWN = (1, 1_000)
SIDES = ([(99, 5), (98, 4)], [(101, 6), (102, 3)])


def test_the_followed_book_applies_deltas_and_breaks_at_a_hole():
    book = FollowedBook()
    book.snapshot(7, 100, True, KNOWN, SIDES)
    book.delta(7, 100, 105, ([(99, 0), (97, 1)], [(101, 8)]))
    assert (book.bids, book.asks) == ({98: 4, 97: 1}, {101: 8, 102: 3})
    assert (book.known_low_ticks, book.known_high_ticks) == (98, 102)
    book.delta(7, 90, 100, ([(98, 9)], []))  # old news
    book.delta(6, 105, 110, ([(98, 9)], []))  # of another book
    assert (book.bids[98], book.update_id, book.is_whole) == (4, 105, True)
    book.delta(7, 107, 110, ([], []))
    assert (book.is_whole, book.holes) == (False, 1)
    book.snapshot(7, 110, True, KNOWN, SIDES)
    assert (book.is_whole, book.update_id, book.bids[99]) == (True, 110, 5)


def test_a_repeated_snapshot_is_held_against_the_book():
    book = FollowedBook()
    book.snapshot(7, 100, True, KNOWN, SIDES)
    book.snapshot(7, 100, True, KNOWN, SIDES)
    assert book.disagreements == 0
    book.snapshot(7, 100, True, KNOWN, ([(99, 5), (98, 3)], SIDES[1]))
    assert book.disagreements == 1
    book.snapshot(7, 99, True, KNOWN, ([], []))  # an older one says nothing
    assert book.update_id == 100
    book.snapshot(7, 100, False, KNOWN, SIDES)
    assert not book.is_live


def test_books_are_compared_where_both_are_known():
    book = FollowedBook()
    book.snapshot(7, 100, True, KNOWN, SIDES)
    assert compare(book, {99: 5, 98: 4, 97: 1}, {101: 6, 102: 3}, 98, 102) == []
    assert compare(book, {98: 4}, {100: 1, 101: 6, 102: 2}, 98, 102) == [
        Difference("bid", 99, 5, 0),
        Difference("ask", 100, 0, 1),
        Difference("ask", 102, 3, 2),
    ]


def good_report():
    return {
        "complete": True,
        "seconds": 60.0,
        "faults": 200,
        "book_mismatches": 0,
        "audit_mismatches": 0,
        "books": {"BTCUSDT": {"compared_after": 1}, "ETHUSDT": {"compared_after": 1}},
        "mismatches": [],
        "touch_mismatches": 0,
        "quotes_while_not_live": 0,
        "violations": [],
        "lost": 0,
        "restarts": 0,
        "healed_s": 1.0,
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"faults": 199}, "only 199 faults"),
        ({"book_mismatches": 2, "mismatches": ["x"]}, "2 books differ: ['x']"),
        ({"touch_mismatches": 1}, "1 wrong touches"),
        ({"quotes_while_not_live": 1, "violations": ["y"]}, "1 times quotes while not LIVE"),
        ({"lost": 3}, "3 messages lost"),
        ({"restarts": 1}, "1 restarts"),
        ({"healed_s": None}, "not healthy again"),
        ({"books": {"X": {"compared_after": 0}}}, "not compared after the faults: X"),
        ({"audit_mismatches": 1}, "1 audits found"),
    ],
)
def test_each_rule_fails_by_itself(change, reason):
    assert chaos_verdict(good_report()) == []
    (only,) = chaos_verdict(good_report() | change)
    assert reason in only


@pytest.mark.long
@pytest.mark.parametrize("market", ["usdm", "spot"])
def test_a_minute_of_chaos(tmp_path, market):
    directory = f"/dev/shm/mmquant-chaos-{os.getpid()}"
    environment = os.environ | {
        "MM_RUNTIME__AERON__DIRECTORY": directory,
        "MM_RUNTIME__STATE_DIRECTORY": str(tmp_path / "var"),
        "MM_RUNTIME__LOGS__DIRECTORY": str(tmp_path / "logs"),
        "MM_RUNTIME__METRICS__ENABLED": "false",
        # A machine that stands still for seconds beside other tests is none of the faults.
        "MM_RUNTIME__AERON__DRIVER_TIMEOUT_MS": "10000",
    }
    out = tmp_path / "chaos.json"
    command = [sys.executable, "-m", "mm_cli.main", "chaos", "--seconds", "60", "--seed", "1"]
    command += ["--market", market]
    done = subprocess.run(
        [*command, "--json", str(out)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.exists(), done.stderr
    report = json.loads(out.read_text())
    assert report["verdict"] == {"passed": True, "reasons": []}, done.stdout
    assert done.returncode == 0
    assert report["faults"] >= 200
    assert len(report["faults_by_kind"]) >= 15
    assert report["resyncs"] >= 10
    assert report["book_mismatches"] == 0
    assert report["books_compared_after"] == len(report["books"]) == 3
    for book in report["books"].values():
        assert (book["mismatches"], book["compared_after"]) == (0, 1)
        assert book["compared"] >= 10
    assert report["audits"] >= 10
    assert report["quotes_while_not_live"] == 0
    assert report["pulls"] >= 5  # there was something to pull
    assert report["quoted_share"] > 0.05
    assert report["lost"] == 0
    assert not Path(directory).exists()
