"""The venue's rules for our symbols, asked for until they are there; what is wrong ends the start.

An unreachable venue is asked again with backoff. A symbol it does not list, a market that is not
served at the address or a region it refuses is nothing that time mends: CannotStart.
"""

import random
from concurrent.futures import Future
from dataclasses import dataclass

from mm_runtime.agent import CannotStart
from mm_runtime.settings import CollectorSettings

from mm_collector.feed import InstrumentFilters
from mm_collector.rest import Reply, Rest
from mm_collector.venue import (
    RULES,
    UnknownSymbol,
    VenueRules,
    nearest_host,
    parse_instruments,
    parse_weight_limit,
)
from mmquant.codes import Market

__all__ = ["Instruments"]

_MS = 1_000_000
_UNKNOWN_SYMBOL = b"-1121"


@dataclass(slots=True)
class _Wanted:
    """Symbols whose rules are not known yet, and come with one answer."""

    symbols: tuple[str, ...]
    asked: Future[Reply] | None = None
    asks_for_all: bool = False
    retry_at_ns: int = 0
    backoff_ns: int = 0


class Instruments:
    """Asks for the rules of the configured symbols.

    Attributes
    ----------
    trouble
        Why the rules are not there yet; empty while there is none.
    near
        Where nothing answers at the address: a known one that looks like it.
    retry_in_ms
        When, after a trouble, they are asked for again.
    """

    def __init__(
        self, config: CollectorSettings, rules: VenueRules, rest: Rest, rng: random.Random
    ) -> None:
        self.trouble = ""
        self.near = ""
        self.retry_in_ms = 0
        self._config = config
        self._rules = rules
        self._rest = rest
        self._rng = rng
        if rules.lists_one:
            self._wanted = [_Wanted((symbol,)) for symbol in config.symbols]
        else:
            self._wanted = [_Wanted(config.symbols)]

    @property
    def are_complete(self) -> bool:
        """Whether the rules of all symbols are known."""
        return not self._wanted

    def poll(self, now_ns: int) -> list[InstrumentFilters]:
        """Ask and take answers; return the rules that have become known.

        Raises
        ------
        CannotStart
            The configuration has to be changed; the message says how.
        """
        known: list[InstrumentFilters] = []
        for wanted in list(self._wanted):
            if wanted.asked is None and now_ns >= wanted.retry_at_ns:
                symbol = "" if wanted.asks_for_all else wanted.symbols[0]
                path = self._rules.exchange_info_path(symbol)
                weight = self._rules.exchange_info_weight
                wanted.asked = self._rest.get(path, weight, now_ns)
            elif wanted.asked is not None and wanted.asked.done():
                reply, wanted.asked = wanted.asked.result(), None
                self._rest.learn(reply, now_ns)
                filters = self._on_reply(wanted, reply, now_ns)
                if filters:
                    self._wanted.remove(wanted)
                    known += filters
        return known

    def _on_reply(self, wanted: _Wanted, reply: Reply, now_ns: int) -> list[InstrumentFilters]:
        if reply.status == 400 and _UNKNOWN_SYMBOL in reply.body and not wanted.asks_for_all:
            wanted.asks_for_all = True  # the whole list has the names that were meant
            return []
        self._refuse(reply)
        if reply.status != 200:
            self.near = "" if reply.status else nearest_host(self._rest.base_url)
            hint = f"; did you mean {self.near}?" if self.near else ""
            if reply.status == 403:
                hint = f"; {self._elsewhere()}"
            self._retry(wanted, f"{reply.text}{hint}", reply.retry_after_ns, now_ns)
            return []
        try:
            filters = parse_instruments(reply.body, wanted.symbols, self._rules.market)
            limit = parse_weight_limit(reply.body)
        except UnknownSymbol as error:
            raise CannotStart(f"symbols: {error}") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            text = f"{self._rest.base_url} does not answer as the venue does ({error!r:.80})"
            self._retry(wanted, text, 0, now_ns)
            return []
        if limit is not None and not self._config.sync.request_weight_per_minute:
            self._rest.budget.limit(limit)
        return filters

    def _refuse(self, reply: Reply) -> None:
        """Raise where asking again is no help."""
        market, address = self._config.market, self._rest.base_url
        if reply.status == 404:
            other = "spot" if market == "usdm" else "usdm"
            raise CannotStart(
                f"endpoints.rest_url: {address} has no {market} market (HTTP 404); is it of market "
                f"{other!r}? The {market} address is {self._rules.rest_url}"
            )
        if reply.status == 451:
            raise CannotStart(
                f"endpoints.rest_url: {address} refuses requests from this region (HTTP 451), and "
                f"without snapshots there is no book; {self._elsewhere()}"
            )

    def _elsewhere(self) -> str:
        """Return where else the market's data can be had."""
        if self._rest.base_url == RULES[Market.SPOT].rest_url or self._rules.market is Market.USDM:
            return f"no other public address serves {self._config.market} data"
        spot = RULES[Market.SPOT]
        return f"try {spot.rest_url} with endpoints.ws_url {spot.ws_url}: market data alone"

    def _retry(self, wanted: _Wanted, text: str, pause_ns: int, now_ns: int) -> None:
        connection = self._config.connection
        wanted.backoff_ns = min(
            max(2 * wanted.backoff_ns, connection.backoff_initial_ms * _MS),
            connection.backoff_max_ms * _MS,
        )
        wait_ns = max(int(wanted.backoff_ns * self._rng.uniform(0.5, 1)), pause_ns)
        wanted.retry_at_ns = now_ns + wait_ns
        self.trouble, self.retry_in_ms = f"exchangeInfo: {text}", wait_ns // _MS
