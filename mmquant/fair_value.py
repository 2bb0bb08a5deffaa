"""book -> fair value and its signals: mid, microprice and imbalance over arrays.

Prices are ticks and sizes lots, both whole numbers; scalars and arrays broadcast against each
other, and an answer is a float64 array of the common shape (a 0-d one for scalars), or a Series
or DataFrame like the first that is one, on the index that all of pandas must share. Beside a
DataFrame a Series counts for its row, in every column.
A side without a price is empty: 0 ticks, or NO_ASK as `OrderBook.replay` gives for an ask. Mid and
microprice are NaN there.
mmquant.signals has more signals and the blend, mmquant.stoikov Stoikov's estimated micro-price.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _sides
from mmquant.kernels import fair_value as kernels

__all__ = ["imbalance", "microprice", "mid"]


def _flat(**touch: ArrayLike) -> tuple[list[NDArray[np.int64]], tuple[int, ...]]:
    """Return the arguments broadcast, each as a writable 1-d copy, and their common shape."""
    arrays = {
        name: _arrays.whole_numbers(name, _arrays.as_array(name, values), 0)
        for name, values in touch.items()
    }
    for name, array in arrays.items():
        if name.endswith("_ticks"):
            _sides.check_ticks(name, array)
    arrays, shape = _arrays.by_row(touch, arrays)
    return [np.broadcast_to(array, shape).flatten() for array in arrays.values()], shape


def mid(bid_ticks: ArrayLike, ask_ticks: ArrayLike) -> Any:
    """Return (bid + ask) / 2 in ticks.

    Parameters
    ----------
    bid_ticks, ask_ticks : array_like of int
        Best prices, at most 2^53; 0, and NO_ASK for an ask, where there is none.

    Returns
    -------
    ndarray of float64, Series or DataFrame
        NaN where a side is empty.

    Raises
    ------
    TypeError, ValueError
        Not whole numbers; negative; beyond the bound.
    """
    (bid, ask), shape = _flat(bid_ticks=bid_ticks, ask_ticks=ask_ticks)
    out = np.empty(bid.size)
    kernels.mid_path(bid, ask, out)
    _sides.without_empty(out, bid, ask)
    return _arrays.like(_arrays.kind_of(bid_ticks, ask_ticks), out.reshape(shape), "mid_ticks")


def imbalance(bid_lots: ArrayLike, ask_lots: ArrayLike) -> Any:
    """Return (bid - ask) / (bid + ask) of the sizes, in [-1, 1]; 0 where both are 0.

    Parameters
    ----------
    bid_lots, ask_lots : array_like of int
        Sizes at the best prices, not negative; 0 for an empty side, so that the other is all.

    Raises
    ------
    TypeError, ValueError
        Not whole numbers; negative.
    """
    (bid, ask), shape = _flat(bid_lots=bid_lots, ask_lots=ask_lots)
    out = np.empty(bid.size)
    kernels.imbalance_path(bid, ask, out)
    return _arrays.like(_arrays.kind_of(bid_lots, ask_lots), out.reshape(shape), "imbalance")


def microprice(
    bid_ticks: ArrayLike, bid_lots: ArrayLike, ask_ticks: ArrayLike, ask_lots: ArrayLike
) -> Any:
    """Return the weighted mid in ticks: sizes cross, so the heavier bid pushes it up.

    (bid * ask_lots + ask * bid_lots) / (bid_lots + ask_lots); the mid where both sizes are 0 and
    both prices there.

    Parameters
    ----------
    bid_ticks, ask_ticks : array_like of int
        Best prices, at most 2^53; 0, and NO_ASK for an ask, where there is none.
    bid_lots, ask_lots : array_like of int
        Sizes at them, not negative; 0 where there is no price.

    Returns
    -------
    ndarray of float64, Series or DataFrame
        NaN where a side is empty.

    Raises
    ------
    TypeError, ValueError
        Not whole numbers; negative; prices beyond the bound; a size without a price.
    """
    (bid, bid_size, ask, ask_size), shape = _flat(
        bid_ticks=bid_ticks, bid_lots=bid_lots, ask_ticks=ask_ticks, ask_lots=ask_lots
    )
    _sides.check_sides(
        {"bid_ticks": bid, "bid_lots": bid_size, "ask_ticks": ask, "ask_lots": ask_size}
    )
    out = np.empty(bid.size)
    kernels.microprice_path(bid, bid_size, ask, ask_size, out)
    _sides.without_empty(out, bid, ask)
    template = _arrays.kind_of(bid_ticks, bid_lots, ask_ticks, ask_lots)
    return _arrays.like(template, out.reshape(shape), "microprice_ticks")
