"""fills + mids -> position, profit and where it came from.

To restore an account after a restart: `Account.restore(position, fills)` takes the last position
published and the fills recorded since, or all fills ever and no position.
"""

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import one_record, whole
from mmquant.attribution import decompose, equity_curve, markouts
from mmquant.codes import FeeAsset, Side
from mmquant.kernels.accounting import (
    account_fill,
    account_from_position,
    account_funding,
    account_mark,
    account_replay,
    account_to_position,
    lot_value,
)
from mmquant.performance import drawdown, sharpe, time_at_limit, turnover
from mmquant.records import FILL, INSTRUMENT, POSITION
from mmquant.state import ACCOUNT

__all__ = [
    "Account",
    "decompose",
    "drawdown",
    "equity_curve",
    "markouts",
    "sharpe",
    "time_at_limit",
    "turnover",
]

_MOST_NOTIONAL = 2**52
_MOST_MONEY = 2**62
_MOST_PPM = 1_000_000
_MOST_OTHER_PRICE = 10**17  # fee % price * 10 stays within int64
_MICRO = 1_000_000
_CONTRACTS = ("linear", "inverse")


class Account:
    """Position and profit of one instrument, in exact integers.

    Parameters
    ----------
    horizon_ns : int
        Time after a fill at which its adverse selection is measured.
    contract : {"linear", "inverse"}
        What a lot is worth: its price in the quote asset (spot and linear contracts), or the
        coins that its face value buys (inverse contracts).
    fee_asset : codes.FeeAsset
        What fees are paid in. Spot on Binance: RECEIVED, or OTHER at a discount.
    inverse_scale : int
        Resolution of an inverse contract: a lot's value is rounded to its 1 / inverse_scale-th
        part at a price of half a tick, so to price_ticks / inverse_scale of itself.

    Attributes
    ----------
    state : ndarray of state.ACCOUNT, shape (1,)
        What the kernels take.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """

    def __init__(
        self,
        horizon_ns: int,
        *,
        contract: str = "linear",
        fee_asset: int = FeeAsset.QUOTE,
        inverse_scale: int = 10**15,
    ) -> None:
        self.horizon_ns = whole("horizon_ns", horizon_ns, 1)
        self.state: NDArray[Any] = np.zeros(1, ACCOUNT)
        if contract not in _CONTRACTS:
            raise ValueError(f"contract must be one of {_CONTRACTS}, got {contract!r}")
        assets = tuple(int(asset) for asset in FeeAsset)
        if fee_asset not in assets:
            raise ValueError(f"fee_asset must be a codes.FeeAsset {assets}, got {fee_asset!r}")
        scale = whole("inverse_scale", inverse_scale, 10**6, 10**18)
        if contract == "inverse":
            if fee_asset in (FeeAsset.BASE, FeeAsset.RECEIVED):
                raise ValueError(
                    "fee_asset must be QUOTE (the contract's coin) or OTHER for an inverse "
                    f"contract, got {FeeAsset(fee_asset).name}: it moves no base asset"
                )
            self.state[0]["inverse_scale"] = scale
        self.state[0]["fee_asset"] = int(fee_asset)

    @classmethod
    def restore(
        cls,
        horizon_ns: int,
        fills: NDArray[Any],
        position: NDArray[Any] | None = None,
        **kind: Any,
    ) -> "Account":
        """Return the account as it was before a restart.

        Position, total, spread and fees are exact. A replayed fill, and one that still waited
        for its markout, gets none: what it would have been stays in inventory.

        Parameters
        ----------
        horizon_ns : int
        fills : ndarray of records.FILL, shape (n,)
            In the order of their ids; those that `position` already contains are skipped.
        position : ndarray of records.POSITION, shape (1,), optional
            The last one published. Without it, funding that was paid is not known.
        **kind
            `contract`, `fee_asset`, `inverse_scale` as they were; of fees in a third asset the
            replayed fills know what they were worth, not how much of it they were.

        Raises
        ------
        ValueError
            If a fill's recorded position is not the one its predecessors lead to.
        """
        account = cls(horizon_ns, **kind)
        if fills.dtype != FILL:
            raise TypeError(f"fills must be an array of records.FILL, got {fills.dtype}")
        if position is not None:
            account_from_position(one_record("position", position, POSITION), account.state)
        code = account_replay(account.state, np.array(fills, FILL))
        if code < 0:
            fill = fills[-1 - code]
            raise ValueError(
                f"fills must be complete and in order, got position_lots {fill['position_lots']} "
                f"after fill_id {fill['fill_id']} where the fills before it lead to "
                f"{account.position_lots}: restore from all fills"
            )
        return account

    def fill(
        self,
        side: int,
        price_ticks: int,
        qty_lots: int,
        fee_ppm: int,
        mark_half_ticks: int,
        now_ns: int,
    ) -> int:
        """Book one fill and return its fee in millionths of a tick-lot.

        Parameters
        ----------
        side : int
            codes.Side: 1 we bought, -1 we sold.
        price_ticks, qty_lots : int
        fee_ppm : int
            Fee in millionths of the notional, negative for a rebate.
        mark_half_ticks : int
            Best bid + best ask just before whatever filled us.
        now_ns : int

        Raises
        ------
        TypeError, ValueError
            Naming the field, the rule and the value received.
        OverflowError
            If the notional or the fees leave the range in which integers are exact.
        RuntimeError
            If fees are paid in another asset and its price was never given.
        """
        if side not in (Side.BUY, Side.SELL):
            raise ValueError(f"side must be 1 (we bought) or -1 (we sold), got {side}")
        price = whole("price_ticks", price_ticks, 1)
        qty = whole("qty_lots", qty_lots, 1)
        ppm = whole("fee_ppm", fee_ppm, -_MOST_PPM, _MOST_PPM)
        mark = whole("mark_half_ticks", mark_half_ticks, 1)
        lots = qty + abs(self.position_lots)
        worth = max(self._worth(2 * price), self._worth(mark))
        fees = worth * qty * abs(ppm) + abs(int(self.state[0]["fees_micro_tick_lots"]))
        if lots * worth > _MOST_NOTIONAL or fees > _MOST_MONEY:
            raise OverflowError(
                f"price_ticks {price} times qty_lots {qty} is too large to count exactly: "
                "use a larger tick or lot"
            )
        now = whole("now_ns", now_ns, 0)
        other = int(self.state[0]["other_price_micro_tick_lots"])
        if self.state[0]["fee_asset"] == FeeAsset.OTHER and other == 0:
            raise RuntimeError("fees are paid in another asset: call fee_price before fill")
        return account_fill(self.state, int(side), price, qty, ppm, mark, now, self.horizon_ns)

    def mark(self, mark_half_ticks: int, now_ns: int) -> None:
        """Move the mark to `mark_half_ticks` (best bid + best ask)."""
        mark = whole("mark_half_ticks", mark_half_ticks, 1)
        account_mark(self.state, mark, whole("now_ns", now_ns, 0))

    def funding(self, rate_e8: int, price_half_ticks: int, now_ns: int) -> int:
        """Book a funding payment; return what was received, in millionths of a tick-lot.

        Parameters
        ----------
        rate_e8 : int
            Rate for the interval in units of 1e-8 (0.01 % is 10 000); where positive, long pays.
        price_half_ticks : int
            Twice the price at which the venue values the position.
        now_ns : int

        Raises
        ------
        TypeError, ValueError
            Naming the field, the rule and the value received.
        OverflowError
            If the payment leaves the range in which integers are exact.
        """
        rate = whole("rate_e8", rate_e8, -(10**8), 10**8)
        price = whole("price_half_ticks", price_half_ticks, 1)
        paid = abs(self.position_lots * self._worth(price) * rate) // 200
        if paid + abs(int(self.state[0]["funding_micro_tick_lots"])) > _MOST_MONEY:
            raise OverflowError(
                f"rate_e8 {rate} of {self.position_lots} lots is too large to count exactly: "
                "use a larger tick or lot"
            )
        return account_funding(self.state, rate, price, whole("now_ns", now_ns, 0))

    def fee_price(self, micro_tick_lots: int) -> None:
        """Set the price of the other asset that fees are paid in.

        Parameters
        ----------
        micro_tick_lots : int
            Of one whole unit, in millionths of a tick-lot: its price in the quote asset * 1e6 /
            (tick size * lot size).
        """
        most = _MOST_OTHER_PRICE
        price = whole("micro_tick_lots", micro_tick_lots, 1, most)
        self.state[0]["other_price_micro_tick_lots"] = price

    def _worth(self, half_ticks: int) -> int:
        return abs(int(lot_value(int(self.state[0]["inverse_scale"]), half_ticks)))

    @property
    def position_lots(self) -> int:
        """Lots held, negative when short."""
        return int(self.state[0]["position_lots"])

    @property
    def fills(self) -> int:
        """Number of fills so far."""
        return int(self.state[0]["fills"])

    def position(self, now_ns: int | None = None) -> NDArray[Any]:
        """Return the records.POSITION block at `now_ns` (by default the latest time seen)."""
        out = np.zeros(1, POSITION)
        now = int(self.state[0]["now_ns"]) if now_ns is None else whole("now_ns", now_ns, 0)
        account_to_position(self.state, 0, 0, 0, 0, now, out)
        return out

    def profit(self, instrument: NDArray[Any]) -> dict[str, float]:
        """Return the profit and where it came from, in the quote asset.

        Of an inverse contract in its coin, the instrument's lot size being a lot's face value.

        Parameters
        ----------
        instrument : ndarray of records.INSTRUMENT, shape (1,)

        Returns
        -------
        dict
            total, spread, adverse_selection, inventory, fees, funding, fee_revaluation;
            total = spread + adverse_selection + inventory - fees + funding + fee_revaluation.
            Fees count as what they were worth when paid; fee_revaluation is what the part that
            was paid in the base asset has lost in worth since.
        """
        i = one_record("instrument", instrument, INSTRUMENT)[0]
        tick_lot = int(i["tick_size_e8"]) * int(i["lot_size_e8"]) * 1e-16
        s = self.state[0]
        if s["inverse_scale"]:
            tick_lot = 2.0 * int(i["lot_size_e8"]) / int(i["tick_size_e8"])
            tick_lot /= int(s["inverse_scale"])
        parts = ("spread", "adverse_selection", "inventory")
        halves = {part: int(s[f"{part}_half_tick_lots"]) for part in parts}
        fees, funding = int(s["fees_micro_tick_lots"]), int(s["funding_micro_tick_lots"])
        return {
            "total": self.equity_half_micro_tick_lots() * 0.5e-6 * tick_lot,
            **{part: half * 0.5 * tick_lot for part, half in halves.items()},
            "fees": fees * 1e-6 * tick_lot,
            "funding": funding * 1e-6 * tick_lot,
            "fee_revaluation": self._fee_revaluation() * 0.5e-6 * tick_lot,
        }

    def equity_half_micro_tick_lots(self) -> int:
        """Return all that the account has made, fees and funding included, exactly.

        In half millionths of a tick-lot: cash + holdings at the mark - fees + funding.
        """
        s = self.state[0]
        parts = ("spread", "adverse_selection", "inventory")
        total = sum(int(s[f"{part}_half_tick_lots"]) for part in parts) * _MICRO
        rest = int(s["funding_micro_tick_lots"]) - int(s["fees_micro_tick_lots"])
        return total + 2 * rest + self._fee_revaluation()

    def _fee_revaluation(self) -> int:
        s = self.state[0]
        then = 2 * int(s["base_fees_micro_tick_lots"])
        return then - int(s["base_fees_micro_lots"]) * int(s["mark_half_ticks"])

    def balances(
        self,
        instrument: NDArray[Any],
        *,
        base: Decimal | int = 0,
        quote: Decimal | int = 0,
        other: Decimal | int = 0,
    ) -> dict[str, Decimal]:
        """Return what a spot account holds of each asset, exactly.

        Parameters
        ----------
        instrument : ndarray of records.INSTRUMENT, shape (1,)
        base, quote, other : Decimal or int
            What it held before its first fill; `other` is the third asset that fees are paid in.

        Returns
        -------
        dict
            base, quote, other; negative where more was spent than there was.
        """
        i = one_record("instrument", instrument, INSTRUMENT)[0]
        if self.state[0]["inverse_scale"]:
            raise ValueError("balances are of spot accounts, got an inverse contract: see profit")
        for field, value in (("base", base), ("quote", quote), ("other", other)):
            if isinstance(value, bool) or not isinstance(value, Decimal | int):
                raise TypeError(f"{field} must be a Decimal or an int, got {value!r}")
        s = {
            name: int(self.state[0][name])
            for name in self.state.dtype.names or ()
            if "waiting" not in name
        }
        lot = Decimal(int(i["lot_size_e8"])).scaleb(-8)
        tick_lot = lot * Decimal(int(i["tick_size_e8"])).scaleb(-8)
        lots = s["position_lots"] * _MICRO - s["base_fees_micro_lots"]
        elsewhere = s["base_fees_micro_tick_lots"] + s["other_fees_micro_tick_lots"]
        money = s["cash_half_tick_lots"] * (_MICRO // 2) - s["fees_micro_tick_lots"] + elsewhere
        return {
            "base": base + (lot * lots).scaleb(-6),
            "quote": quote + (tick_lot * (money + s["funding_micro_tick_lots"])).scaleb(-6),
            "other": other - Decimal(s["other_fees_e8"]).scaleb(-8),
        }
