"""Whether each reason came with the very next quotes behind its cause: judged line by line."""

from collections import Counter

from heard_and_said import Kind
from known_so_far import Known
from reason_causes import OF_THE_GATES, causes_of, causes_of_gates, faults_of_orders, is_caused

from mmquant.codes import Reason, RiskState

__all__ = ["times_in_time"]

LOOK_NS = 20_000_000  # without a message each instrument is decided on this often
# Counted from the start, all others only once an instrument has been quoted.
AT_THE_START = {Reason.NO_POSITION, Reason.NOT_WARM, Reason.NO_INSTRUMENT}
SIDES = ((1, "bid_reason"), (-1, "ask_reason"))


def times_in_time(lines):
    """Assert that no reason came late, and none without its cause; return how often each was new.

    Prices, and a position that has moved, are decided on before anything else is heard; with each
    decision the quotes then in force, said or as before, are held against all that was heard.
    """
    judge = Judge()
    for line in lines:
        judge.take(line)
    return judge.counts


def words(quotes, wanted, behind):
    """Say what quotes name and what they should, behind which line."""
    said, should = (
        ", ".join(sorted(reason.name for reason in each)) or "NONE"
        for each in (quotes.reasons, wanted)
    )
    what = behind.kind if behind.template is None else behind.template
    return f"quotes {quotes.row['seq']} name {said}, not {should}, at {what.name} {behind.row}"


class Judge:
    """Hears what the strategy heard, and knows what it should have said."""

    def __init__(self):
        self.known, self.counts = Known(), Counter()
        self.in_force = {}  # the newest quotes of each instrument
        self.quoted = set()  # instruments, at some time
        self.decided_ns = {}
        self.is_asked = False  # by a message that is to be decided on at once
        self.decision = None, set()  # the newest that is not judged yet, and what spoke against

    def take(self, line):
        if line.kind is Kind.SAID:
            self.judge_said(line)
            return
        self.judge_decision(line)
        assert line.kind is Kind.DECIDED or not self.is_asked, line
        if line.kind is Kind.DECIDED:
            self.is_asked = False
            self.decision = line, self.decide(line)
            return
        if line.kind is Kind.TURN:
            self.judge_turn(line)
        self.is_asked = self.known.hear(line)

    def decide(self, line):
        """Let what is known of an instrument pass the gates, or not; return what speaks against."""
        known, desk = self.known, self.known.desks[line.key]
        self.decided_ns[line.key] = line.now_ns
        causes = causes_of(known, desk, line.now_ns, line.settings)
        if not causes_of_gates(known, desk, line.now_ns, line.settings):
            desk.latches.watch(desk.pricing, line.settings)
        if Reason.INTERNAL_ERROR in causes:
            known.halt = Reason.INTERNAL_ERROR
        return causes

    def judge_said(self, line):
        """Hold what was said against the decision that it was made with."""
        before, self.in_force[line.key] = self.in_force.get(line.key), line
        if line.row["reason"] == Reason.STOPPING:
            return
        desk, (decision, causes) = self.known.desks[line.key], self.decision
        assert decision is not None, line
        assert line.now_ns == decision.now_ns
        assert desk.pricing is None or line.row["pricing_seq"] == desk.pricing["seq"]
        self.agree(line, decision, causes)
        if not causes:
            for side, name in SIDES:
                reason = Reason(line.row[name])
                assert is_caused(reason, side, desk, line, before), words(line, set(), decision)
        had = set() if before is None else before.reasons
        has_quoted = line.key in self.quoted
        self.counts.update(
            reason for reason in line.reasons - had if has_quoted or reason in AT_THE_START
        )
        if line.row["reason"] == Reason.NONE:
            self.quoted.add(line.key)

    def judge_decision(self, line):
        """Hold the quotes in force against the last decision, unless a halt has overtaken it."""
        (decision, causes), self.decision = self.decision, (None, set())
        if decision is None or (line.kind is Kind.DECIDED and line.key == decision.key):
            return
        quotes = self.in_force.get(decision.key)
        assert quotes is not None, decision
        self.agree(quotes, decision, causes)

    def agree(self, quotes, line, causes):
        """Assert that quotes name what speaks against them, and keep to the limits."""
        desk, row = self.known.desks[line.key], quotes.row
        reason, orders = Reason(row["reason"]), quotes.orders
        risk = self.risk(desk)
        assert (row["risk_state"], row["risk_reason"]) == risk, words(quotes, risk[1:], line)
        if causes:
            assert reason in causes, words(quotes, causes, line)
            assert not any(orders), words(quotes, causes, line)
            return
        assert reason not in OF_THE_GATES, words(quotes, causes, line)
        faults = faults_of_orders(desk, orders, line.settings)
        assert not faults, words(quotes, faults, line)
        for rows, (_, name) in zip(orders, SIDES, strict=True):
            assert rows or row[name] or reason is not Reason.NONE, words(quotes, faults, line)

    def risk(self, desk):
        """Return how far an instrument may be quoted, and why no further."""
        if self.known.halt:
            return RiskState.HALTED, self.known.halt
        paused_by = desk.latches.paused_by
        return (RiskState.REDUCING if paused_by else RiskState.ACTIVE), paused_by

    def judge_turn(self, line):
        """Assert that the turn which ended pulled the quotes that no message told to pull."""
        known = self.known
        looked_at = {Reason.UPSTREAM_SILENT, Reason.NO_POSITION, Reason.SIMULATOR_LAGS, known.halt}
        for key, quotes in self.in_force.items():
            assert known.turn_ns - self.decided_ns[key] < LOOK_NS, (key, line)
            causes = looked_at & causes_of(known, known.desks[key], known.turn_ns, line.settings)
            is_pulled = quotes.row["reason"] != Reason.NONE
            assert is_pulled or not causes, words(quotes, causes, line)
