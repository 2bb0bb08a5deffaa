"""Is a series flat? A slope by least squares over the pieces of an interrupted series."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Trend", "fit_trend"]

_S_PER_MIN = 60.0
_LEAST_SAMPLES = 10
_STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class Trend:
    """A slope common to all pieces of a series, each with a level of its own.

    Attributes
    ----------
    slope_per_min, standard_error_per_min
        In units of the values.
    span_min
        Minutes covered by the pieces together.
    samples, pieces
        How many went in.
    """

    slope_per_min: float
    standard_error_per_min: float
    span_min: float
    samples: int
    pieces: int

    @property
    def growth(self) -> float:
        """What the slope adds up to over the span, in units of the values."""
        return self.slope_per_min * self.span_min

    def is_flat(self, growth_limit: float) -> bool:
        """Return whether it does not grow: within the noise, or less than the limit in all."""
        is_noise = self.slope_per_min <= _STANDARD_ERRORS * self.standard_error_per_min
        return is_noise or self.growth <= growth_limit


def fit_trend(pieces: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Trend | None:
    """Return the trend of (times in s, values) pieces; None where there is too little.

    Ordinary least squares of value = level of the piece + slope * time. The standard error
    takes the residuals as independent; memory moves in steps, so it is a lower bound.
    """
    used = [piece for piece in pieces if len(piece[0]) >= _LEAST_SAMPLES]
    if not used:
        return None
    times = [np.asarray(piece[0]) / _S_PER_MIN for piece in used]
    values = [np.asarray(piece[1], float) for piece in used]
    t = np.concatenate([column - column.mean() for column in times])
    y = np.concatenate([column - column.mean() for column in values])
    spread = float(t @ t)
    slope = float(t @ y) / spread
    freedom = len(t) - len(used) - 1
    residuals = y - slope * t
    error = math.sqrt(float(residuals @ residuals) / freedom / spread)
    span_min = float(sum(column[-1] - column[0] for column in times))
    return Trend(slope, error, span_min, len(t), len(used))
