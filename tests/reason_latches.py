"""What pauses or halts for longer than its cause: losses, bursts, moves against us, volatility."""

from fractions import Fraction
from math import floor

from mmquant.codes import Reason
from mmquant.state import FILLS_KEPT

__all__ = ["Latches", "worth"]

MS = 1_000_000
S = 1_000 * MS
MINUTE_S = 60


def worth(tick_lots, instrument):
    """Return what so many ticks times lots are in the quote asset."""
    return tick_lots * instrument["tick_size_e8"] * instrument["lot_size_e8"] / 10**16


def profit_of(row):
    """Return the profit that a position message tells: half ticks times lots, rounded down."""
    fees = Fraction(row["fees_micro_tick_lots"] - row["base_fees_micro_tick_lots"], 10**6)
    coins = Fraction(row["base_fees_micro_lots"] * row["mark_half_ticks"], 10**6)
    funding = Fraction(row["funding_micro_tick_lots"], 10**6)
    profit = floor(row["total_half_tick_lots"] + 2 * (funding - fees) - coins)
    return floor(profit * (row["quote_worth"] or 1.0))


class Latches:
    """Profits, fills and volatility of one instrument, and the pause they led to."""

    def __init__(self):
        self.clock_ns = 0  # the market's
        self.pause, self.until_ns = Reason.NONE, 0
        self.start = self.peak = 0
        self.profits = []  # second, and half ticks times lots; empty before the session began
        self.fill_ns = []
        self.waiting = []  # fills not judged yet: when, signed lots, twice the mid then
        self.moves = []  # of those judged: lots, and half ticks in our favour
        self.baseline, self.baseline_from_ns, self.baseline_at_ns = 0.0, 0, 0

    def arm(self):
        """Begin the session anew."""
        self.pause, self.profits, self.moves = Reason.NONE, [], []

    @property
    def paused_by(self):
        """Return why only what shrinks the position is quoted now, NONE where it is not so."""
        return self.pause if self.clock_ns < self.until_ns else Reason.NONE

    def _pause(self, reason, now_ns, settings):
        self.pause = reason
        self.until_ns = now_ns + round(settings["gates"]["pause_s"] * S)

    def hear_profit(self, line, instrument):
        """Take a position message; return why it halts, NONE where it does not."""
        gates, profit = line.settings["gates"], profit_of(line.row)
        now_ns = max(self.clock_ns, line.row["now_ns"])
        second = max([now_ns // S, *(at for at, _ in self.profits[-1:])])
        if not self.profits:
            self.start = self.peak = profit
        self.peak = max(self.peak, profit)
        self.profits.append((second, profit))

        def exceeds(lost, name):
            return worth(lost, instrument) / 2 > float(gates[name])

        if exceeds(self._best_of_minute(second) - profit, "max_minute_loss"):
            self._pause(Reason.MINUTE_LOSS, now_ns, line.settings)
        if exceeds(self.start - profit, "max_session_loss"):
            return Reason.SESSION_LOSS
        return Reason.DRAWDOWN if exceeds(self.peak - profit, "max_drawdown") else Reason.NONE

    def _best_of_minute(self, second):
        """Return the best profit from a minute ago on; one lasts until the next is heard."""
        begin = second - MINUTE_S
        older = [each for each in self.profits if each[0] < begin][-1:]
        self.profits = older + [each for each in self.profits if each[0] >= begin]
        has_lasted = older and all(at != begin for at, _ in self.profits)
        return max(profit for at, profit in self.profits if at >= begin or has_lasted)

    def hear_fill(self, line):
        """Take a fill: too many within the window pause."""
        gates, row = line.settings["gates"], line.row
        now_ns = max(self.clock_ns, row["now_ns"])
        if len(self.waiting) == FILLS_KEPT:
            self._judge_oldest(row["mark_half_ticks"], now_ns, line.settings)
        self.waiting.append((now_ns, row["side"] * row["qty_lots"], row["mark_half_ticks"]))
        self.fill_ns.append(now_ns)
        newest = self.fill_ns[-gates["max_fills"] :]
        is_full = len(newest) == gates["max_fills"]
        if is_full and now_ns - newest[0] <= round(gates["fill_window_s"] * S):
            self._pause(Reason.FILL_BURST, now_ns, line.settings)

    def watch(self, pricing, settings):
        """Judge fills and volatility by prices that every gate lets through."""
        mid_half_ticks = pricing["bid_ticks"] + pricing["ask_ticks"]
        horizon_ns = settings["gates"]["markout_horizon_ms"] * MS
        while self.waiting and self.waiting[0][0] + horizon_ns <= self.clock_ns:
            self._judge_oldest(mid_half_ticks, self.clock_ns, settings)
        self._watch_volatility(pricing["volatility_ticks_per_sqrt_s"], settings)

    def _judge_oldest(self, mid_half_ticks, now_ns, settings):
        _, lots, mark = self.waiting.pop(0)
        move = mid_half_ticks - mark
        self.moves.append((abs(lots), move if lots > 0 else -move))
        count = settings["gates"]["markout_fills"]
        latest = self.moves[-count:]
        most = round(2 * settings["gates"]["max_adverse_markout_ticks"])
        gained = sum(lots * move for lots, move in latest)
        if len(latest) == count and gained < -most * sum(lots for lots, _ in latest):
            self.moves = []
            self._pause(Reason.ADVERSE_MARKOUT, now_ns, settings)

    def _watch_volatility(self, volatility, settings):
        """Hold it against its mean so far, which forgets what is older than its time."""
        gates, now_ns = settings["gates"], self.clock_ns
        span_ns = round(gates["volatility_baseline_s"] * S)
        if not self.baseline_from_ns:
            self.baseline, self.baseline_from_ns, self.baseline_at_ns = volatility, now_ns, now_ns
            return
        age_ns, passed_ns = now_ns - self.baseline_from_ns, now_ns - self.baseline_at_ns
        is_known = 10 * age_ns >= span_ns and self.baseline > 0.0
        if is_known and volatility > gates["max_volatility_ratio"] * self.baseline:
            self._pause(Reason.VOLATILITY_JUMP, now_ns, settings)
        if passed_ns > 0:
            share = min(1.0, passed_ns / min(age_ns, span_ns))
            self.baseline += share * (volatility - self.baseline)
            self.baseline_at_ns = now_ns
