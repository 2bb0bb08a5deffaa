"""books -> Stoikov's estimated micro-price: fitted to what the mid did next, then applied.

model = fit_microprice(bid_ticks, bid_lots, ask_ticks, ask_lots)
price = model.apply(bid_ticks, bid_lots, ask_ticks, ask_lots)
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays
from mmquant._checks import whole
from mmquant.kernels import microprice as kernels

__all__ = ["MicropriceModel", "fit_microprice", "solve_adjustments"]


_Book = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _touch(
    bid_ticks: ArrayLike, bid_lots: ArrayLike, ask_ticks: ArrayLike, ask_lots: ArrayLike
) -> _Book:
    _arrays.same_index(
        bid_ticks=bid_ticks, bid_lots=bid_lots, ask_ticks=ask_ticks, ask_lots=ask_lots
    )
    touch = {
        "bid_ticks": _arrays.lots("bid_ticks", bid_ticks, 0),
        "bid_lots": _arrays.lots("bid_lots", bid_lots, 0),
        "ask_ticks": _arrays.lots("ask_ticks", ask_ticks, 0),
        "ask_lots": _arrays.lots("ask_lots", ask_lots, 0),
    }
    _arrays.same_length(**touch)
    return touch["bid_ticks"], touch["bid_lots"], touch["ask_ticks"], touch["ask_lots"]


@dataclass(frozen=True)
class MicropriceModel:
    """What the mid is expected to move by, per state of the touch.

    Attributes
    ----------
    adjustment_ticks : ndarray of float64, shape (spreads, buckets)
        Row s: spreads of s + 1 ticks (the last row: and more); column b: the bid's share of the
        size in [b, b + 1) / buckets. Antisymmetric in the bucket.
    steps : int
        Steps between books that were counted.
    """

    adjustment_ticks: NDArray[np.float64]
    steps: int

    def to_json(self) -> str:
        """Return the model as text, such as mm_pricing reads from a file."""
        table = self.adjustment_ticks.tolist()
        return json.dumps({"adjustment_ticks": table, "steps": self.steps})

    @classmethod
    def from_json(cls, text: str) -> "MicropriceModel":
        """Return the model that `to_json` wrote.

        Raises
        ------
        ValueError
            Not such a text, or a table with other than finite numbers in rows of one length.
        """
        try:
            data = json.loads(text)
            table = np.array(data["adjustment_ticks"], np.float64)
            steps = int(data["steps"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"text must be what to_json gives, got {text!r:.60}") from error
        if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
            raise ValueError(
                f"adjustment_ticks must be rows of finite numbers, got shape {table.shape}"
            )
        return cls(table, steps)

    def apply(
        self, bid_ticks: ArrayLike, bid_lots: ArrayLike, ask_ticks: ArrayLike, ask_lots: ArrayLike
    ) -> Any:
        """Return mid plus adjustment in ticks, (n,); NaN for a side of 0 lots or a crossed book."""
        touch = _touch(bid_ticks, bid_lots, ask_ticks, ask_lots)
        out = np.empty(touch[0].size)
        table = self.adjustment_ticks
        kernels.estimated_microprice_path(*touch, table.reshape(-1), table.shape[1], out)
        template = _arrays.kind_of(bid_ticks, bid_lots, ask_ticks, ask_lots)
        return _arrays.like(template, out, "stoikov_ticks")


def solve_adjustments(
    stays: NDArray[np.float64], moves: NDArray[np.float64], drift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the limit of the expected mid changes of a chain of states.

    Stoikov (2018), The micro-price, Quantitative Finance 18(12): G1 = (I - Q)^-1 E[dM | state],
    B = (I - Q)^-1 R, G* = sum of B^i G1, found as the solution of (I - B) G* = G1 of least norm.

    Parameters
    ----------
    stays, moves : ndarray of float64, shape (s, s)
        Probabilities Q and R of stepping to each state while the mid stays, and moves.
    drift : ndarray of float64, shape (s,)
        Expected change of the mid in one step.

    Raises
    ------
    ValueError
        Where the mid never moves again from some state, or the sum has no limit.
    """
    identity = np.eye(drift.size)
    try:
        solved = np.linalg.solve(identity - stays, np.column_stack([drift, moves]))
    except np.linalg.LinAlgError:
        raise ValueError(
            "books must lead to a change of the mid from every state, got one that does not: "
            "pass more of them, or ask for fewer buckets and spreads"
        ) from None
    first, chain = solved[:, 0], solved[:, 1:]
    adjustments: NDArray[np.float64] = np.linalg.lstsq(identity - chain, first, rcond=None)[0]
    left = np.abs(first - (identity - chain) @ adjustments).max()
    if left > 1e-9 * max(np.abs(first).max(), np.abs(adjustments).max()):
        raise ValueError(
            f"books must lead from states that the mid rises from to states that it falls from, "
            f"got some that never do, so the sum has no limit (residual {left:.2g} ticks): "
            f"pass more of them, or ask for fewer buckets and spreads"
        )
    return adjustments


def fit_microprice(
    bid_ticks: ArrayLike,
    bid_lots: ArrayLike,
    ask_ticks: ArrayLike,
    ask_lots: ArrayLike,
    *,
    buckets: int = 10,
    max_spread_ticks: int = 3,
) -> MicropriceModel:
    """Fit Stoikov's micro-price to a sequence of touches.

    Every step from one book to the next counts, with its mirror image: that makes the result
    antisymmetric, and the limit exist where heavy bids and heavy asks lead to each other (where
    they do not, it is refused). Sample as it will be applied: at each update, or at fixed times.
    States that were not met get no adjustment.

    Parameters
    ----------
    bid_ticks, bid_lots, ask_ticks, ask_lots : array_like of int, shape (n,)
        Best prices and sizes in the order of time. A row without a touch (a side of 0 lots is
        none) breaks the sequence.
    buckets : int
        Of equal width for the bid's share of the size, at least 2.
    max_spread_ticks : int
        Wider spreads are taken as this.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received; too few books.
    """
    buckets = whole("buckets", buckets, 2, 1000)
    spreads = whole("max_spread_ticks", max_spread_ticks, 1, 100)
    touch = _touch(bid_ticks, bid_lots, ask_ticks, ask_lots)
    states = np.empty(touch[0].size, np.int64)
    kernels.touch_states_path(*touch, buckets, spreads, states)
    size = buckets * spreads
    stays, moves, drift = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
    mids = touch[0] + touch[2]
    steps = int(kernels.count_transitions(states, mids, buckets, stays, moves, drift))
    leaves = stays.sum(axis=1) + moves.sum(axis=1)
    met = np.flatnonzero((leaves > 0) | (stays.sum(axis=0) + moves.sum(axis=0) > 0))
    if steps == 0:
        raise ValueError("books must hold a step from touch to touch, got none: pass more of them")
    # A state met only at the very end leads nowhere: it is taken to be followed by its mirror.
    for state in met[leaves[met] == 0]:
        moves[state, state + buckets - 1 - 2 * (state % buckets)] = leaves[state] = 1.0
    rows = np.ix_(met, met)
    counts = leaves[met]
    adjustment = np.zeros(size)
    adjustment[met] = solve_adjustments(
        stays[rows] / counts[:, None], moves[rows] / counts[:, None], drift[met] / 2.0 / counts
    )
    return MicropriceModel(adjustment.reshape(spreads, buckets), steps)
