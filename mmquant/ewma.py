"""mids, trades -> volatility, drift: decayed averages of irregular samples.

volatility = Volatility(volatility_half_life_ns=60 * 10**9, drift_half_life_ns=600 * 10**9)
sigma, mu, warm = volatility.path(mids_ticks, ts_ns)
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant._checks import whole
from mmquant.kernels import ewma as kernels
from mmquant.state import EWMA, VOLATILITY

__all__ = ["Ewma", "Volatility"]

_DAY_NS = 24 * 3600 * 10**9


def _samples(xs: ArrayLike, ts_ns: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return both as writable arrays of one length, finite and in the order of time."""
    times = np.array(ts_ns)
    if times.dtype.kind not in "iuM" and times.size > 0:
        raise TypeError(f"ts_ns must be whole nanoseconds, got dtype {times.dtype}: pass int64")
    if times.dtype.kind == "M":
        times = times.astype("datetime64[ns]")
    times = times.astype(np.int64)
    values = np.array(xs, np.float64)
    if values.ndim != 1 or values.shape != times.shape:
        raise ValueError(
            f"samples and ts_ns must be 1-d and equally long, got {values.shape} and {times.shape}"
        )
    if not np.isfinite(values).all():
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"samples must be finite, got {values[at]} at {at}: drop such samples")
    if np.any(times[1:] < times[:-1]):
        at = int(np.flatnonzero(times[1:] < times[:-1])[0]) + 1
        raise ValueError(f"ts_ns must not decrease, got {times[at]} at {at}: sort by time")
    return values, times


def _finite(field: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{field} must be finite, got {value}: drop such samples")
    return float(value)


class Ewma:
    """Exponentially weighted mean over time, as pandas' `ewm(halflife, times, adjust=False)`.

    Parameters
    ----------
    half_life_ns : int
        Time in which a sample's weight halves, positive.

    Attributes
    ----------
    state : ndarray of EWMA, shape (1,)
        What the kernels change; copying it copies the estimator.
    """

    def __init__(self, half_life_ns: int) -> None:
        self.state = np.zeros(1, EWMA)
        self.state["half_life_ns"] = whole("half_life_ns", half_life_ns, 1)

    def update(self, x: float, ts_ns: int) -> float:
        """Take in one sample and return the mean; a sample of the past has no weight."""
        value = _finite("x", x)
        return float(kernels.ewma_step(self.state, value, whole("ts_ns", ts_ns, 0)))

    def path(self, xs: ArrayLike, ts_ns: ArrayLike) -> NDArray[np.float64]:
        """Take in samples `xs` at `ts_ns`, both (n,), and return the mean after each, (n,)."""
        values, times = _samples(xs, ts_ns)
        out = np.empty(values.size)
        kernels.ewma_path(self.state, values, times, out)
        return out

    @property
    def value(self) -> float:
        """The mean, 0.0 before the first sample."""
        return float(self.state[0]["value"])

    def __repr__(self) -> str:
        s = self.state[0]
        return f"Ewma(half_life_ns={s['half_life_ns']}, value={s['value']}, samples={s['samples']})"


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
    ) -> None:
        self.volatility_half_life_ns = whole("volatility_half_life_ns", volatility_half_life_ns, 1)
        self.drift_half_life_ns = whole("drift_half_life_ns", drift_half_life_ns, 1)
        default_ns = self.volatility_half_life_ns
        self.warmup_ns = default_ns if warmup_ns is None else whole("warmup_ns", warmup_ns, 0)
        self.max_gap_ns = whole("max_gap_ns", max_gap_ns, 1)
        self.state = np.zeros(1, VOLATILITY)

    def update(self, x_ticks: float, ts_ns: int) -> None:
        """Take in one price in ticks."""
        kernels.volatility_step(
            self.state,
            _finite("x_ticks", x_ticks),
            whole("ts_ns", ts_ns, 0),
            self.volatility_half_life_ns,
            self.drift_half_life_ns,
            self.max_gap_ns,
        )

    def path(
        self, xs_ticks: ArrayLike, ts_ns: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Take in prices (n,) at times (n,): volatility, drift and warm after each, all (n,)."""
        values, times = _samples(xs_ticks, ts_ns)
        volatility = np.empty(values.size)
        drift = np.empty(values.size)
        warm = np.empty(values.size, np.uint8)
        kernels.volatility_path(
            self.state,
            values,
            times,
            self.volatility_half_life_ns,
            self.drift_half_life_ns,
            self.warmup_ns,
            self.max_gap_ns,
            volatility,
            drift,
            warm,
        )
        return volatility, drift, warm.astype(np.bool_)

    @property
    def volatility_ticks_per_sqrt_s(self) -> float:
        """The volatility, 0.0 before the first interval."""
        return float(kernels.volatility_ticks_per_sqrt_s(self.state))

    @property
    def drift_ticks_per_s(self) -> float:
        """The drift, 0.0 before the first interval."""
        return float(kernels.drift_ticks_per_s(self.state))

    @property
    def warm(self) -> bool:
        """Whether `warmup_ns` of time was observed."""
        return bool(kernels.volatility_warm(self.state, self.warmup_ns))

    def __repr__(self) -> str:
        return (
            f"Volatility(volatility_ticks_per_sqrt_s={self.volatility_ticks_per_sqrt_s}, "
            f"drift_ticks_per_s={self.drift_ticks_per_s}, warm={self.warm})"
        )
