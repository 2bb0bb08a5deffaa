"""What a user passes -> plain arrays for the kernels, and answers -> the kind he passed.

Kernels get contiguous one-dimensional arrays. Inputs are read-only views where no conversion is
needed (pandas hands out read-only arrays, and each kind of array would be compiled anew).
"""

import math
import sys
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant._checks import MOST_SIZE, MOST_TICKS
from mmquant.kernels.scan import first_beyond

__all__ = [
    "any_floats",
    "as_array",
    "as_int64",
    "by_row",
    "column_wise",
    "floats",
    "frozen",
    "is_pandas",
    "kind_of",
    "labelled",
    "levels",
    "like",
    "like_columns",
    "lots",
    "one_dimensional",
    "same_index",
    "same_length",
    "same_shape",
    "shaped_floats",
    "ticks",
    "unchecked_floats",
    "warn",
    "whole_numbers",
    "without_infinity",
]

_LIBRARY = f"{Path(__file__).parent}/"
_INT64_MOST = 2**63 - 1


def warn(text: str) -> None:
    """Warn the user at his own line, however deep in the library it was found."""
    warnings.warn(text, skip_file_prefixes=(_LIBRARY,))


def is_pandas(values: object) -> bool:
    """Tell whether `values` is a Series or a DataFrame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(values, pandas.Series | pandas.DataFrame)


def _is_frame(values: object) -> bool:
    return is_pandas(values) and hasattr(values, "columns")


def frozen[T: np.generic](array: NDArray[T]) -> NDArray[T]:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def as_array(field: str, values: object) -> NDArray[Any]:
    """Return `values` as an array of any shape; values that a mask hides are refused."""
    if _is_frame(values):
        return _of_frame(field, values)
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        at = int(np.flatnonzero(np.ma.getmaskarray(values))[0])
        raise ValueError(f"{field} must not be missing, got a masked value at {at}: drop that row")
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{field} must be one array, got rows of different lengths: make them equally long"
        ) from None


def _only_dtype(frame: Any) -> Any:
    """Return the dtype that all columns of a DataFrame have, None where they differ."""
    dtypes = list(frame.dtypes)
    return dtypes[0] if dtypes and all(dtype == dtypes[0] for dtype in dtypes) else None


def _of_frame(field: str, frame: Any) -> NDArray[Any]:
    """Return a DataFrame as an array; of nullable columns together numpy makes objects."""
    if isinstance(_only_dtype(frame), np.dtype):
        return np.asarray(frame)
    columns = [np.asarray(frame.iloc[:, k]) for k in range(frame.shape[1])]
    return np.column_stack(columns) if columns else np.empty(frame.shape)


def _nan_for_masked(values: object) -> object:
    """Return numbers with NaN for what a mask hides: numpy would hand out what lies below it."""
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iufb":
        return np.ma.filled(values.astype(np.float64), np.nan)
    return values


def one_dimensional(field: str, values: object) -> NDArray[Any]:
    array = as_array(field, values)
    if array.ndim != 1:
        got = f"shape {array.shape}" if array.ndim > 0 else f"one value, {array[()]!r}"
        raise ValueError(f"{field} must be one-dimensional, got {got}: pass a column or a list")
    return array


def floats(field: str, values: object) -> NDArray[np.float64]:
    """Return `values` as float64; NaN (missing) stays, infinity and beyond 1e140 is refused."""
    return without_infinity(field, unchecked_floats(field, values))


def ticks(field: str, values: object) -> NDArray[np.float64]:
    """Return `values` as float64 that whole ticks could be; NaN stays, what is more is refused."""
    xs = unchecked_floats(field, values)
    at = int(first_beyond(xs, float(MOST_TICKS)))
    if at >= 0 and not math.isinf(xs[at]):
        raise ValueError(
            f"{field} must be between {-MOST_TICKS} and {MOST_TICKS}, got {xs[at]} at {at}: drop "
            f"what is no price in ticks"
        )
    return without_infinity(field, xs)


def without_infinity(field: str, xs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `xs`, or say where it is infinite, or so large that sums of squares would be."""
    at = int(first_beyond(xs, MOST_SIZE))
    if at >= 0:
        rule = "not be infinite" if math.isinf(xs[at]) else f"be at most {MOST_SIZE} in size"
        raise ValueError(f"{field} must {rule}, got {xs[at]} at {at}: drop or mask it")
    return xs


def unchecked_floats(field: str, values: object) -> NDArray[np.float64]:
    """Return `values` as float64, whatever they are."""
    return frozen(one_dimensional(field, any_floats(field, values)))


def shaped_floats(field: str, values: object) -> NDArray[np.float64]:
    """Return `values` of any shape as float64; NaN (missing) stays, infinity is refused."""
    array = any_floats(field, values)
    without_infinity(field, frozen(array.reshape(-1)))
    return array


def any_floats(field: str, values: object) -> NDArray[np.float64]:
    """Return `values` of any shape as float64, whatever they are."""
    if _is_frame(values) and not isinstance(_only_dtype(values), np.dtype):
        # By column, as of pandas' missing values each makes NaN.
        frame: Any = values
        columns = [any_floats(field, frame.iloc[:, k]) for k in range(frame.shape[1])]
        return np.column_stack(columns) if columns else np.empty(frame.shape)
    if values is None:  # numpy makes NaN of it
        raise TypeError(f"{field} must be numbers, got None: pass them")
    values = _nan_for_masked(values)
    array = as_array(field, values)
    if array.dtype.kind not in "iufb" and array.size > 0:
        if array.dtype.kind != "O":
            raise TypeError(f"{field} must be numbers, got dtype {array.dtype}: convert it first")
        text = next((value for value in array.flat if isinstance(value, str | bytes)), None)
        if text is not None:  # numpy would read it
            raise TypeError(f"{field} must be numbers, got the text {text!r}: convert it first")
        try:
            array = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{field} must be numbers, got objects: convert it first") from None
        except OverflowError:
            raise ValueError(f"{field} must fit float64, got a longer number: drop it") from None
    return array.astype(np.float64, copy=False)


def lots(field: str, values: object, least: int) -> NDArray[np.int64]:
    """Return `values` as int64 (ticks, lots, counts) of at least `least`; floats are refused."""
    return frozen(whole_numbers(field, one_dimensional(field, values), least))


def whole_numbers(field: str, array: NDArray[Any], least: int) -> NDArray[np.int64]:
    """Return an array of any shape as int64 of at least `least`; floats are refused."""
    if array.dtype.kind not in "iu" and array.size > 0:
        raise TypeError(f"{field} must be whole numbers, got dtype {array.dtype}: pass int64")
    if array.size > 0 and array.min() < least:
        at = int(np.argmin(array))
        value = array.reshape(-1)[at]
        raise ValueError(f"{field} must be at least {least}, got {value} at {at}: drop it")
    return as_int64(field, array)


def as_int64(field: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype == np.uint64 and array.size > 0 and array.max() > _INT64_MOST:
        raise ValueError(f"{field} must fit int64, got {array.max()}: count in larger units")
    return array.astype(np.int64, copy=False)


def levels(field: str, values: object, least: int) -> NDArray[np.int64]:
    """Return `values` (n, levels) as int64 of at least `least`; (n,) is one level."""
    array = as_array(field, values)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{field} must have shape (n, levels), got {array.shape}: a row a book")
    flat = lots(field, array.reshape(-1), least)
    return flat.reshape(array.shape)


def _is_one_index(first: Any, second: Any) -> bool:
    if first.equals(second):  # at once where they are the same object
        return True
    if getattr(first, "tz", None) is None or getattr(second, "tz", None) is None:
        return False
    return bool(first.tz_convert("UTC").equals(second.tz_convert("UTC")))


def same_index(**values: object) -> None:
    """Refuse arguments of pandas whose indices differ: their values would pair by position."""
    labelled = [(name, value) for name, value in values.items() if is_pandas(value)]
    remedy = "align them first (a, b = a.align(b, join='inner', axis=0)) or pass .to_numpy()"
    for (one, first), (other, second) in pairwise(labelled):
        a, b = first.index, second.index  # type: ignore[attr-defined]
        if not _is_one_index(a, b):
            got = f"{a.size} and {b.size} labels"
            if a.size == b.size:
                at = int(np.argmax(np.asarray(a, object) != np.asarray(b, object)))
                got = f"{a[at]} and {b[at]} at {at}"
            raise ValueError(f"{one} and {other} must have the same index, got {got}: {remedy}")
        a, b = getattr(first, "columns", None), getattr(second, "columns", None)
        if a is not None and b is not None and not a.equals(b) and set(a) == set(b):
            raise ValueError(
                f"{one} and {other} must have their columns in the same order, got {list(a)} and "
                f"{list(b)}: pass {other}[{one}.columns]"
            )


def by_row[T: np.generic](
    given: dict[str, ArrayLike], arrays: dict[str, NDArray[T]]
) -> tuple[dict[str, NDArray[T]], tuple[int, ...]]:
    """Return `arrays`, made of the arguments `given`, such that they broadcast, and their shape.

    Beside a DataFrame a Series is a column: numpy would pair its rows with the columns of the
    frame. Of other one-dimensional arrays nothing says which of the two they are.
    """
    same_index(**given)
    frame = next((name for name, values in given.items() if _is_frame(values)), None)
    ready = dict(arrays)
    for name, array in arrays.items():
        if frame is None or array.ndim != 1 or array.size == 1:
            continue
        if not is_pandas(given[name]):
            raise ValueError(
                f"{name} must not be one-dimensional beside the DataFrame {frame}, got shape "
                f"{array.shape}: pass {name}[:, None] (a value a row) or {name}[None, :] (a value "
                f"a column)"
            )
        ready[name] = array[:, None]
    try:
        return ready, np.broadcast_shapes(*(array.shape for array in ready.values()))
    except ValueError:
        got = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"{', '.join(arrays)} must broadcast to one shape, got {got}: align them first"
        ) from None


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
    """Return what an answer is `like`: the first DataFrame, else the first Series, or None."""
    series = next((value for value in values if is_pandas(value)), None)
    return next((value for value in values if _is_frame(value)), series)


def like(template: object, array: NDArray[Any], name: Any = None) -> Any:
    """Return `array` on the index of `template`, if that is of pandas.

    As a Series where it is (n,), as a DataFrame where it has the shape of one. A Series is called
    `name`, or as `template` is where that is None.
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


def labelled(array: NDArray[Any], labels: Any, name: str) -> Any:
    """Return `array` as a Series with the index `labels`."""
    return sys.modules["pandas"].Series(array, index=labels, name=name)


def column_wise(values: object, function: Callable[[object], NDArray[np.float64]]) -> Any:
    """Apply a function of one column to a column, to each of a 2-d array or of a DataFrame."""
    if _is_frame(values):
        frame: Any = values
        done = np.empty(frame.shape, order="F")
        for k in range(frame.shape[1]):  # by place: two columns may have one name
            done[:, k] = function(frame.iloc[:, k])
        pandas = sys.modules["pandas"]
        return pandas.DataFrame(done, index=frame.index, columns=frame.columns, copy=False)
    if is_pandas(values):
        return like(values, function(values))
    array = as_array("values", _nan_for_masked(values))
    if array.ndim != 2:
        return function(array)
    out = np.empty(array.shape)
    for k in range(array.shape[1]):
        out[:, k] = function(array[:, k])
    return out


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
