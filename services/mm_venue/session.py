"""The protocol of one WebSocket connection as pure code: its path, its requests, its streams."""

import re
from collections import deque
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from mm_venue.source import Frame
from mmquant.codes import Market

__all__ = ["Session", "open_session"]

MAX_STREAMS = 1024
MAX_FRAME_BYTES = 4096
HEADER_BYTES = 8  # of a client's frame of that size, its mask included
MESSAGES_PER_S = {Market.SPOT: 5, Market.USDM: 10}
NS_PER_S = 1_000_000_000

_ROUTES = {Market.SPOT: ("",), Market.USDM: ("", "public", "market")}
# What USD-M serves on /market; everything else it serves on /public.
_MARKET_ROUTE = re.compile(
    r".*@(aggTrade|markPrice(@1s)?|kline_.*|continuousKline_.*|(mini)?[tT]icker|forceOrder"
    r"|compositeIndex)|!(ticker|miniTicker|forceOrder|assetIndex|markPrice)@arr.*|!contractInfo"
)
_DIFF_DEPTH = re.compile(r"([^@]+)@depth(?:@\d+ms)?")
_STRING_ID = re.compile(r"[0-9A-Za-z_-]{0,36}")
_TIMES = re.compile(rb'"([ET])":(\d{13})\b')


class _Refusal(Exception):
    """A request that gets an error."""

    def __init__(self, code: int, text: str, *, with_id: bool = True) -> None:
        super().__init__(text)
        self.code = code
        self.with_id = with_id


class Session:
    """What one client is subscribed to and in which form it gets it.

    Parameters
    ----------
    market : Market
        Whose rules hold.
    route : str
        Of the connection: "public", "market" or "".
    combined : bool
        Wrap payloads as {"stream":...,"data":...}.
    streams : list of str
        Subscribed from the start.
    any_depth_name : bool
        A subscription to any diff depth stream of a symbol gets the one there is.
    microseconds : bool
        Event times in microseconds (spot only).
    """

    def __init__(
        self,
        market: Market,
        *,
        route: str,
        combined: bool,
        streams: Collection[str],
        any_depth_name: bool,
        microseconds: bool = False,
    ) -> None:
        self.combined = combined
        self.streams = dict.fromkeys(streams)
        self._market = market
        self._route = route
        self._any_depth_name = any_depth_name
        self._microseconds = microseconds
        self._message_times: deque[int] = deque(maxlen=MESSAGES_PER_S[market])
        self._methods: dict[str, Callable[[Any], object]] = {
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "LIST_SUBSCRIPTIONS": self._list,
            "SET_PROPERTY": self._set_property,
            "GET_PROPERTY": self._get_property,
        }

    # what goes out

    @property
    def heard(self) -> list[str]:
        """The streams this connection gets; those of the other route stay silent, as live."""
        if self._market == Market.SPOT:
            return list(self.streams)
        on_market = self._route == "market"
        return [s for s in self.streams if bool(_MARKET_ROUTE.fullmatch(s)) == on_market]

    @property
    def form_key(self) -> tuple[bool, bool]:
        """What else than the name decides the form of a frame: sessions alike share the bytes."""
        return self.combined, self._microseconds

    def wants_depth(self, symbol: str) -> bool:
        """Tell whether the client listens to a diff depth stream of `symbol` (lower case)."""
        return any(_depth_symbol(name) == symbol for name in self.heard)

    def listens_to(self, symbol: str) -> bool:
        """Tell whether the client listens to any stream of `symbol` (lower case)."""
        return any(name.partition("@")[0] == symbol for name in self.heard)

    def name_for(self, stream: str | None) -> str | None:
        """Return the name under which the client gets `stream`, None where it does not.

        `stream` None is a frame that names no stream: any subscriber gets it, under "".
        """
        heard = self.heard
        if stream is None:
            return "" if heard else None
        if stream in heard:
            return stream
        symbol = _depth_symbol(stream)
        if not self._any_depth_name or symbol is None:
            return None
        return next((name for name in heard if _depth_symbol(name) == symbol), None)

    def form(self, frame: Frame, name: str) -> bytes:
        """Return the bytes of a frame the client gets under `name`."""
        if not name:
            return frame.data
        data = frame.data
        if self._microseconds:
            data = _TIMES.sub(rb'"\1":\g<2>000', data)
        if not self.combined:
            return data
        if frame.wrapped is not None and name == frame.stream and data is frame.data:
            return frame.wrapped
        return b'{"stream":"%b","data":%b}' % (name.encode(), data)

    # what comes in

    def is_flooded(self, now_ns: int) -> bool:
        """Count a message, ping or pong of the client; tell whether it was one too many."""
        times = self._message_times
        flooded = len(times) == times.maxlen and now_ns - times[0] < NS_PER_S
        times.append(now_ns)
        return flooded

    def on_message(self, message: bytes) -> bytes | None:
        """Answer one request of the client; None where it is swallowed for its size."""
        if len(message) + HEADER_BYTES > MAX_FRAME_BYTES:
            return None
        request_id: object = None
        try:
            request = _parsed(message)
            request_id = self._request_id(request)
            result = self._method(request)(request.get("params"))
        except _Refusal as refusal:
            error = {"code": refusal.code, "msg": str(refusal)}
            return orjson.dumps({**error, "id": request_id} if refusal.with_id else error)
        return orjson.dumps({"result": result, "id": request_id})

    def _request_id(self, request: dict[str, Any]) -> object:
        request_id = request.get("id")
        spot = self._market == Market.SPOT
        if isinstance(request_id, int) and not isinstance(request_id, bool):
            good = -(1 << 63) <= request_id < 1 << 63 if spot else request_id >= 0
        elif isinstance(request_id, str):
            good = spot and _STRING_ID.fullmatch(request_id) is not None
        else:
            good = spot and request_id is None
        if not good:
            what = "Invalid request: request ID must be an unsigned integer"
            raise _Refusal(2, what, with_id=False)
        return request_id

    def _method(self, request: dict[str, Any]) -> Callable[[Any], object]:
        if "method" not in request:
            raise _Refusal(2, "Invalid request: missing field `method`")
        method = self._methods.get(str(request["method"]))
        if method is None:
            known = ", ".join(f"`{name}`" for name in self._methods)
            what = f"unknown variant `{request['method']}`, expected one of {known}"
            raise _Refusal(2, f"Invalid request: {what}")
        return method

    def _subscribe(self, params: Any) -> None:
        added = {**self.streams, **dict.fromkeys(_stream_names(params))}
        if len(added) > MAX_STREAMS:
            raise _Refusal(2, "Invalid request: too many parameters")
        self.streams = added

    def _unsubscribe(self, params: Any) -> None:
        for name in _stream_names(params):
            self.streams.pop(name, None)

    def _list(self, params: Any) -> list[str]:
        return list(self.streams)

    def _set_property(self, params: Any) -> None:
        _check_property(params, 2)
        if not isinstance(params[1], bool):
            raise _Refusal(1, "Invalid value type: expected Boolean", with_id=False)
        self.combined = params[1]

    def _get_property(self, params: Any) -> bool:
        _check_property(params, 1)
        return self.combined


def _parsed(message: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        where = f"expected value at line {error.lineno} column {error.colno}"
        raise _Refusal(3, f"Invalid JSON: {where}", with_id=False) from None
    if not isinstance(request, dict):
        raise _Refusal(2, "Invalid request: missing field `method`", with_id=False)
    return request


def _check_property(params: Any, count: int) -> None:
    if not isinstance(params, list) or not params or not isinstance(params[0], str):
        raise _Refusal(2, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise _Refusal(0, "Unknown property")
    if len(params) > count:
        raise _Refusal(2, "Invalid request: too many parameters")
    if len(params) < count:
        raise _Refusal(1, "Invalid value type: expected Boolean", with_id=False)


def _stream_names(params: Any) -> list[str]:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise _Refusal(2, "Invalid request: params must be an array of stream names")
    return params


def _depth_symbol(stream: str) -> str | None:
    matched = _DIFF_DEPTH.fullmatch(stream)
    return matched[1] if matched else None


def open_session(target: str, market: Market, *, any_depth_name: bool) -> Session | None:
    """Return the session a WebSocket request's target opens, None for what is refused.

    `/ws/<stream>[/<stream>...]`, `/ws`, `/stream?streams=<a>/<b>`, `/stream`; on USD-M also
    behind `/public` and `/market`. Without a route USD-M behaves as `/public`.
    """
    url = urlsplit(target)
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    query = parse_qs(url.query)
    route = ""
    if parts[0] in ("public", "market"):
        route = parts.pop(0)
    if route not in _ROUTES[market] or not parts:
        return None
    kind, *names = parts
    if kind == "stream" and not names:
        names = query.get("streams", [""])[0].split("/")
    elif kind != "ws":
        return None
    names = [name for name in names if name]
    if len(names) > MAX_STREAMS:
        return None
    unit = query.get("timeUnit", [""])[0].upper()
    return Session(
        market,
        route=route,
        combined=kind == "stream",
        streams=names,
        any_depth_name=any_depth_name,
        microseconds=market == Market.SPOT and unit == "MICROSECOND",
    )
