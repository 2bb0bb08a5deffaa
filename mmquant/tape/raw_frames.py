"""What a frame of the venue says of itself: its market, its unit of time, whether it is known."""

import json
from typing import Any

from mmquant.codes import Market

__all__ = ["LATEST_MS", "data_of", "is_micro", "market_of", "may_be_known"]

LATEST_MS = 4_102_444_800_000  # the year 2100: a venue's stamp beyond is in microseconds


def data_of(payload: bytes) -> dict[str, Any]:
    """Return what a frame holds, alone or of a combined stream; nothing where it is none."""
    try:
        frame = json.loads(payload)
        data = frame.get("data", frame)
    except (ValueError, AttributeError):
        return {}
    return data if isinstance(data, dict) else {}


def may_be_known(data: dict[str, Any]) -> bool:
    """Tell whether a frame's kind is one that rows are made of."""
    if data.get("e") is None:
        return "u" in data and "b" in data
    return data["e"] in ("depthUpdate", "bookTicker", "trade", "aggTrade")


def market_of(data: dict[str, Any]) -> Market:
    """Return the market by what only one of them says."""
    if data.get("e") == "depthUpdate":
        return Market.USDM if "pu" in data else Market.SPOT
    if data.get("e") in (None, "bookTicker"):
        return Market.USDM if "e" in data else Market.SPOT
    return Market.SPOT if "M" in data else Market.USDM


def is_micro(data: dict[str, Any]) -> bool:
    """Tell whether a frame's stamps are in microseconds."""
    stamp = data.get("T", data.get("E", 0))
    return isinstance(stamp, int) and stamp > LATEST_MS
