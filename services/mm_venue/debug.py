"""What only an offline venue has: its state, its true books at any update id, its faults."""

from collections.abc import Callable
from dataclasses import asdict
from urllib.parse import urlsplit

import orjson

from mm_venue.faults import FaultError, parse_fault
from mm_venue.http1 import Answer, Request
from mm_venue.injector import Injector
from mm_venue.rest import Query, error, find_listing, query_of
from mm_venue.source import Source

__all__ = ["Debug"]

DEBUG_LEVELS = 20


class Debug:
    """The routes below /debug.

    Parameters
    ----------
    source : Source
        What is shown.
    injector : Injector
        Takes the faults.
    counts : callable
        Returns the counters of the connections.
    """

    def __init__(
        self, source: Source, injector: Injector, counts: Callable[[], dict[str, int]]
    ) -> None:
        self._source = source
        self._injector = injector
        self._counts = counts

    def answer(self, request: Request, now_ns: int) -> Answer:
        """Answer one request; /debug costs no weight."""
        path = urlsplit(request.target).path
        if path == "/debug/faults":
            return self._faults(request, now_ns)
        if request.method != "GET":
            return error(405, -1000, f"{path} answers GET only, got {request.method}")
        if path == "/debug/status":
            return self._status()
        if path == "/debug/book":
            return self._book(query_of(request.target))
        return error(404, -1000, f"no such path: {path}")

    def _status(self) -> Answer:
        symbols = list(self._source.listings)
        extra = {
            "symbol": symbols[0],
            "symbols": symbols,
            "market": self._source.market.name.lower(),
            **self._counts(),
        }
        return Answer(200, orjson.dumps({**asdict(self._source.status()), **extra}))

    def _book(self, query: Query) -> Answer:
        query.setdefault("symbol", next(iter(self._source.listings)))
        listing = find_listing(self._source, query)
        if isinstance(listing, Answer):
            return listing
        book = listing.book
        numbers = {"limit": DEBUG_LEVELS, "update_id": book.update_id}
        for key in numbers.keys() & query.keys():
            if not (query[key].isascii() and query[key].isdigit() and len(query[key]) <= 19):
                return error(400, -1100, f"{key} must be a number of up to 19 digits.")
            numbers[key] = int(query[key])
        if numbers["update_id"] != book.update_id:
            past = book.as_of(numbers["update_id"])
            if past is None:
                known = {"first": book.oldest_id, "last": book.update_id}
                text = f"update_id must be {known['first']} to {known['last']}, "
                body = {"code": -1130, "msg": text + f"got {numbers['update_id']}.", **known}
                return Answer(404, orjson.dumps(body))
            book = past
        bids, asks = book.top(numbers["limit"])
        price, qty = listing.instrument.price_text, listing.instrument.qty_text
        body = {
            "symbol": listing.instrument.symbol,
            "update_id": book.update_id,
            "bids": [[price(p), qty(q)] for p, q in bids],
            "asks": [[price(p), qty(q)] for p, q in asks],
        }
        return Answer(200, orjson.dumps(body))

    def _faults(self, request: Request, now_ns: int) -> Answer:
        injector = self._injector
        if request.method == "POST":
            try:
                fault = parse_fault(request.body, self._source.market, tuple(self._source.listings))
                number = injector.arm(fault, now_ns)
            except FaultError as problem:
                return error(400, -1130, str(problem))
            return Answer(200, orjson.dumps({"id": number}))
        if request.method == "DELETE":
            return Answer(200, orjson.dumps({"cleared": injector.clear()}))
        if request.method != "GET":
            return error(405, -1000, "/debug/faults answers GET, POST and DELETE")
        body = {
            "injected": dict(injector.injected),
            "touched": dict(injector.touched),
            "active": injector.active,
        }
        return Answer(200, orjson.dumps(body))
