"""The venue's REST as pure code: a request's target in, status and JSON out."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from urllib.parse import parse_qs, urlsplit

import orjson

from mm_venue import payloads
from mm_venue.source import Source
from mmquant.codes import Market

__all__ = ["Answer", "Rest", "error"]

NS_PER_MS = 1_000_000
NS_PER_MINUTE = 60_000_000_000
SPOT_LIMIT_MAX = 5000
SPOT_LIMIT_DEFAULT = 100
SPOT_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
USDM_LIMIT_DEFAULT = 500
USDM_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
DEBUG_LEVELS = 20

Query = dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer with a JSON body."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: int, text: str) -> Answer:
    """Return Binance's error object."""
    return Answer(status, orjson.dumps({"code": code, "msg": text}))


class Rest:
    """The routes of one venue and the request weight used in the present minute.

    Parameters
    ----------
    source : Source
        Whose instrument and book are shown.
    clients : callable
        Returns how many WebSocket clients are connected.
    slow_clients : callable
        Returns how many were dropped for not reading.
    """

    def __init__(
        self, source: Source, clients: Callable[[], int], slow_clients: Callable[[], int]
    ) -> None:
        self._source = source
        self._clients = clients
        self._slow_clients = slow_clients
        self._minute = 0
        self._used_weight = 0
        spot = source.instrument.market == Market.SPOT
        base = "/api/v3" if spot else "/fapi/v1"
        self._depth_path = f"{base}/depth"
        self._routes: dict[str, Callable[[Query, int], Answer]] = {
            f"{base}/ping": self._ping,
            f"{base}/time": self._time,
            f"{base}/exchangeInfo": self._exchange_info,
            self._depth_path: self._spot_depth if spot else self._usdm_depth,
            "/debug/status": self._status,
            "/debug/book": self._debug_book,
        }

    def needs_book(self, target: str) -> bool:
        """Tell whether the answer has to wait for the book."""
        return urlsplit(target).path == self._depth_path

    def answer(self, target: str, now_ns: int) -> Answer:
        """Answer one GET request; counts its weight."""
        url = urlsplit(target)
        route = self._routes.get(url.path)
        if route is None:
            return error(404, -1000, f"no such path: {url.path}")
        if now_ns // NS_PER_MINUTE != self._minute:
            self._minute = now_ns // NS_PER_MINUTE
            self._used_weight = 0
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        answer = route(query, now_ns)
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._used_weight)}
        return Answer(answer.status, answer.body, headers)

    def _ping(self, query: Query, now_ns: int) -> Answer:
        self._used_weight += 1
        return Answer(200, b"{}")

    def _time(self, query: Query, now_ns: int) -> Answer:
        self._used_weight += 1
        return Answer(200, orjson.dumps({"serverTime": now_ns // NS_PER_MS}))

    def _exchange_info(self, query: Query, now_ns: int) -> Answer:
        instrument = self._source.instrument
        if instrument.market == Market.SPOT:
            self._used_weight += 20
            wanted = [query["symbol"]] if "symbol" in query else _symbols(query.get("symbols"))
            if wanted is not None and wanted != [instrument.symbol]:
                return _invalid_symbol()
        else:
            self._used_weight += 1  # USD-M accepts a symbol and ignores it
        info = payloads.exchange_info(instrument, now_ns // NS_PER_MS)
        return Answer(200, orjson.dumps(info))

    def _symbol_error(self, query: Query) -> Answer | None:
        if not query.get("symbol"):
            return error(
                400,
                -1102,
                "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            )
        return _invalid_symbol() if query["symbol"] != self._source.instrument.symbol else None

    def _spot_depth(self, query: Query, now_ns: int) -> Answer:
        text = query.get("limit", str(SPOT_LIMIT_DEFAULT))
        if not _is_number(text):
            return error(400, -1100, "Illegal characters found in parameter 'limit'.")
        limit = min(int(text), SPOT_LIMIT_MAX)
        if limit == 0:
            return error(400, -1130, "Data sent for parameter 'limit' is not valid.")
        weight = next(weight for most, weight in SPOT_WEIGHTS if limit <= most)
        return self._depth(query, limit, weight, now_ns)

    def _usdm_depth(self, query: Query, now_ns: int) -> Answer:
        text = query.get("limit", str(USDM_LIMIT_DEFAULT))
        if not _is_number(text) or int(text) not in USDM_WEIGHTS:
            return error(400, -4021, f"'{text}' is not a valid depth limit.")
        return self._depth(query, int(text), USDM_WEIGHTS[int(text)], now_ns)

    def _depth(self, query: Query, limit: int, weight: int, now_ns: int) -> Answer:
        self._used_weight += weight
        wrong = self._symbol_error(query)
        if wrong:
            return wrong
        source = self._source
        if not source.book_ready():
            return error(503, -1001, "Internal error; unable to process your request.")
        body = payloads.depth_answer(source.instrument, source.book, limit, now_ns // NS_PER_MS)
        return Answer(200, body)

    def _status(self, query: Query, now_ns: int) -> Answer:
        status = self._source.status()
        instrument = self._source.instrument
        extra = {
            "symbol": instrument.symbol,
            "market": instrument.market.name.lower(),
            "clients": self._clients(),
            "slow_clients": self._slow_clients(),
        }
        return Answer(200, orjson.dumps({**asdict(status), **extra}))

    def _debug_book(self, query: Query, now_ns: int) -> Answer:
        wrong = self._symbol_error(query) if "symbol" in query else None
        if wrong:
            return wrong
        text = query.get("limit", str(DEBUG_LEVELS))
        if not _is_number(text):
            return error(400, -1100, "Illegal characters found in parameter 'limit'.")
        source = self._source
        bids, asks = source.book.top(int(text))
        price, qty = source.instrument.price_text, source.instrument.qty_text
        body = {
            "symbol": source.instrument.symbol,
            "update_id": source.book.update_id,
            "bids": [[price(p), qty(q)] for p, q in bids],
            "asks": [[price(p), qty(q)] for p, q in asks],
        }
        return Answer(200, orjson.dumps(body))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _symbols(text: str | None) -> list[str] | None:
    if text is None:
        return None
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return names if isinstance(names, list) else []


def _invalid_symbol() -> Answer:
    return error(400, -1121, "Invalid symbol.")
