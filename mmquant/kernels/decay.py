"""2^(-t) by a polynomial that the compiler can vectorise, which the C library's exp is not."""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant._jit import fma

# Adding this rounds a float to a whole number, which then stands in its lowest bits.
ROUND = 1.5 * 2.0**52
ROUND_BITS = 0x4338000000000000
EXPONENT_BIAS = 1023
MANTISSA_BITS = 52
MOST_HALVINGS = 1000.0  # beyond it 2^-t is 0 for every purpose, and nearly out of float64

# (2^-r - 1) / r for |r| <= 1/2, interpolated at the Chebyshev nodes with 60 digits: p(0) = 1, so
# that no time means no decay; the relative error of 2^-r is below 1e-15.
C1 = -0.6931471805599462
C2 = 0.24022650695910075
C3 = -0.05550410866465167
C4 = 0.009618129107618665
C5 = -0.0013333558200794592
C6 = 0.00015403530424776529
C7 = -1.5252672924850737e-05
C8 = 1.3215451633221434e-06
C9 = -1.0205905413765595e-07
C10 = 7.070977866508138e-09


@njit
def decay(halvings: float) -> float:
    """Return 2^-halvings for halvings >= 0 (of a finite number), 2^-1000 at the least.

    Monotone up to rounding; relative error below 1e-15; the same bits compiled, interpreted and
    vectorised, for every operation is rounded as written.
    """
    t = halvings if halvings < MOST_HALVINGS else MOST_HALVINGS
    shifted = t + ROUND
    r = t - (shifted - ROUND)
    exponent = EXPONENT_BIAS + ROUND_BITS - np.float64(shifted).view(np.int64)
    power = np.int64(exponent << MANTISSA_BITS).view(np.float64)
    r2 = r * r
    r4 = r2 * r2
    low = fma(fma(C3, r, C2), r2, fma(C1, r, 1.0))
    high = fma(fma(C7, r, C6), r2, fma(C5, r, C4))
    high = fma(fma(C10, r2, fma(C9, r, C8)), r4, high)
    return float(power * fma(high, r4, low))
