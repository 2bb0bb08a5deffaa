"""Times as users write them -> nanoseconds."""

from typing import Any

import numpy as np

__all__ = ["Time", "to_ns"]

Time = Any  # int, str, datetime, timedelta, numpy's or pandas' kinds of them


def to_ns(field: str, value: Time) -> int:
    """Return a time in nanoseconds since the epoch (UTC), or a length in nanoseconds.

    Raises
    ------
    TypeError, ValueError
        A float, or what pandas does not know.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, bool | float):
        raise TypeError(f"{field} must be a time or whole nanoseconds, got {value!r}: pass an int")
    import pandas as pd

    try:
        return _to_ns(pd, field, value)
    except (ValueError, TypeError) as error:
        shape = (
            "a length such as '250ms'" if field == "step" else "a time such as '2026-01-01 00:10'"
        )
        raise type(error)(f"{field} must be {shape}, got {value!r} ({error})") from None


def _to_ns(pd: Any, field: str, value: Time) -> int:
    if isinstance(value, str) and field == "step":
        value = pd.Timedelta(value)
    elif not isinstance(value, np.timedelta64 | pd.Timedelta) and not hasattr(value, "days"):
        stamp = pd.Timestamp(value)
        if pd.isna(stamp):
            raise ValueError("there is no time")
        stamp = stamp if stamp.tz is None else stamp.tz_convert(None)
        return int(stamp.as_unit("ns").value)
    return int(pd.Timedelta(value).as_unit("ns").value)
