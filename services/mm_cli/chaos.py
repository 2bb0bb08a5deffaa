"""A storm of venue faults, watched: the book must be the venue's, and no quote out on a bad one."""

import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mm_runtime.transport import DriverLost

from mm_cli.followed_book import FollowedBook, compare
from mm_cli.launcher import Launcher
from mm_cli.processes import CannotContinue
from mm_cli.recorder import Recorder
from mm_cli.venue_faults import VenueFaults, ask_venue
from mmquant.codes import Market

__all__ = ["FAULTS_PER_S", "Chaos"]

FAULTS_PER_S = 5.0
_COMPARE_INTERVAL_S = 0.25
_READ_INTERVAL_S = 5.0
_PAUSE_S = 0.001
_READY_TIMEOUT_S = 60.0
_HEAL_TIMEOUT_S = 60.0
_HEALTHY_S = 3.0  # so long in one piece, before it counts as healed
_LAST_TIMEOUT_S = 10.0  # for the comparison of every book afterwards
_QUOTES_AGE_NS = 1_000_000_000
_LEVELS = 100_000
_E8 = Decimal(100_000_000)
_MAX_KEPT = 20


@dataclass
class Chaos:
    """Drives a started launcher through a storm of faults.

    Attributes
    ----------
    compared, compared_after
        By symbol, how often its book was held against the venue's: all together and after the
        faults had stopped.
    mismatches
        Of them, those with a difference; `differences` tells of the first ones.
    healed_s
        From the end of the faults until the pipeline was healthy for good; None: never.
    """

    launcher: Launcher
    duration_s: float
    seed: int
    compared: Counter[str] = field(default_factory=Counter)
    compared_after: Counter[str] = field(default_factory=Counter)
    mismatches: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    healed_s: float | None = None
    complete: bool = False

    def __post_init__(self) -> None:
        venue = self.launcher.plan.venue
        assert venue is not None
        self.symbols = venue.symbols
        self.faults = VenueFaults(
            self.launcher.venue_address,
            self.seed,
            FAULTS_PER_S,
            Market[venue.market.upper()],
            venue.symbols,
        )
        self._recorder: Recorder | None = None
        self._turn = 0
        self._next_compare_s = 0.0
        self._next_read_s = 0.0

    @property
    def recorder(self) -> Recorder:
        """What was recorded; there once the media driver is."""
        if self._recorder is None:
            raise CannotContinue("nothing was recorded: the media driver never came up")
        return self._recorder

    def run(self) -> None:
        """Wait for quotes; let the faults come; let it heal; compare.

        Raises
        ------
        CannotContinue
            The pipeline never quoted, or the recording was cut off.
        """
        if not self._wait_until_healthy(_READY_TIMEOUT_S):
            raise CannotContinue(f"no quotes within {_READY_TIMEOUT_S:g} s of the start")
        self._storm()
        self.complete = True
        began_s = time.monotonic()
        self.faults.clear()
        self.faults.read()
        if self._wait_until_healthy(_HEAL_TIMEOUT_S):
            self.healed_s = time.monotonic() - began_s - _HEALTHY_S
        before = Counter(self.compared)
        deadline_s = time.monotonic() + _LAST_TIMEOUT_S
        while len(self.compared_after) < len(self.symbols) and time.monotonic() < deadline_s:
            self._poll()
            for symbol in set(self.symbols) - self.compared_after.keys():
                self._compare(symbol)
            self.compared_after = self.compared - before

    def close(self) -> None:
        """Leave the media driver."""
        if self._recorder is not None:
            self._recorder.close()

    # inner works

    def _storm(self) -> None:
        began_ns = time.monotonic_ns()
        while (elapsed_ns := time.monotonic_ns() - began_ns) < self.duration_s * 1e9:
            self._poll()
            self.faults.arm_due(elapsed_ns)
            elapsed_s = elapsed_ns / 1e9
            if elapsed_s >= self._next_compare_s:
                self._next_compare_s = elapsed_s + _COMPARE_INTERVAL_S
                self._compare(self.symbols[self._turn % len(self.symbols)])
                self._turn += 1
            if elapsed_s >= self._next_read_s:
                self._next_read_s = elapsed_s + _READ_INTERVAL_S
                self.faults.read()

    def _poll(self) -> None:
        count = self.launcher.watch()
        try:
            if self._recorder is None:
                self._recorder = Recorder(self.launcher.settings)
            count += self._recorder.poll()
        except DriverLost as error:
            if self._recorder is not None:
                raise CannotContinue(f"the recording was cut off: {error}") from error
        if count == 0:
            time.sleep(_PAUSE_S)

    def _wait_until_healthy(self, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        since_s: float | None = None
        while (now_s := time.monotonic()) < deadline_s:
            self._poll()
            if not self._is_healthy():
                since_s = None
            elif since_s is None:
                since_s = now_s
            elif now_s - since_s >= _HEALTHY_S:
                return True
        return False

    def _is_healthy(self) -> bool:
        quoted_ns = self.launcher.monitor.last_quote_ns
        if self._recorder is None or time.time_ns() - quoted_ns > _QUOTES_AGE_NS:
            return False
        books = self._recorder.books.values()
        return len(books) == len(self.symbols) and all(
            book.is_live and book.is_whole for book in books
        )

    def _compare(self, symbol: str) -> None:
        """Hold a LIVE book against the venue's at the same update id, where it still knows it."""
        known = self.recorder.instruments.items()
        found_id = next((number for number, row in known if row[0] == symbol), 0)
        book = self.recorder.books.get(found_id)
        if book is None or not (book.is_live and book.is_whole):
            return
        _, tick_size_e8, lot_size_e8 = self.recorder.instruments[found_id]
        path = f"/debug/book?symbol={symbol}&update_id={book.update_id}&limit={_LEVELS}"
        true = ask_venue(self.launcher.venue_address, "GET", path)
        if true is None:
            return
        sides = [_levels(true[side], tick_size_e8, lot_size_e8) for side in ("bids", "asks")]
        low, high = book.known_low_ticks, book.known_high_ticks
        found = compare(book, sides[0], sides[1], low, high)
        self.compared[symbol] += 1
        if found:
            self.mismatches[symbol] += 1
            if len(self.differences) < _MAX_KEPT:
                self.differences.append(_told(symbol, book, found))


def _levels(rows: list[list[str]], tick_size_e8: int, lot_size_e8: int) -> dict[int, int]:
    return {
        int(Decimal(price) * _E8) // tick_size_e8: int(Decimal(qty) * _E8) // lot_size_e8
        for price, qty in rows
    }


def _told(symbol: str, book: FollowedBook, found: list[Any]) -> str:
    return (
        f"{symbol} epoch {book.epoch} at update id {book.update_id}, known "
        f"{book.known_low_ticks} to {book.known_high_ticks}: {len(found)} levels differ, first "
        f"{found[0]}"
    )
