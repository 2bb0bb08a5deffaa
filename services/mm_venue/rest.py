"""The venue's public REST as pure code: a request's target in, status and JSON out."""

from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

import orjson

from mm_venue import payloads
from mm_venue.exchange_info import exchange_info
from mm_venue.faults import Fault
from mm_venue.http1 import Answer
from mm_venue.limits import RequestWeight, too_many_requests
from mm_venue.source import Listing, Source
from mmquant.codes import Market

__all__ = ["Query", "Rest", "error", "find_listing", "query_of"]

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
SPOT_LIMIT_MAX = 5000
SPOT_LIMIT_DEFAULT = 100
SPOT_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
USDM_LIMIT_DEFAULT = 500
USDM_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
INFO_WEIGHT = {Market.SPOT: 20, Market.USDM: 1}

Query = dict[str, str]


def error(status: int, code: int, text: str) -> Answer:
    """Return Binance's error object."""
    return Answer(status, orjson.dumps({"code": code, "msg": text}))


def query_of(target: str) -> Query:
    """Return the parameters of a request; of one given twice the last."""
    return {key: values[-1] for key, values in parse_qs(urlsplit(target).query).items()}


class Rest:
    """The routes of one venue.

    Parameters
    ----------
    source : Source
        Whose instruments and books are shown.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._weight = RequestWeight(source.market)
        spot = source.market == Market.SPOT
        base = "/api/v3" if spot else "/fapi/v1"
        self._depth_path = f"{base}/depth"
        self._routes: dict[str, Callable[[Query, int, int], Answer]] = {
            f"{base}/ping": self._ping,
            f"{base}/time": self._time,
            f"{base}/exchangeInfo": self._exchange_info,
            self._depth_path: self._spot_depth if spot else self._usdm_depth,
        }

    def is_depth(self, target: str) -> bool:
        """Tell whether a snapshot is asked for, so that the answer has to wait for the book."""
        return urlsplit(target).path == self._depth_path

    def answer(self, method: str, target: str, now_ns: int, fault: Fault | None = None) -> Answer:
        """Answer one request; counts its weight.

        `fault` may fail it (failing_rest, rate_limit) or make its snapshot stale.
        """
        path = urlsplit(target).path
        route = self._routes.get(path)
        if route is None:
            return error(404, -1000, f"no such path: {path}")
        if method != "GET":
            return error(405, -1000, f"{path} answers GET only, got {method}")
        if fault is not None and fault.kind == "failing_rest":
            answer = error(fault.status, -1001, "Internal error; unable to process your request.")
        elif fault is not None and fault.kind == "rate_limit":
            answer = too_many_requests(
                fault.status, fault.retry_after_s, self._weight.limit, now_ns
            )
        else:
            age_ms = fault.age_ms if fault is not None else 0
            answer = route(query_of(target), now_ns, age_ms)
        used = {"X-MBX-USED-WEIGHT-1M": str(self._weight.used)}
        used["Date"] = formatdate(now_ns // NS_PER_S, usegmt=True)  # whose minute that is
        if self._source.market == Market.SPOT:
            used["X-MBX-USED-WEIGHT"] = used["X-MBX-USED-WEIGHT-1M"]
        return Answer(answer.status, answer.body, {**answer.headers, **used})

    def _ping(self, query: Query, now_ns: int, age_ms: int) -> Answer:
        return self._weight.charge(1, now_ns) or Answer(200, b"{}")

    def _time(self, query: Query, now_ns: int, age_ms: int) -> Answer:
        body = orjson.dumps({"serverTime": now_ns // NS_PER_MS})
        return self._weight.charge(1, now_ns) or Answer(200, body)

    def _exchange_info(self, query: Query, now_ns: int, age_ms: int) -> Answer:
        market = self._source.market
        refusal = self._weight.charge(INFO_WEIGHT[market], now_ns)
        if refusal:
            return refusal
        listings = self._source.listings
        wanted = list(listings)
        if market == Market.SPOT:  # USD-M accepts a symbol and ignores it
            if "symbol" in query and "symbols" in query:
                return error(400, -1128, "Combination of optional parameters invalid.")
            if "symbol" in query:
                wanted = [query["symbol"]]
            elif "symbols" in query:
                wanted = _symbols(query["symbols"])
            if not wanted or not listings.keys() >= set(wanted):
                return _invalid_symbol()
        instruments = [listings[symbol].instrument for symbol in wanted]
        return Answer(200, orjson.dumps(exchange_info(instruments, now_ns // NS_PER_MS)))

    def _spot_depth(self, query: Query, now_ns: int, age_ms: int) -> Answer:
        text = query.get("limit", str(SPOT_LIMIT_DEFAULT))
        if not _is_number(text):
            return error(400, -1100, "Illegal characters found in parameter 'limit'.")
        limit = min(int(text), SPOT_LIMIT_MAX)
        if limit == 0:
            return error(400, -1130, "Data sent for parameter 'limit' is not valid.")
        weight = next(weight for most, weight in SPOT_WEIGHTS if limit <= most)
        refusal = self._weight.charge(weight, now_ns)
        return refusal or self._depth(query, limit, now_ns, age_ms)

    def _usdm_depth(self, query: Query, now_ns: int, age_ms: int) -> Answer:
        text = query.get("limit", str(USDM_LIMIT_DEFAULT))
        if not _is_number(text) or int(text) not in USDM_WEIGHTS:
            return error(400, -4021, f"'{text}' is not a valid depth limit.")
        refusal = self._weight.charge(USDM_WEIGHTS[int(text)], now_ns)
        return refusal or self._depth(query, int(text), now_ns, age_ms)

    def _depth(self, query: Query, limit: int, now_ns: int, age_ms: int) -> Answer:
        listing = find_listing(self._source, query)
        if isinstance(listing, Answer):
            return listing
        if not self._source.book_ready():
            return error(503, -1001, "Internal error; unable to process your request.")
        book = listing.book
        if age_ms:
            book = book.as_of(book.id_at(now_ns - age_ms * NS_PER_MS)) or book
        body = payloads.depth_answer(listing.instrument, book, limit, now_ns // NS_PER_MS)
        return Answer(200, body)


def find_listing(source: Source, query: Query) -> Listing | Answer:
    """Return the listing a request names, else the venue's error."""
    if not query.get("symbol"):
        return error(
            400,
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        )
    return source.listings.get(query["symbol"]) or _invalid_symbol()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _symbols(text: str) -> list[str]:
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    return names


def _invalid_symbol() -> Answer:
    return error(400, -1121, "Invalid symbol.")
