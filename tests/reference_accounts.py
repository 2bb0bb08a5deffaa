"""Slow obvious twin of accounts of every kind: what is held of each asset, in fractions."""

import math
from fractions import Fraction

from mmquant.codes import FeeAsset


class ReferenceWallet:
    """Holds lots, money in tick-lots and units of a third asset, all as exact fractions."""

    def __init__(self, fee_asset=FeeAsset.QUOTE, inverse_scale=0, other_price=0):
        self.fee_asset = fee_asset
        self.inverse_scale = inverse_scale
        self.other_price = Fraction(other_price, 10**6)  # tick-lots a unit
        self.lots = self.money = self.other = Fraction(0)
        self.position = self.funding = self.fees = 0
        self.base_fees = self.turnover = Fraction(0)
        self.other_worth = Fraction(0)

    def worth(self, half_ticks):
        """Return what a lot is worth in tick-lots."""
        if self.inverse_scale == 0:
            return Fraction(half_ticks, 2)
        return Fraction(-math.floor(Fraction(self.inverse_scale, half_ticks) + Fraction(1, 2)))

    def fill(self, side, price, qty, ppm):
        self.position += side * qty
        self.lots += side * qty
        self.money -= side * qty * self.worth(2 * price)
        notional = qty * abs(self.worth(2 * price))
        self.turnover += notional
        fee = notional * ppm / 10**6
        self.fees += fee
        buys = side > 0
        if self.fee_asset == FeeAsset.BASE or (self.fee_asset == FeeAsset.RECEIVED and buys):
            self.lots -= Fraction(qty * ppm, 10**6)
            self.base_fees += Fraction(qty * ppm, 10**6)
        elif self.fee_asset == FeeAsset.OTHER:
            self.other -= Fraction(math.floor(fee / self.other_price * 10**8), 10**8)
            self.other_worth += fee
        else:
            self.money -= fee
        return fee

    def fund(self, rate_e8, price_half_ticks):
        exact = self.position * abs(self.worth(price_half_ticks)) * rate_e8 / 10**8
        paid = Fraction(math.floor(exact * 10**6 + Fraction(1, 2)), 10**6)
        self.money -= paid
        self.funding -= paid
        return -paid

    def equity(self, mark_half_ticks):
        return self.money + self.lots * self.worth(mark_half_ticks) - self.other_worth
