"""prices -> volatility and drift: live, from the whole of a sample, and from bars.

estimate = Volatility(volatility_half_life_ns=60 * 10**9, drift_half_life_ns=600 * 10**9)
sigma, mu, warm = estimate.path(mids_ticks, times)

A price in ticks gives ticks per sqrt(s), its logarithm a relative volatility per sqrt(s): no
function here takes logarithms by itself, except those of bars. Of logarithms pass the
`least_jump_ticks` that one tick is: tick / price. docs/estimators.md says which estimator to use
when.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _times
from mmquant._checks import number, number_or_missing, whole
from mmquant.kernels import volatility as kernels
from mmquant.state import VOLATILITY

__all__ = ["Volatility", "VolatilityPath"]

_DAY_NS = 24 * 3600 * 10**9
_MOST_LOGARITHM = 30.0  # e^30 is 10^13; of a price of 30 ticks one tick would be 3 %
_MOST_LOGARITHM_MOVE = 0.1
_BLOCK = 64  # samples in which the first interval is looked for at a time


class VolatilityPath(NamedTuple):
    """What is known after each price; each (n,), Series for a Series.

    Volatility and drift are NaN before the first interval that counts.
    """

    volatility_ticks_per_sqrt_s: Any
    drift_ticks_per_s: Any
    warm: Any


def _are_logarithms(xs: NDArray[np.float64]) -> bool:
    """Tell whether prices are too small for ticks, and their usual move as well."""
    sizes = abs(xs[~np.isnan(xs)])
    if sizes.size == 0 or not sizes.max() < _MOST_LOGARITHM:
        return False
    moves = abs(np.diff(xs[~np.isnan(xs)]))
    moves = moves[moves > 0.0]
    return moves.size > 0 and bool(np.median(moves) < _MOST_LOGARITHM_MOVE)


def _jump_sigmas(value: object) -> float:
    if isinstance(value, float | np.floating) and value == math.inf:
        return math.inf
    return number("jump_sigmas", value, 1.0)


class Volatility:
    """Volatility and drift of a price sampled at irregular times.

    sigma^2 = sum w r^2 / sum w dt, mu = sum w r / sum w dt, each with weights that halve in its
    half-life: ratio estimators, unbiased under irregular sampling. A price at the time of the
    last one is merged into the next; an interval longer than `max_gap_ns` gives neither a return
    nor time. The standard error of the drift is sigma / sqrt(2 half_life / ln 2): mostly noise.

    Parameters
    ----------
    volatility_half_life_ns, drift_half_life_ns : int
        Positive.
    warmup_ns : int, optional
        Observed time since the first price after which `warm` is true; the volatility's
        half-life by default.
    max_gap_ns : int, optional
        Longest interval that counts as observed, positive; a day by default.
    jump_sigmas : float, optional
        A larger move counts as one of this size, at least 1; infinity lets every move count in
        full.
    least_jump_ticks : float, optional
        No smaller move is a jump, in the unit of the prices: a tick by default, tick / price for
        logarithms.

    Warns
    -----
    UserWarning
        Once, where `least_jump_ticks` is not given and the prices look like logarithms (below 30,
        and their usual move below 0.1): no move of theirs is 1, and none would count as a jump.

    Attributes
    ----------
    state : ndarray of VOLATILITY, shape (1,)
        What the kernels change; copying it copies the estimator.
    """

    def __init__(
        self,
        volatility_half_life_ns: int,
        drift_half_life_ns: int,
        warmup_ns: int | None = None,
        max_gap_ns: int = _DAY_NS,
        jump_sigmas: float = 6.0,
        least_jump_ticks: float | None = None,
    ) -> None:
        self.volatility_half_life_ns = whole("volatility_half_life_ns", volatility_half_life_ns, 1)
        self.drift_half_life_ns = whole("drift_half_life_ns", drift_half_life_ns, 1)
        default_ns = self.volatility_half_life_ns
        self.warmup_ns = default_ns if warmup_ns is None else whole("warmup_ns", warmup_ns, 0)
        self.max_gap_ns = whole("max_gap_ns", max_gap_ns, 1)
        self.jump_sigmas = _jump_sigmas(jump_sigmas)
        self._doubts_unit = least_jump_ticks is None and self.jump_sigmas != math.inf
        least = 1.0 if least_jump_ticks is None else least_jump_ticks
        self.least_jump_ticks = number("least_jump_ticks", least, 0.0)
        self.state = np.zeros(1, VOLATILITY)

    def update(self, x_ticks: float, ts_ns: int) -> None:
        """Take in one price in ticks."""
        value = number_or_missing("x_ticks", x_ticks)
        if self._doubts_unit and self.state[0]["samples"] > 0:
            self._warn_of_logarithms(np.array([self.state[0]["x_ticks"], value]))
        kernels.volatility_robust_step(
            self.state,
            value,
            whole("ts_ns", ts_ns, -(2**62)),
            self.volatility_half_life_ns,
            self.drift_half_life_ns,
            self.max_gap_ns,
            self.jump_sigmas,
            self.least_jump_ticks,
        )

    def path(self, xs_ticks: ArrayLike, times: ArrayLike | None = None) -> VolatilityPath:
        """Take in prices (n,) at times (n,): volatility, drift and warm after each, all (n,).

        Volatility and drift are NaN before the first interval: until there are prices of two
        times with no gap between them.
        """
        _arrays.same_index(xs_ticks=xs_ticks, times=times)
        values = _arrays.floats("xs_ticks", xs_ticks)
        ts_ns = _times.times_ns(times, xs_ticks)
        n = _arrays.same_length(xs_ticks=values, times=ts_ns)
        half_life_ns = min(self.volatility_half_life_ns, self.drift_half_life_ns)
        _times.warn_of_unit("half_life_ns", half_life_ns, ts_ns)
        _times.warn_of_unit("max_gap_ns", self.max_gap_ns, ts_ns)
        if self._doubts_unit:
            self._warn_of_logarithms(values)
        volatility, drift, warm = np.empty(n), np.empty(n), np.empty(n, np.uint8)
        unknown = self._unknown(values, ts_ns)
        self._fold(self.state, values, ts_ns, self.warmup_ns, volatility, drift, warm)
        volatility[:unknown] = drift[:unknown] = np.nan
        like = _arrays.kind_of(xs_ticks)
        return VolatilityPath(
            _arrays.like(like, volatility, "volatility_ticks_per_sqrt_s"),
            _arrays.like(like, drift, "drift_ticks_per_s"),
            _arrays.like(like, warm.astype(np.bool_), "warm"),
        )

    def _warn_of_logarithms(self, xs: NDArray[np.float64]) -> None:
        """Warn the first time."""
        if _are_logarithms(xs):
            self._doubts_unit = False
            _arrays.warn(
                "prices look like logarithms, and least_jump_ticks is 1 by default: no move counts "
                "as a jump, so that one bad price spoils the volatility. Pass "
                "least_jump_ticks=tick / price (or 1.0, if these are ticks)"
            )

    def _fold(
        self,
        state: NDArray[Any],
        xs_ticks: NDArray[np.float64],
        ts_ns: NDArray[np.int64],
        warmup_ns: int,
        *outs: NDArray[Any],
    ) -> None:
        kernels.volatility_path(
            state,
            xs_ticks,
            ts_ns,
            self.volatility_half_life_ns,
            self.drift_half_life_ns,
            warmup_ns,
            self.max_gap_ns,
            self.jump_sigmas,
            self.least_jump_ticks,
            *outs,
        )

    def _unknown(self, xs_ticks: NDArray[np.float64], ts_ns: NDArray[np.int64]) -> int:
        """Return after how many samples nothing is known yet: the kernel writes zeros there."""
        state = self.state.copy()
        for at in range(0, xs_ticks.size, _BLOCK):
            if state[0]["observed_ns"] > 0:
                return at
            xs, ts = xs_ticks[at : at + _BLOCK], ts_ns[at : at + _BLOCK]
            observed = np.empty(xs.size, np.uint8)
            self._fold(state, xs, ts, 0, np.empty(xs.size), np.empty(xs.size), observed)
            if observed.any():
                return at + int(np.argmax(observed))
        return xs_ticks.size

    @property
    def volatility_ticks_per_sqrt_s(self) -> float:
        """The volatility, NaN before the first interval."""
        known = self.state[0]["observed_ns"] > 0
        return float(kernels.volatility_ticks_per_sqrt_s(self.state)) if known else math.nan

    @property
    def drift_ticks_per_s(self) -> float:
        """The drift, NaN before the first interval."""
        known = self.state[0]["observed_ns"] > 0
        return float(kernels.drift_ticks_per_s(self.state)) if known else math.nan

    @property
    def warm(self) -> bool:
        """Whether `warmup_ns` of time was observed."""
        return bool(kernels.volatility_warm(self.state, self.warmup_ns))

    def __repr__(self) -> str:
        return (
            f"Volatility(volatility_ticks_per_sqrt_s={self.volatility_ticks_per_sqrt_s}, "
            f"drift_ticks_per_s={self.drift_ticks_per_s}, warm={self.warm})"
        )
