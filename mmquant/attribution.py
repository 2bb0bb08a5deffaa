"""fills + mids -> markouts, and the profit fill by fill, by how and on which side they came about.

Money is in half tick-lots (twice the price in ticks, times lots), fees in millionths of a
tick-lot: whole numbers, so every sum is exact.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _times
from mmquant._checks import whole
from mmquant.codes import FillKind, Side, Template
from mmquant.kernels.accounting import lot_value
from mmquant.kernels.markouts import marks_after
from mmquant.records import FILL
from mmquant.state import EVENT

__all__ = ["decompose", "equity_curve", "markouts"]

_COLUMNS = ("side", "price_ticks", "qty_lots", "mark_half_ticks", "kind", "fee_micro_tick_lots")
_ANY = "all"


@dataclass(frozen=True, slots=True)
class _Fills:
    """Columns of fills in order of time."""

    time_ns: NDArray[np.int64]
    side: NDArray[np.int64]
    price_ticks: NDArray[np.int64]
    qty_lots: NDArray[np.int64]
    mark_half_ticks: NDArray[np.int64]
    kind: NDArray[np.int64]
    fee_micro_tick_lots: NDArray[np.int64]

    @property
    def signed_lots(self) -> NDArray[np.int64]:
        return self.side * self.qty_lots


def _column(fills: Any, name: str) -> Any:
    try:
        return fills[name]
    except (KeyError, ValueError, IndexError, TypeError):
        raise TypeError(
            f"fills must have the column {name}, got {type(fills).__name__} without it: pass an "
            "array of records.FILL, events of a simulator, or a DataFrame with its columns"
        ) from None


def _fills(fills: Any) -> _Fills:
    if isinstance(fills, np.ndarray) and fills.dtype == EVENT:
        fills = fills[fills["template_id"] == Template.FILL]
    if isinstance(fills, np.ndarray) and fills.dtype not in (FILL, EVENT):
        raise TypeError(f"fills must be records.FILL or state.EVENT, got dtype {fills.dtype}")
    times = None
    if _arrays.is_pandas(fills) and "now_ns" not in fills:
        times = _times.times_ns(fills["time"] if "time" in fills else None, fills)
    time_ns = _times.times_ns(_column(fills, "now_ns"), None) if times is None else times
    least = {"side": -1, "price_ticks": 1, "qty_lots": 1, "mark_half_ticks": 1, "kind": 0}
    columns = {
        name: _arrays.lots(f"fills {name}", _column(fills, name), least.get(name, -(2**62)))
        for name in _COLUMNS
    }
    _arrays.same_length(time=time_ns, **columns)
    wrong = np.flatnonzero(np.abs(columns["side"]) != 1)
    if wrong.size:
        side = int(columns["side"][wrong[0]])
        raise ValueError(f"fills side must be 1 (bought) or -1 (sold), got {side} at {wrong[0]}")
    return _Fills(time_ns, **columns)


def _marks(mids: Any, mid_times: ArrayLike | None) -> tuple[Any, Any]:
    """Return times and twice the mids, which must be whole half ticks."""
    _arrays.same_index(mids=mids, mid_times=mid_times)
    halves = 2.0 * _arrays.floats("mids", mids)
    ts_ns = _times.times_ns(mid_times, mids, "mid_times")
    if _arrays.same_length(mids=halves, mid_times=ts_ns) == 0:
        raise ValueError("mids must hold at least one, got none: pass the mids of the run")
    wrong = np.flatnonzero(~((halves >= 1.0) & (halves == np.rint(halves))))
    if wrong.size:
        raise ValueError(
            f"mids must be positive multiples of half a tick, got {halves[wrong[0]] / 2} at "
            f"{wrong[0]}: pass (bid_ticks + ask_ticks) / 2"
        )
    return ts_ns, halves.astype(np.int64)


def _kind_name(kind: int) -> str:
    try:
        return FillKind(kind).name.lower()
    except ValueError:
        return str(kind)


def _groups(fills: _Fills) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Return (kind, side, which fills): all, each kind, each side, each kind and side."""
    everything = np.ones(fills.side.size, np.bool_)
    kinds = [(_ANY, everything)]
    kinds += [(_kind_name(int(k)), fills.kind == k) for k in np.unique(fills.kind)]
    sides = [(_ANY, everything)]
    sides += [(side.name.lower(), fills.side == side) for side in Side]
    return [(k, s, of_kind & of_side) for k, of_kind in kinds for s, of_side in sides]


def _block_error(
    values: NDArray[np.float64], weights: NDArray[np.float64], blocks: NDArray[np.int64]
) -> float:
    """Return the standard error of a weighted mean, values of one block hanging together."""
    _, block = np.unique(blocks, return_inverse=True)
    n = int(block.max()) + 1 if block.size else 0
    if n < 2:
        return float("nan")
    residuals = weights * (values - (weights @ values) / weights.sum())
    sums = np.bincount(block, residuals, n)
    return float(np.sqrt((sums**2).sum() * n / (n - 1)) / weights.sum())


def markouts(
    fills: Any, mids: Any, horizons_ns: ArrayLike, mid_times: ArrayLike | None = None
) -> Any:
    """Return how fills did against the mid, by horizon, kind and side.

    Per lot, with m the mid just before the fill (the fill's own mark) and M the mid a horizon
    later: the effective half-spread side * (m - price) is what the quote seemed to earn, the
    impact side * (m - M) what the market took back, and the realised half-spread
    side * (M - price) what was left: effective = impact + realised (Huang and Stoll 1996).

    Parameters
    ----------
    fills : ndarray of records.FILL or state.EVENT, or DataFrame, shape (n,)
        In order of time: side, price_ticks, qty_lots, mark_half_ticks, kind,
        fee_micro_tick_lots, and now_ns (a DataFrame may have `time` or a DatetimeIndex instead).
    mids : Series of float, or array_like, shape (m,)
        In ticks, multiples of a half.
    horizons_ns : array_like of int, shape (h,)
        Not negative.
    mid_times : array_like, shape (m,), optional
        By default the index of `mids`.

    Returns
    -------
    DataFrame
        Rows: horizon_ns, kind, side ("all" is every one). Columns: fills, lots,
        effective_ticks, impact_ticks, realised_ticks: means over lots; realised_error_ticks: its
        standard error, fills within one horizon of each other taken as one draw (they share
        most of the move; of independent fills it is the usual one). A fill whose mid is not
        known at a horizon is left out there.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    import pandas

    f = _fills(fills)
    mark_ns, marks = _marks(mids, mid_times)
    horizons = _arrays.lots("horizons_ns", horizons_ns, 0)
    later = np.zeros(f.side.size, np.int64)
    groups = _groups(f)
    rows = []
    for horizon_ns in horizons.tolist():
        marks_after(f.time_ns, mark_ns, marks, horizon_ns, later)
        effective = f.side * (f.mark_half_ticks - 2 * f.price_ticks) / 2
        realised = f.side * (later - 2 * f.price_ticks) / 2
        blocks = f.time_ns // max(horizon_ns, 1)
        for kind, side, chosen in groups:
            here = chosen & (later > 0)
            weights = f.qty_lots[here].astype(np.float64)
            lots = int(f.qty_lots[here].sum())
            means = [
                float(weights @ x[here] / lots) if lots else np.nan for x in (effective, realised)
            ]
            error = _block_error(realised[here], weights, blocks[here])
            rows.append(
                (
                    horizon_ns,
                    kind,
                    side,
                    int(here.sum()),
                    lots,
                    means[0],
                    means[0] - means[1],
                    means[1],
                    error,
                )
            )
    names = "horizon_ns kind side fills lots effective_ticks impact_ticks realised_ticks"
    table = pandas.DataFrame(rows, columns=[*names.split(), "realised_error_ticks"])
    return table.set_index(["horizon_ns", "kind", "side"])


def _values(inverse_scale: int, half_ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what a lot is worth at each price, as an account counts it."""
    if inverse_scale == 0:
        return half_ticks
    values = [lot_value(inverse_scale, half) for half in half_ticks.tolist()]
    return np.array(values, np.int64)


def decompose(
    fills: Any,
    mids: Any,
    horizon_ns: int,
    mid_times: ArrayLike | None = None,
    *,
    inverse_scale: int = 0,
) -> Any:
    """Return where the profit came from, by kind and side of the fills, to the last integer.

    With s v the signed lots of a fill, p its price, m its mark, M its mark a horizon later and E
    the last mark: spread = s v (m - p), adverse_selection = s v (M - m), inventory = s v (E - M),
    so that their sum is s v (E - p), and the sum over all fills is the account's profit before
    fees (it begins without a position). A fill without a mark a horizon later has no adverse
    selection: all it made since is inventory, as in the account.

    Parameters
    ----------
    fills, mids, mid_times
        As of `markouts`; the last mid is not before the last fill.
    horizon_ns : int
        Positive.
    inverse_scale : int
        Of the account's inverse contract, where it is one: money is then counted as there.

    Returns
    -------
    DataFrame
        Rows: kind, side ("all" is every one). Columns, all int64: fills, lots, matured (fills
        with a markout), spread_half_tick_lots, adverse_selection_half_tick_lots,
        inventory_half_tick_lots, total_half_tick_lots (their sum), fees_micro_tick_lots,
        net_micro_tick_lots (total - fees).

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    import pandas

    f = _fills(fills)
    mark_ns, marks = _marks(mids, mid_times)
    if f.time_ns.size and mark_ns[-1] < f.time_ns[-1]:
        raise ValueError(
            f"mids must reach the last fill at {f.time_ns[-1]}, got the last at {mark_ns[-1]}: "
            "pass the mids of the whole run"
        )
    later = np.zeros(f.side.size, np.int64)
    marks_after(f.time_ns, mark_ns, marks, whole("horizon_ns", horizon_ns, 1), later)
    scale = whole("inverse_scale", inverse_scale, 0)
    mark = _values(scale, f.mark_half_ticks)
    then = np.where(later > 0, _values(scale, later), mark)
    paid = _values(scale, 2 * f.price_ticks)
    parts = {
        "spread_half_tick_lots": f.signed_lots * (mark - paid),
        "adverse_selection_half_tick_lots": f.signed_lots * (then - mark),
        "inventory_half_tick_lots": f.signed_lots * (_values(scale, marks[-1:]) - then),
    }
    rows = []
    for kind, side, chosen in _groups(f):
        sums = {name: int(values[chosen].sum()) for name, values in parts.items()}
        total, fees = sum(sums.values()), int(f.fee_micro_tick_lots[chosen].sum())
        rows.append(
            {
                "kind": kind,
                "side": side,
                "fills": int(chosen.sum()),
                "lots": int(f.qty_lots[chosen].sum()),
                "matured": int((chosen & (later > 0)).sum()),
                **sums,
                "total_half_tick_lots": total,
                "fees_micro_tick_lots": fees,
                "net_micro_tick_lots": total * 500_000 - fees,
            }
        )
    return pandas.DataFrame(rows).set_index(["kind", "side"])


def equity_curve(
    fills: Any, mids: Any, mid_times: ArrayLike | None = None, *, inverse_scale: int = 0
) -> Any:
    """Return position and profit at each mid, a fill at the time of a mid counting before it.

    Parameters
    ----------
    fills, mids, mid_times
        As of `markouts`.
    inverse_scale : int
        As of `decompose`.

    Returns
    -------
    DataFrame
        The index of `mids` (or its times in nanoseconds). Columns: position_lots,
        mark_half_ticks, total_half_tick_lots (before fees), fees_micro_tick_lots, all int64, and
        net_tick_lots: total - fees as a float, for drawdown and Sharpe.
    """
    import pandas

    f = _fills(fills)
    mark_ns, marks = _marks(mids, mid_times)
    until = np.searchsorted(f.time_ns, mark_ns, "right")

    def so_far(values: NDArray[np.int64]) -> NDArray[np.int64]:
        sums: NDArray[np.int64] = np.concatenate(([0], np.cumsum(values)))[until]
        return sums

    position = so_far(f.signed_lots)
    scale = whole("inverse_scale", inverse_scale, 0)
    total = position * _values(scale, marks)
    total = total - so_far(f.signed_lots * _values(scale, 2 * f.price_ticks))
    fees = so_far(f.fee_micro_tick_lots)
    index = mids.index if _arrays.is_pandas(mids) else mark_ns
    columns = {
        "position_lots": position,
        "mark_half_ticks": marks,
        "total_half_tick_lots": total,
        "fees_micro_tick_lots": fees,
        "net_tick_lots": total / 2 - fees / 1e6,
    }
    return pandas.DataFrame(columns, index=index)
