"""The protocol of one WebSocket connection as pure code: its path, its requests, its streams."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from mm_venue.source import Frame
from mmquant.codes import Market

__all__ = ["Session", "open_session"]

_ROUTES = {Market.SPOT: ("",), Market.USDM: ("", "public", "market")}
_DIFF_DEPTH = re.compile(r"([^@]+)@depth(?:@\d+ms)?")


class Session:
    """What one client is subscribed to and in which form it gets it.

    Parameters
    ----------
    combined : bool
        Wrap payloads as {"stream":...,"data":...}.
    served : bool
        Whether this route carries the venue's streams; one that does not acknowledges
        everything and stays silent, as Binance does.
    streams : list of str
        Subscribed from the start.
    any_depth_name : bool
        A subscription to any diff depth stream of a symbol gets the one there is.
    """

    def __init__(
        self, *, combined: bool, served: bool, streams: list[str], any_depth_name: bool
    ) -> None:
        self.combined = combined
        self.served = served
        self.streams = dict.fromkeys(streams)
        self._any_depth_name = any_depth_name
        self._names: dict[str, str | None] = {}  # stream of a frame -> name it is served under
        self._depth_symbols: set[str | None] = set()
        self._methods: dict[str, Callable[[Any], object]] = {
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "LIST_SUBSCRIPTIONS": self._list,
        }
        self._changed()

    def _changed(self) -> None:
        self._names.clear()
        self._depth_symbols = {_depth_symbol(name) for name in self.streams if self.served}

    def wants_depth(self, symbol: str) -> bool:
        """Tell whether the client listens to a diff depth stream of `symbol` (lower case)."""
        return symbol in self._depth_symbols

    def message_for(self, frame: Frame) -> bytes | None:
        """Return the bytes this client gets for `frame`, None where it did not ask for it."""
        if frame.stream is None:
            return frame.data if self.served and self.streams else None
        if frame.stream not in self._names:
            self._names[frame.stream] = self._name_for(frame.stream)
        name = self._names[frame.stream]
        if name is None:
            return None
        if not self.combined:
            return frame.data
        if frame.wrapped is not None and name == frame.stream:
            return frame.wrapped
        return b'{"stream":"%b","data":%b}' % (name.encode(), frame.data)

    def _name_for(self, stream: str) -> str | None:
        if not self.served:
            return None
        if stream in self.streams:
            return stream
        symbol = _depth_symbol(stream)
        if not self._any_depth_name or symbol is None:
            return None
        return next((name for name in self.streams if _depth_symbol(name) == symbol), None)

    def on_message(self, message: str | bytes) -> bytes:
        """Answer one request of the client."""
        try:
            request = orjson.loads(message)
        except orjson.JSONDecodeError as error:
            where = f"expected value at line {error.lineno} column {error.colno}"
            return orjson.dumps({"code": 3, "msg": f"Invalid JSON: {where}"})
        if not isinstance(request, dict) or "method" not in request:
            return orjson.dumps({"code": 2, "msg": "Invalid request: missing field `method`"})
        request_id = request.get("id")
        method = self._methods.get(str(request["method"]))
        if method is None:
            known = ", ".join(f"`{name}`" for name in self._methods)
            what = f"unknown variant `{request['method']}`, expected one of {known}"
            return orjson.dumps({"code": 2, "msg": f"Invalid request: {what}", "id": request_id})
        try:
            result = method(request.get("params"))
        except TypeError as error:
            return orjson.dumps({"code": 2, "msg": f"Invalid request: {error}", "id": request_id})
        return orjson.dumps({"result": result, "id": request_id})

    def _subscribe(self, params: Any) -> None:
        self.streams.update(dict.fromkeys(_stream_names(params)))
        self._changed()

    def _unsubscribe(self, params: Any) -> None:
        for name in _stream_names(params):
            self.streams.pop(name, None)
        self._changed()

    def _list(self, params: Any) -> list[str]:
        return list(self.streams)


def _stream_names(params: Any) -> list[str]:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise TypeError("params must be an array of stream names")
    return params


def _depth_symbol(stream: str) -> str | None:
    matched = _DIFF_DEPTH.fullmatch(stream)
    return matched[1] if matched else None


def open_session(target: str, market: Market, *, any_depth_name: bool) -> Session | None:
    """Return the session a WebSocket request's target opens, None for an unknown path.

    `/ws/<stream>[/<stream>...]`, `/ws`, `/stream?streams=<a>/<b>`, `/stream`; on USD-M also
    behind `/public` and `/market`. Without a route USD-M behaves as `/public`.
    """
    url = urlsplit(target)
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    route = ""
    if parts[0] in ("public", "market"):
        route = parts.pop(0)
    if route not in _ROUTES[market] or not parts:
        return None
    kind, *names = parts
    if kind == "stream" and not names:
        asked = parse_qs(url.query).get("streams", [""])[0]
        names = asked.split("/")
    elif kind != "ws":
        return None
    return Session(
        combined=kind == "stream",
        served=route != "market",
        streams=[name for name in names if name],
        any_depth_name=any_depth_name,
    )
