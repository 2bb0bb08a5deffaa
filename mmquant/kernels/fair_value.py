"""Fair value of one touch: mid, microprice and imbalance, each as a STEP and a PATH."""

import math

import numpy as np

from mmquant._jit import bare_njit as njit


@njit
def is_price(x_ticks: float) -> bool:
    """Tell whether it is positive and finite; NaN is not."""
    return 0.0 < x_ticks < math.inf


@njit
def mid_ticks(bid_ticks: int, ask_ticks: int) -> float:
    """Return (bid + ask) / 2 in ticks."""
    return float((bid_ticks + ask_ticks) / 2.0)


@njit
def imbalance(bid_lots: int, ask_lots: int) -> float:
    """Return (bid - ask) / (bid + ask) of two sizes, in [-1, 1]; 0.0 where both are 0."""
    bid = float(bid_lots)
    ask = float(ask_lots)
    if bid + ask <= 0.0:
        return 0.0
    return (bid - ask) / (bid + ask)


@njit
def microprice_ticks(bid_ticks: int, bid_lots: int, ask_ticks: int, ask_lots: int) -> float:
    """Return the mid weighted with the sizes crosswise: the heavier bid pushes it up.

    (bid * ask_lots + ask * bid_lots) / (bid_lots + ask_lots), written as mid plus half the
    spread times the imbalance; the mid where both sizes are 0.
    """
    half_spread = (ask_ticks - bid_ticks) / 2.0
    return mid_ticks(bid_ticks, ask_ticks) + half_spread * imbalance(bid_lots, ask_lots)


@njit
def mid_path(bid_ticks: np.ndarray, ask_ticks: np.ndarray, out: np.ndarray) -> None:
    """Fold `mid_ticks` over int64 arrays (n,) into float64 `out` (n,)."""
    for i in range(out.size):
        out[i] = mid_ticks(bid_ticks[i], ask_ticks[i])


@njit
def imbalance_path(bid_lots: np.ndarray, ask_lots: np.ndarray, out: np.ndarray) -> None:
    """Fold `imbalance` over int64 arrays (n,) into float64 `out` (n,)."""
    for i in range(out.size):
        out[i] = imbalance(bid_lots[i], ask_lots[i])


@njit
def microprice_path(
    bid_ticks: np.ndarray,
    bid_lots: np.ndarray,
    ask_ticks: np.ndarray,
    ask_lots: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fold `microprice_ticks` over int64 arrays (n,) into float64 `out` (n,)."""
    for i in range(out.size):
        out[i] = microprice_ticks(bid_ticks[i], bid_lots[i], ask_ticks[i], ask_lots[i])
