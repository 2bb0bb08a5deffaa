"""rows of a table -> packed book events, and touches -> a table.

A row is one level: `update_id`, `side`, its price and quantity, and what the event does (`kind`).
Consecutive rows of one update id and kind are one event; a best bid and offer has a row a side.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmquant import _arrays
from mmquant._checks import MOST_WHOLE
from mmquant._exact import exact_units
from mmquant.codes import BookEvent, Side
from mmquant.kernels.book import NO_ASK, NO_BID
from mmquant.kernels.book_path import EVENT_WORDS

if TYPE_CHECKING:
    import pandas

__all__ = ["pack_events", "side_sign", "touches_frame"]

_EXACT = {"price_ticks": "price", "qty_lots": "quantity"}  # what takes the place of what
_COLUMNS = ("update_id", "kind", "side", *_EXACT, *_EXACT.values())
_KINDS = {kind.name.lower(): int(kind) for kind in BookEvent}
_NO_WORD = -9
_SIDES = {"bid": int(Side.BUY), "ask": int(Side.SELL), "buy": int(Side.BUY), "sell": int(Side.SELL)}
# How far a float may lie from a whole number of steps: so much of a step, or of the number (some
# dozens of a float's last digit), but never so much that two whole numbers are meant.
_OFF_GRID = 1e-6
_OFF_RELATIVE = 1e-14
_OFF_MOST = 0.25
_INT64_MOST = 2**63 - 1


def side_sign(side: Any) -> int:
    """Return 1 or -1 of a Side, its number or its word: bid and buy, ask and sell."""
    try:
        return _SIDES[side.lower()] if isinstance(side, str) else int(Side(side))
    except (KeyError, ValueError):
        raise ValueError(
            f"side must be Side.BUY, 'buy' or 'bid', or Side.SELL, 'sell' or 'ask', got {side!r}"
        ) from None


def _columns(rows: Any) -> dict[str, NDArray[Any]]:
    """Return the columns that are known here, all of one length."""
    if not isinstance(rows, np.ndarray) and not hasattr(rows, "keys"):
        raise TypeError(
            f"events must be a DataFrame, a structured array or a dict of columns, got "
            f"{type(rows).__name__}: pass pandas.DataFrame(events)"
        )
    names = (rows.dtype.names or ()) if isinstance(rows, np.ndarray) else tuple(rows.keys())
    if "update_id" not in names or "side" not in names:
        raise ValueError(f"events must have columns update_id and side, got {names}")
    given = {name: rows[name] for name in _COLUMNS if name in names}
    for exact, name in _EXACT.items():
        if (exact in names) == (name in names):
            raise ValueError(f"events must have a column {exact} or {name}, one, got {names}")
    _arrays.same_index(**given)
    columns = {name: _arrays.as_array(name, values) for name, values in given.items()}
    for name, column in columns.items():
        if column.ndim != 1:
            raise ValueError(
                f"{name} must be one column, got shape {column.shape}: pass a row each"
            )
    _arrays.same_length(**columns)
    return columns


def _meaning(word: Any, names: dict[str, int]) -> int:
    """Return the number of a name in any case, or of a number that has one."""
    if isinstance(word, str):
        return names.get(word.lower(), _NO_WORD)
    if isinstance(word, int | float | np.integer | np.floating) and not isinstance(word, bool):
        return int(word) if word in names.values() else _NO_WORD
    return _NO_WORD


def _coded(
    field: str, values: NDArray[Any], names: dict[str, int], void: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return a column of names or of their numbers as numbers, 0 where it is `void`."""
    if values.dtype.kind in "iuf":  # a column of pandas with missing numbers is one of floats
        good = np.isin(values, list(names.values()))
        codes = np.where(good, values, 0).astype(np.int64)
    else:
        words = [(type(word), word) for word in values.tolist()]  # True is 1 without its type
        try:
            meaning = {key: _meaning(key[1], names) for key in set(words)}
        except TypeError:
            raise TypeError(f"{field} must be words or numbers, got other objects") from None
        codes = np.fromiter(map(meaning.__getitem__, words), np.int64, len(words))
        good = codes != _NO_WORD
    bad = ~good & ~void
    if bad.any():
        raise ValueError(
            f"{field} must be one of {sorted(names)} or {sorted(set(names.values()))}, "
            f"got {values[bad][0]!r} in row {int(np.flatnonzero(bad)[0])}"
        )
    return np.where(void, 0, codes)


def _near(values: NDArray[Any], unit: Decimal | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return floats as whole numbers of steps, and which of them lie on the grid."""
    steps = values.astype(np.float64) / float(unit or 1)
    near = np.rint(steps)
    slack = np.clip(np.abs(near) * _OFF_RELATIVE, _OFF_GRID, _OFF_MOST)
    return near, (np.abs(steps - near) <= slack) & (np.abs(near) < 2.0**53)


def _off_grid(field: str, value: Any, unit: Decimal | None, row: int) -> ValueError:
    return ValueError(
        f"{field} must be whole multiples of {unit or 1} below 2**53 of them, "
        f"got {value!r} in row {row}"
    )


def _exact_step(field: str, value: Any, unit: Decimal | None, row: int) -> int:
    """Return one decimal as steps, exactly; a float among them as a column of floats is."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        near, good = _near(np.array([value]), unit)
        if not good[0]:
            raise _off_grid(field, value, unit, row)
        return int(near[0])
    try:
        return exact_units(field, value, unit or Decimal(1), -_INT64_MOST)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (row {row})") from None


def _whole(field: str, values: NDArray[Any], unit: Decimal | None) -> NDArray[np.int64]:
    """Return a column as int64 steps: exactly, but floats need only lie near the grid."""
    if values.dtype.kind in "mM":
        raise TypeError(f"{field} must be numbers, got dtype {values.dtype}: convert it first")
    if unit is None and values.dtype.kind in "iu" and values.dtype != np.uint64:
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        near, good = _near(values, unit)
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            raise _off_grid(field, values[row], unit, row)
        return near.astype(np.int64)
    steps = np.empty(values.size, np.int64)
    known: dict[tuple[type, Any], int] = {}  # True, 1 and 1.0 are one key without their type
    for row, value in enumerate(values.tolist()):
        try:
            step = known.get((type(value), value))
        except TypeError:  # a list, or a Decimal that is a signaling NaN
            step = None
        if step is None:
            step = _exact_step(field, value, unit, row)
            known[type(value), value] = step
        steps[row] = step
    return steps


def _update_ids(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the column of update ids, each within what `OrderBook.apply` takes."""
    if values.dtype.kind not in "iu":
        values = _whole("update_id", values, None)
    bad = (values < 0) | (values > MOST_WHOLE)
    if bad.any():
        raise ValueError(
            f"update_id must be between 0 and {MOST_WHOLE}, got {values[bad][0]} in row "
            f"{int(np.flatnonzero(bad)[0])}: leave such rows out or number them anew"
        )
    return values.astype(np.int64)


def _levels(
    columns: dict[str, NDArray[Any]],
    tick_size: Decimal,
    lot_size: Decimal,
    void: NDArray[np.bool_],
) -> Any:
    """Return the columns of prices and quantities; those of CLEAR rows read 0."""
    out = []
    for (exact, name), unit in zip(_EXACT.items(), (tick_size, lot_size), strict=True):
        in_steps = exact in columns
        field = exact if in_steps else name
        values = columns[field]
        if void.any():
            values = np.where(void, 0, values)
        out.append(_whole(field, values, None if in_steps else unit))
    return out


def _first_rows(
    ids: NDArray[np.int64], kinds: NDArray[np.int64], sides: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which rows begin an event; a side that a best bid and offer has begins the next."""
    is_first = np.ones(ids.size, np.bool_)
    is_first[1:] = (ids[1:] != ids[:-1]) | (kinds[1:] != kinds[:-1])
    is_bbo = kinds == int(BookEvent.BBO)
    is_first[1:] |= is_bbo[1:] & (sides[1:] == sides[:-1])
    # Now the sides of a run of best prices take turns: two rows are one event.
    rows = np.arange(ids.size)
    run = np.maximum.accumulate(np.where(is_first, rows, 0))
    is_first |= is_bbo & ((rows - run) % 2 == 0)
    return is_first


def pack_events(
    rows: Any, tick_size: Decimal, lot_size: Decimal
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the packed words of `rows` and the first row of each event.

    Parameters
    ----------
    rows : DataFrame, structured array or dict of columns
        See `OrderBook.replay`.
    tick_size, lot_size : Decimal
        Units of the columns `price` and `quantity`.

    Raises
    ------
    TypeError, ValueError
        No table, a column is missing or of another length, or a value is not what it must be.
    """
    columns = _columns(rows)
    ids = _update_ids(columns["update_id"])
    if ids.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    kinds = np.zeros(ids.size, np.int64)
    if "kind" in columns:
        kinds = _coded("kind", columns["kind"], _KINDS, np.zeros(ids.size, np.bool_))
    void = kinds == int(BookEvent.CLEAR)
    sides = _coded("side", columns["side"], _SIDES, void)
    ticks, lots = _levels(columns, tick_size, lot_size, void)
    is_first = _first_rows(ids, kinds, sides)
    firsts = np.flatnonzero(is_first)
    event = np.cumsum(is_first) - 1
    # Bids first within each event; the order within a side stays.
    keep = np.flatnonzero(~void)
    order = keep[np.lexsort((-sides[keep], event[keep]))]
    n = firsts.size
    bids = np.bincount(event[keep][sides[keep] > 0], minlength=n)
    asks = np.bincount(event[keep][sides[keep] < 0], minlength=n)
    starts = np.concatenate(([0], np.cumsum(EVENT_WORDS + 2 * (bids + asks))))
    words = np.empty(int(starts[-1]), np.int64)
    heads = (kinds[firsts], ids[firsts], bids, asks)
    for word, values in enumerate(heads):
        words[starts[:-1] + word] = values
    places = EVENT_WORDS * (event[order] + 1) + 2 * np.arange(order.size)
    words[places], words[places + 1] = ticks[order], lots[order]
    return words, firsts


def touches_frame(
    touches: NDArray[Any], tick_size: Decimal, lot_size: Decimal, index: Any
) -> "pandas.DataFrame":
    """Return touches (BOOK_TOUCH) as a DataFrame.

    In prices and quantities, NaN where a side is empty; then in ticks and lots, as they are.
    """
    import pandas as pd

    columns: dict[str, Any] = {"update_id": touches["update_id"], "code": touches["code"]}
    for side, none in (("bid", NO_BID), ("ask", NO_ASK)):
        ticks = touches[f"{side}_ticks"]
        empty = ticks == none
        # Divided by the inverse where that is whole: 0.1 has no exact float, 10 has.
        for name, steps, unit in (
            (side, ticks, tick_size),
            (f"{side}_qty", touches[f"{side}_lots"], lot_size),
        ):
            ratio = unit.as_integer_ratio()
            values = steps * float(ratio[0]) / float(ratio[1])
            columns[name] = np.where(empty, np.nan, values)
    # What signals and models take: exact whole numbers.
    for name in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots"):
        columns[name] = np.ascontiguousarray(touches[name])
    return pd.DataFrame(columns, index=index)
