"""What a user passes -> plain arrays for the kernels, and answers -> the kind he passed.

Kernels get contiguous one-dimensional arrays. Inputs are read-only views where no conversion is
needed (pandas hands out read-only arrays, and each kind of array would be compiled anew).
"""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.kernels.scan import first_decrease, first_infinite

__all__ = [
    "column_wise",
    "floats",
    "in_order",
    "is_pandas",
    "kind_of",
    "levels",
    "like",
    "like_columns",
    "lots",
    "mean_interval_ns",
    "same_length",
    "same_shape",
    "times_ns",
    "unchecked_floats",
    "unchecked_times_ns",
    "without_infinity",
]


def is_pandas(values: object) -> bool:
    """Tell whether `values` is a Series or a DataFrame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(values, pandas.Series | pandas.DataFrame)


def _frozen[T: np.generic](array: NDArray[T]) -> NDArray[T]:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _one_dimensional(field: str, values: object) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{field} must be one-dimensional, got shape {array.shape}: pass a column")
    return array


def floats(field: str, values: object) -> NDArray[np.float64]:
    """Return `values` as float64; NaN (missing) stays, infinity is refused."""
    return without_infinity(field, unchecked_floats(field, values))


def without_infinity(field: str, xs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `xs`, or say where it is infinite."""
    at = int(first_infinite(xs))
    if at >= 0:
        raise ValueError(f"{field} must not be infinite, got {xs[at]} at {at}: drop or mask it")
    return xs


def unchecked_floats(field: str, values: object) -> NDArray[np.float64]:
    """Return `values` as float64, whatever they are."""
    array = _one_dimensional(field, values)
    if array.dtype.kind not in "iufb" and array.size > 0:
        if array.dtype.kind != "O":
            raise TypeError(f"{field} must be numbers, got dtype {array.dtype}: convert it first")
        try:
            array = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{field} must be numbers, got objects: convert it first") from None
    return _frozen(array.astype(np.float64, copy=False))


def lots(field: str, values: object, least: int) -> NDArray[np.int64]:
    """Return `values` as int64 (ticks, lots, counts) of at least `least`; floats are refused."""
    array = _one_dimensional(field, values)
    if array.dtype.kind not in "iu" and array.size > 0:
        raise TypeError(f"{field} must be whole numbers, got dtype {array.dtype}: pass int64")
    if array.size > 0 and array.min() < least:
        at = int(np.argmin(array))
        raise ValueError(f"{field} must be at least {least}, got {array[at]} at {at}: drop it")
    return _frozen(array.astype(np.int64, copy=False))


def _index_times(values: object) -> object:
    index = getattr(values, "index", None)
    if not is_pandas(values) or not hasattr(index, "tz"):
        raise TypeError(
            "times must be given, got None: pass datetime64 or int64 nanoseconds, or values with "
            "a DatetimeIndex"
        )
    return index


def times_ns(times: object, values: object) -> NDArray[np.int64]:
    """Return `times` as int64 nanoseconds in order, or those of the index of `values`.

    Datetimes of any unit and zone become UTC nanoseconds; whole numbers are nanoseconds as they
    are. Equal times may follow each other.
    """
    return in_order(unchecked_times_ns(times, values))


def in_order(ts_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `ts_ns`, or say where time goes back."""
    at = int(first_decrease(ts_ns))
    if at >= 0:
        raise ValueError(
            f"times must not decrease, got {ts_ns[at]} after {ts_ns[at - 1]} at {at}: sort by "
            f"time first"
        )
    return ts_ns


def unchecked_times_ns(times: object, values: object) -> NDArray[np.int64]:
    """Return what `times_ns` does, in whatever order."""
    if times is None:
        times = _index_times(values)
    zone = getattr(times, "tz", None) or getattr(getattr(times, "dtype", None), "tz", None)
    if zone is not None:
        times = np.asarray(times, "datetime64[ns]")  # in UTC
    array = _one_dimensional("times", times)
    if array.dtype.kind == "M":
        if np.isnat(array).any():
            at = int(np.flatnonzero(np.isnat(array))[0])
            raise ValueError(f"times must not be missing, got NaT at {at}: drop that row")
        array = array.astype("datetime64[ns]").view(np.int64)
    elif array.dtype.kind not in "iu" and array.size > 0:
        raise TypeError(
            f"times must be datetime64 or whole nanoseconds, got dtype {array.dtype}: "
            f"convert with (seconds * 1e9).round().astype('int64')"
        )
    return _frozen(array.astype(np.int64, copy=False))


def levels(field: str, values: object, least: int) -> NDArray[np.int64]:
    """Return `values` (n, levels) as int64 of at least `least`; (n,) is one level."""
    array = np.asarray(values)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{field} must have shape (n, levels), got {array.shape}: a row a book")
    flat = lots(field, array.reshape(-1), least)
    return flat.reshape(array.shape)


def same_shape(**arrays: NDArray[Any]) -> tuple[int, ...]:
    """Return the shape that all share, or name them with theirs."""
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        text = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{', '.join(shapes)} must have one shape, got {text}: align them first")
    return next(iter(shapes.values()))


def same_length(**arrays: NDArray[Any]) -> int:
    """Return the length that all share, or name them with theirs."""
    sizes = {name: array.size for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        text = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(f"{', '.join(sizes)} must be equally long, got {text}: align them first")
    return next(iter(sizes.values()))


def kind_of(*values: object) -> object:
    """Return the first argument that is of pandas, or None: what an answer is to be `like`."""
    return next((value for value in values if is_pandas(value)), None)


def like(template: object, array: NDArray[Any], name: Any = None) -> Any:
    """Return `array` on the index of `template`, if that is of pandas.

    As a Series where it is (n,), as a DataFrame where it has the shape of one.
    """
    if not is_pandas(template):
        return array
    pandas = sys.modules["pandas"]
    index, shape = template.index, template.shape  # type: ignore[attr-defined]
    if array.shape != shape and array.shape != shape[:1]:
        raise ValueError(
            f"arguments must be as long as the answer, got a {type(template).__name__} of shape "
            f"{shape} for {array.shape}: pass its values"
        )
    if array.ndim == 2:
        return pandas.DataFrame(array, index=index, columns=template.columns)  # type: ignore[attr-defined]
    own_name = getattr(template, "name", None)
    return pandas.Series(array, index=index, name=own_name if name is None else name)


def column_wise(values: object, function: Callable[[object], NDArray[np.float64]]) -> Any:
    """Apply a function of one column to a column, to each of a 2-d array or of a DataFrame."""
    if is_pandas(values) and hasattr(values, "columns"):
        done = {name: function(column) for name, column in values.items()}  # type: ignore[attr-defined]
        return sys.modules["pandas"].DataFrame(done, index=values.index)  # type: ignore[attr-defined]
    if is_pandas(values):
        return like(values, function(values))
    array = np.asarray(values)
    if array.ndim != 2:
        return function(array)
    out = np.empty(array.shape)
    for k in range(array.shape[1]):
        out[:, k] = function(array[:, k])
    return out


def mean_interval_ns(times: NDArray[np.int64]) -> float:
    """Return the mean time between samples, NaN for fewer than two."""
    if times.size < 2:
        return math.nan
    return float(times[-1] - times[0]) / (times.size - 1)


def aligned_empty(rows: int, columns: int, alignment: int) -> NDArray[np.float64]:
    """Return an array of shape (rows, columns), unset, at a multiple of `alignment` bytes.

    numpy's own lie 16 bytes behind one.
    """
    size = rows * columns
    room = np.empty(size + alignment // 8)
    first = -room.ctypes.data % alignment // 8
    return room[first : first + size].reshape(rows, columns)


def like_columns(template: object, array: NDArray[Any], names: Any) -> Any:
    """Return `array` (n, columns) as a DataFrame with the index of `template`, if of pandas."""
    if not is_pandas(template):
        return array
    index = template.index  # type: ignore[attr-defined]
    return sys.modules["pandas"].DataFrame(array, index=index, columns=names)
