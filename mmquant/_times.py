"""Times that a user passes -> int64 nanoseconds in order, and records -> a frame by their time.

Times are datetime64 of any unit, a DatetimeIndex, a Series of them, timestamps of Arrow or whole
nanoseconds; by default the index of the values they belong to.
"""

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant import _arrays
from mmquant._checks import MOST_WHOLE
from mmquant.kernels.scan import first_decrease

__all__ = [
    "in_order",
    "like_records",
    "times_ns",
    "unchecked_times_ns",
    "warn_of_unit",
    "zone_of",
]

_TOO_SHORT = 50  # so many in an interval
# What a time of the years 2005 to 2096 is in each unit, by how many nanoseconds it has.
_EPOCHS = {
    unit_ns: (name, 1_100_000_000 * 10**9 // unit_ns, 4_000_000_000 * 10**9 // unit_ns)
    for unit_ns, name in ((10**9, "seconds"), (10**6, "milliseconds"), (10**3, "microseconds"))
}


def _index_times(field: str, values: object) -> object:
    index = getattr(values, "index", None)
    if not _arrays.is_pandas(values) or getattr(getattr(index, "dtype", None), "kind", "") != "M":
        raise TypeError(
            f"{field} must be given, got None: pass datetime64 or int64 nanoseconds, or values "
            f"with a DatetimeIndex"
        )
    return index


def _datetimes(times: object) -> Any:
    """Return Arrow's timestamps in a Series or an index as a DatetimeIndex, all else as it is."""
    if hasattr(getattr(times, "dtype", None), "pyarrow_dtype") and times.dtype.kind == "M":  # type: ignore[attr-defined]
        return sys.modules["pandas"].DatetimeIndex(times)
    return times


def zone_of(times: object, values: object) -> Any:
    """Return the time zone of what `times_ns` takes, None for none."""
    source = _datetimes(getattr(values, "index", None) if times is None else times)
    return getattr(source, "tz", None) or getattr(getattr(source, "dtype", None), "tz", None)


def times_ns(times: object, values: object, field: str = "times") -> NDArray[np.int64]:
    """Return `times` as int64 nanoseconds in order, or those of the index of `values`.

    Datetimes of any unit and zone become UTC nanoseconds; whole numbers are nanoseconds as they
    are, with a warning where they look like an epoch in another unit. Equal times may follow each
    other; times beyond 2^62, of which int64 does not hold the differences, are refused. `field` is
    what the argument is called.
    """
    return in_order(unchecked_times_ns(times, values, field), field)


def in_order(ts_ns: NDArray[np.int64], field: str = "times") -> NDArray[np.int64]:
    """Return `ts_ns`, or say where time goes back."""
    at = int(first_decrease(ts_ns))
    if at >= 0:
        raise ValueError(
            f"{field} must not decrease, got {ts_ns[at]} after {ts_ns[at - 1]} at {at}: sort by "
            f"time first"
        )
    return ts_ns


def _nanoseconds(field: str, times: object) -> NDArray[np.datetime64]:
    try:
        return np.asarray(times, "datetime64[ns]")
    except OverflowError:
        array = np.asarray(times)
        raise ValueError(
            f"{field} must lie in the years 1824 to 2115, got {array.min()} to {array.max()}: "
            f"drop what does not"
        ) from None


def _held(field: str, ts_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times of which the first and last, and so all that are in order, are within 2^62."""
    for at in (0, -1) if ts_ns.size > 0 else ():
        if not -MOST_WHOLE < ts_ns[at] < MOST_WHOLE:
            raise ValueError(
                f"{field} must be within 2^62 nanoseconds of 1970 (the years 1824 to 2115), got "
                f"{ts_ns[at]} at {at % ts_ns.size}: drop what is not"
            )
    return ts_ns


def unchecked_times_ns(times: object, values: object, field: str = "times") -> NDArray[np.int64]:
    """Return what `times_ns` does, in whatever order."""
    times = _datetimes(_index_times(field, values) if times is None else times)
    if zone_of(times, None) is not None:
        times = _nanoseconds(field, times)  # in UTC
    array = _arrays.one_dimensional(field, times)
    if array.dtype.kind == "M":
        if np.isnat(array).any():
            at = int(np.flatnonzero(np.isnat(array))[0])
            raise ValueError(f"{field} must not be missing, got NaT at {at}: drop that row")
        return _held(field, _arrays.frozen(_nanoseconds(field, array).view(np.int64)))
    if array.dtype.kind not in "iu" and array.size > 0:
        remedy = f"pd.DatetimeIndex({field})"
        if array.dtype.kind == "f":
            remedy = "(seconds * 1e9).round().astype('int64')"
        raise TypeError(
            f"{field} must be datetime64 or whole nanoseconds, got dtype {array.dtype}: convert "
            f"with {remedy}"
        )
    ts_ns = _held(field, _arrays.frozen(_arrays.as_int64(field, array)))
    _warn_of_epoch(field, ts_ns)
    return ts_ns


def _warn_of_epoch(field: str, ts_ns: NDArray[np.int64]) -> None:
    """Warn where the first and last time are nanoseconds of 1970, but of our days in other units.

    Made-up times that begin at one or a thousand seconds span more than a quarter of that; what
    is known of a market does not span a quarter of the time since 1970.
    """
    if ts_ns.size == 0:
        return
    first, last = int(ts_ns[0]), int(ts_ns[-1])
    if not 0 < last - first < first // 4:
        return
    for unit_ns, (name, least, most) in _EPOCHS.items():
        if least <= first and last <= most:
            day = np.datetime64(first * unit_ns, "ns").astype("M8[D]")
            _arrays.warn(
                f"{field} are taken as nanoseconds, but {first} looks like {name} since 1970 "
                f"({day}): pass the DatetimeIndex itself, or {field} * {unit_ns}"
            )


def _usual_interval_ns(ts_ns: NDArray[np.int64]) -> float:
    """Return the mean interval, or the median of the first thousand where that is shorter."""
    if ts_ns.size < 2:
        return math.nan
    mean_ns = float(ts_ns[-1] - ts_ns[0]) / (ts_ns.size - 1)
    return min(mean_ns, float(np.median(np.diff(ts_ns[:1001]))))


def warn_of_unit(field: str, value_ns: int, ts_ns: NDArray[np.int64]) -> None:
    """Warn where a time is so short beside the intervals of the samples that no two are within it.

    Of a half-life nothing is averaged then: a weight of 2^-50 is left. 0 is meant so.
    """
    interval_ns = _usual_interval_ns(ts_ns)
    if 0 < value_ns * _TOO_SHORT < interval_ns:
        _arrays.warn(
            f"{field}={value_ns} is below 1/{_TOO_SHORT} of the usual interval of the samples "
            f"({interval_ns:.0f} ns): is it in nanoseconds?"
        )


def like_records(template: object, times: object, records: NDArray[Any], index: str) -> Any:
    """Return `records` as a DataFrame by their field `<index>_ns`, if `template` is of pandas.

    The index is in the time zone of `times`, or of the template's own index, if it has one.
    """
    if not _arrays.is_pandas(template):
        return records
    pandas = sys.modules["pandas"]
    key = f"{index}_ns"
    names = records.dtype.names or ()
    frame = pandas.DataFrame({name: records[name] for name in names if name != key})
    stamps = pandas.DatetimeIndex(records[key].view("M8[ns]"), name=index)
    zone = zone_of(times, template)
    frame.index = stamps if zone is None else stamps.tz_localize("UTC").tz_convert(zone)
    return frame
