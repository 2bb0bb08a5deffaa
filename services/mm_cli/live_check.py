"""Was a quote out while the book was not LIVE? Decided by what each message was made of.

Three rules, none of which compares the clocks of two messages that did not cause each other:

1. A quotes message with levels names a pricing message that says LIVE.
2. A pricing message that says LIVE is made of stream 10 up to a message that says LIVE. (It
   bears the `sent_ns` of that message; whatever the collector sent before is in it as well.)
3. Where the collector says not LIVE while quotes are out, the strategy pulls them before it
   quotes on a later LIVE, and within `LONGEST_PULL_NS`. In between lies the way of the news.

And so that stream 10 cannot be silent about it: where stream 11 says that a book was LIVE and
is no more, stream 10 has said so before.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from mm_cli.recorder import BookWord, PricingWord, QuotesWord, Recording, StateWord
from mmquant.codes import BookState

__all__ = ["LONGEST_PULL_NS", "LiveCheck", "check_live"]

# The timeout of the heartbeats: after it a service takes a silent peer for dead in any case.
LONGEST_PULL_NS = 1_000_000_000


@dataclass
class LiveCheck:
    """The outcome.

    Attributes
    ----------
    violations
        What broke a rule, with the messages concerned.
    pulls_ns
        For each time that quotes were out when the collector said not LIVE: until they were
        pulled.
    not_live_ns, quoted_ns
        How long the books were not LIVE, and quotes out, over the whole recording.
    """

    violations: list[str] = field(default_factory=list)
    pulls_ns: list[int] = field(default_factory=list)
    not_live_ns: int = 0
    quoted_ns: int = 0


def check_live(recording: Recording) -> LiveCheck:
    """Return what the recording proves, over all instruments."""
    check = LiveCheck()
    for instrument_id in sorted({word.instrument_id for word in recording.books}):
        _Instrument(recording, instrument_id, check).run()
    return check


def _sent_ns(word: PricingWord) -> int:
    return word.sent_ns


class _Instrument:
    """One instrument's messages, and the rules over them."""

    def __init__(self, recording: Recording, instrument_id: int, check: LiveCheck) -> None:
        self._books = [w for w in recording.books if w.instrument_id == instrument_id]
        self._states = [w for w in recording.states if w.instrument_id == instrument_id]
        self._quotes = [w for w in recording.quotes if w.instrument_id == instrument_id]
        pricing = [w for w in recording.pricing if w.instrument_id == instrument_id]
        self._pricing = pricing
        self._by_seq: dict[int, list[PricingWord]] = defaultdict(list)
        for word in pricing:
            self._by_seq[word.seq].append(word)
        self._sent_ns = [word.sent_ns for word in self._books]
        self._check = check

    def run(self) -> None:
        for quotes in self._quotes:
            if quotes.levels:
                self._judge_quotes(quotes)
        for pricing in self._pricing:
            if pricing.is_live:
                self._judge_pricing(pricing)
        for start, end_ns in self._dead_times():
            self._check.not_live_ns += end_ns - start.sent_ns
            self._judge_pull(start, end_ns)
        self._judge_states()
        self._check.quoted_ns += sum(
            after.sent_ns - before.sent_ns
            for before, after in zip(self._quotes, self._quotes[1:], strict=False)
            if before.levels
        )

    def _named_by(self, quotes: QuotesWord) -> PricingWord | None:
        """Return what quotes are made of; a pricing that starts anew counts from 1 again."""
        words = self._by_seq.get(quotes.pricing_seq, [])
        return max((w for w in words if w.sent_ns <= quotes.sent_ns), default=None, key=_sent_ns)

    def _judge_quotes(self, quotes: QuotesWord) -> None:
        pricing = self._named_by(quotes)
        if pricing is None:
            if self._pricing and quotes.pricing_seq > self._pricing[0].seq:
                self._note("quotes name a pricing message that was never sent", quotes)
        elif not pricing.is_live:
            self._note("quotes on prices that are not LIVE", quotes, pricing)

    def _judge_pricing(self, pricing: PricingWord) -> None:
        newest = self._book_at(pricing.input_ns)
        if newest is not None and not newest.is_live:
            self._note("LIVE prices of a book that is not LIVE", pricing, newest)

    def _dead_times(self) -> Iterator[tuple[BookWord, int]]:
        """Give (first message that says not LIVE, sent_ns of the next that says LIVE)."""
        start: BookWord | None = None
        for word in self._books:
            if not word.is_live:
                start = start or word
            elif start is not None:
                yield start, word.sent_ns
                start = None
        if start is not None:
            yield start, self._books[-1].sent_ns

    def _judge_pull(self, start: BookWord, end_ns: int) -> None:
        first = bisect_right(self._quotes, start.sent_ns, key=lambda word: word.sent_ns)
        out = self._quotes[first - 1] if first and self._quotes[first - 1].levels else None
        pulled_ns = 0
        for quotes in self._quotes[first:]:
            pricing = self._named_by(quotes)
            if quotes.levels and pricing is not None and pricing.input_ns >= end_ns:
                break  # on the book that is LIVE again
            if quotes.levels:
                out = quotes  # on prices from before the news
            elif out is not None:
                out, pulled_ns = None, quotes.sent_ns
        else:
            if out is not None and self._books[-1].sent_ns - start.sent_ns < LONGEST_PULL_NS:
                return  # the recording ends before its time is up
        if out is not None:
            self._note("quotes were not pulled", start, out)
        elif pulled_ns:
            self._check.pulls_ns.append(pulled_ns - start.sent_ns)
            if pulled_ns - start.sent_ns > LONGEST_PULL_NS:
                self._note(f"pulled late, at {pulled_ns}", start)

    def _judge_states(self) -> None:
        for before, state in zip(self._states, self._states[1:], strict=False):
            if before.state is BookState.LIVE and state.state is not BookState.LIVE:
                newest = self._book_at(state.now_ns)
                if newest is not None and newest.is_live:
                    self._note("stream 10 goes on as LIVE", state, newest)

    def _book_at(self, time_ns: int) -> BookWord | None:
        at = bisect_right(self._sent_ns, time_ns)
        return self._books[at - 1] if at else None

    def _note(self, what: str, *words: BookWord | StateWord | PricingWord | QuotesWord) -> None:
        self._check.violations.append(f"{what}: {'; '.join(map(str, words))}")
