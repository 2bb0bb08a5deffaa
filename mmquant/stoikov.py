"""books -> Stoikov's estimated micro-price: fitted to what the mid did next, then applied.

model = fit_microprice(bid_ticks, bid_lots, ask_ticks, ask_lots)
price = model.apply(bid_ticks, bid_lots, ask_ticks, ask_lots)
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _sides
from mmquant._checks import whole
from mmquant.kernels import microprice as kernels

__all__ = ["MicropriceModel", "fit_microprice", "solve_adjustments"]

_INT64_MOST = 2**63 - 1
_MOST_TICKS = 1e6  # no next change of a mid is larger
_SUM_ERROR = 1e-9  # of probabilities that sum to 1
_DRIFT_ERROR = 1e-9  # of rises and falls that cancel, as a part of them


_Book = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _touch(
    bid_ticks: ArrayLike,
    bid_lots: ArrayLike,
    ask_ticks: ArrayLike,
    ask_lots: ArrayLike,
    buckets: int,
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
    _sides.check_ticks("bid_ticks", touch["bid_ticks"])
    _sides.check_ticks("ask_ticks", touch["ask_ticks"])
    _sides.check_sides(touch)
    # The bucket is lots * buckets // lots, in whole numbers.
    most = _INT64_MOST // max(buckets, 2)
    _sides.check_lots(most, bid_lots=touch["bid_lots"], ask_lots=touch["ask_lots"])
    return touch["bid_ticks"], touch["bid_lots"], touch["ask_ticks"], touch["ask_lots"]


@dataclass(frozen=True, eq=False)
class MicropriceModel:
    """What the mid is expected to move by, per state of the touch.

    Models are equal, and one key of a dict, where their tables and steps are.

    Attributes
    ----------
    adjustment_ticks : ndarray of float64, shape (spreads, buckets)
        Row s: spreads of s + 1 ticks (the last row: and more); column b: the bid's share of the
        size in [b, b + 1) / buckets. Of a fit antisymmetric in the bucket. A read-only copy of
        what is given; at most a million ticks either way.
    steps : int
        Steps between books that were counted, not negative.

    Raises
    ------
    TypeError, ValueError
        Naming the attribute, the rule and the value received.
    """

    adjustment_ticks: NDArray[np.float64]
    steps: int

    def __post_init__(self) -> None:
        table = np.array(_arrays.any_floats("adjustment_ticks", self.adjustment_ticks))
        if table.ndim != 2 or table.size == 0:
            raise ValueError(
                f"adjustment_ticks must be rows of numbers, a row a spread, got shape "
                f"{table.shape}: pass what fit_microprice gives"
            )
        is_sound = np.abs(table) <= _MOST_TICKS  # NaN is not
        if not is_sound.all():
            raise ValueError(
                f"adjustment_ticks must be numbers within {_MOST_TICKS:g} of 0, got "
                f"{table[~is_sound][0]}: fit it to more books"
            )
        table.flags.writeable = False
        object.__setattr__(self, "adjustment_ticks", table)
        object.__setattr__(self, "steps", whole("steps", self.steps, 0))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MicropriceModel):
            return NotImplemented
        same = np.array_equal(self.adjustment_ticks, other.adjustment_ticks)
        return same and self.steps == other.steps

    def __hash__(self) -> int:
        # By value, not by byte: 0.0 and -0.0 are equal.
        return hash((self.steps, *map(tuple, self.adjustment_ticks.tolist())))

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
            Not such a text, or of no such table and steps as a model has.
        """
        try:
            data = json.loads(text)
            table, steps = data["adjustment_ticks"], data["steps"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"text must be what to_json gives, got {text!r:.60}") from error
        try:
            return cls(table, steps)
        except TypeError as error:
            raise ValueError(f"text must be what to_json gives: {error}") from None

    def apply(
        self, bid_ticks: ArrayLike, bid_lots: ArrayLike, ask_ticks: ArrayLike, ask_lots: ArrayLike
    ) -> Any:
        """Return mid plus adjustment in ticks, (n,); NaN for an empty side or a crossed book."""
        buckets = self.adjustment_ticks.shape[1]
        touch = _touch(bid_ticks, bid_lots, ask_ticks, ask_lots, buckets)
        out = np.empty(touch[0].size)
        # A copy that may be written to, as mm_pricing's: numba compiles anew for one that may not.
        table = self.adjustment_ticks.flatten()
        kernels.estimated_microprice_path(*touch, table, buckets, out)
        template = _arrays.kind_of(bid_ticks, bid_lots, ask_ticks, ask_lots)
        return _arrays.like(template, out, "stoikov_ticks")


def _leads_to(steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which state leads to which, over any number of steps, itself included."""
    reach: NDArray[np.bool_] = (steps > 0.0) | np.eye(steps.shape[0], dtype=bool)
    while True:
        further = reach.astype(np.float32) @ reach.astype(np.float32) > 0.0
        if np.array_equal(further, reach):
            return reach
        reach = further


def _stationary(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the stationary distribution of a chain whose states all lead to each other.

    Grassmann, Taksar and Heyman (1985), Operations Research 33(5): nothing is subtracted, so every
    probability is right to its last digits, however seldom parts of the chain meet.
    """
    flows, size = steps.copy(), steps.shape[0]
    for k in range(size - 1, 0, -1):
        flows[:k, k] /= flows[k, :k].sum()
        flows[:k, :k] += np.outer(flows[:k, k], flows[k, :k])
    shares = np.ones(size)
    for k in range(1, size):
        shares[k] = shares[:k] @ flows[:k, k]
    probabilities: NDArray[np.float64] = shares / shares.sum()
    return probabilities


def _settle(
    steps: NDArray[np.float64], moves: NDArray[np.float64], drift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the limit for one closed class of states, see `solve_adjustments`."""
    visits = _stationary(steps)
    onward = float(visits @ drift)
    if abs(onward) > _DRIFT_ERROR * float(visits @ np.abs(drift)):
        raise ValueError(
            f"books must lead from states that the mid rises from to states that it falls from, "
            f"got some that never do, so the sum has no limit (the mid goes on by {onward:.2g} "
            f"ticks a step): pass more of them, or ask for fewer buckets and spreads"
        )
    landings = visits @ moves
    # visits @ left is landings / their sum, so that pi @ answer = visits @ drift = 0, as it must.
    left = np.eye(drift.size) - steps + landings / landings.sum()
    return np.linalg.solve(left, drift)


def _check_chain(
    stays: NDArray[np.float64], moves: NDArray[np.float64], drift: NDArray[np.float64]
) -> None:
    size = drift.size
    if drift.shape != (size,) or stays.shape != (size, size) or moves.shape != (size, size):
        raise ValueError(
            f"stays and moves must have shape (s, s) for a drift of (s,), got {stays.shape}, "
            f"{moves.shape} and {drift.shape}: pass a row and a column a state"
        )
    if not (np.isfinite(drift).all() and (stays >= 0.0).all() and (moves >= 0.0).all()):
        raise ValueError(
            f"stays and moves must not be negative and drift finite, got {stays.min()}, "
            f"{moves.min()} and {drift[np.argmax(~np.isfinite(drift))]}: divide counts by the "
            f"visits to their state"
        )
    sums = (stays + moves).sum(axis=1)
    if not (np.abs(sums - 1.0) <= _SUM_ERROR).all():
        raise ValueError(
            f"rows of stays plus moves must sum to 1, got {sums[np.argmax(np.abs(sums - 1.0))]}: "
            f"divide counts by the visits to their state"
        )


def solve_adjustments(
    stays: NDArray[np.float64], moves: NDArray[np.float64], drift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the limit of the expected mid changes of a chain of states.

    Stoikov (2018), The micro-price, Quantitative Finance 18(12): G1 = (I - Q)^-1 E[dM | state],
    B = (I - Q)^-1 R, G* = sum of B^i G1. Where the partial sums end up in a circle (a mid that
    bounces for ever), G* is the mean over that circle.

    Parameters
    ----------
    stays, moves : ndarray of float64, shape (s, s)
        Probabilities Q and R of stepping to each state while the mid stays, and moves.
    drift : ndarray of float64, shape (s,)
        Expected change of the mid in one step.

    Returns
    -------
    ndarray of float64, shape (s,)

    Raises
    ------
    ValueError
        No such probabilities; the mid never moves again from some state; the sum has no limit.

    Notes
    -----
    (I - B) G* = G1, that is (I - Q - R) G* = drift, leaves a constant open for each closed class
    (states that lead to each other and nowhere else). B^i tends to the class' stationary pi, so
    that a limit needs pi G1 = 0 and has pi G* = 0, which settles the constant. With mu stationary
    for Q + R, pi is mu R and pi G1 is mu drift, but for a factor. The states that lead into
    classes follow from those.
    """
    _check_chain(stays, moves, drift)
    steps = stays + moves
    reach = _leads_to(steps)
    if not (reach & (moves.sum(axis=1) > 0.0)).any(axis=1).all():
        raise ValueError(
            "books must lead to a change of the mid from every state, got one that does not: "
            "pass more of them, or ask for fewer buckets and spreads"
        )
    adjustments = np.zeros(drift.size)
    is_closed = (reach <= reach.T).all(axis=1)
    for first in np.flatnonzero(is_closed):
        members = np.flatnonzero(reach[first])
        if first == members[0]:
            block = np.ix_(members, members)
            adjustments[members] = _settle(steps[block], moves[block], drift[members])
    rest = np.flatnonzero(~is_closed)
    left = np.eye(rest.size) - steps[np.ix_(rest, rest)]
    adjustments[rest] = np.linalg.solve(left, drift[rest] + steps[rest] @ adjustments)
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
    antisymmetric, and the limit exist where heavy bids and heavy asks lead to each other. Where
    they do not, rises and falls from each must cancel, or it is refused. Sample as it will be
    applied: at each update, or at fixed times. States that were not met get no adjustment.

    Parameters
    ----------
    bid_ticks, bid_lots, ask_ticks, ask_lots : array_like of int, shape (n,)
        Best prices (at most 2^53) and sizes in the order of time. A row without a touch (a side
        of 0 lots is none, whatever its price reads) breaks the sequence.
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
    touch = _touch(bid_ticks, bid_lots, ask_ticks, ask_lots, buckets)
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
    table = adjustment.reshape(spreads, buckets)
    # Antisymmetric it is but for rounding: now to the last bit.
    return MicropriceModel((table - table[:, ::-1]) / 2.0, steps)
