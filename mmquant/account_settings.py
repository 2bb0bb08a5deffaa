"""simulator.toml's [account] and [funding] -> the account that the kernels keep, and when it pays.

The simulator and the backtest make their accounts here, so that one file means one thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.account_rules import check_account, refusal
from mmquant.accounting import Account
from mmquant.codes import FeeAsset, Market
from mmquant.state import ACCOUNT

__all__ = ["AccountKind", "Funding", "account_of", "inverse_scale_at"]

_INTERVALS_H = (1, 2, 4, 8)
_INVERSE_SCALE = 10**15
_PARTS_A_HALF_TICK = 100
_MOST_RATE_PPM = 30_000.0
_MOST_FEE_PRICE = 10**17  # of mmquant.Account.fee_price
_E8 = 100_000_000
_HOUR_NS = 3600 * 10**9
_ASSETS = ("base", "quote", "other")


@dataclass(frozen=True, slots=True)
class AccountKind:
    """What one instrument's account is.

    Attributes
    ----------
    kind : {"spot", "linear", "inverse"}
    fee_asset : FeeAsset
    fee_price_micro_tick_lots : int
        Price of one unit of the third asset that fees are paid in; 0 without one.
    inverse_scale : int
        See mmquant.Account; 0 where the contract is not inverse.
    tick_lot_value : float
        What a tick-lot of the account's money is worth in the asset that profit is counted in:
        the quote asset, or an inverse contract's coin.
    quote_worth_per_half_tick : float
        See state.ACCOUNT.
    base_balance, quote_balance, other_balance : Decimal
        What a spot account held before its first fill.
    """

    kind: str
    fee_asset: FeeAsset
    fee_price_micro_tick_lots: int
    inverse_scale: int
    tick_lot_value: float
    quote_worth_per_half_tick: float
    base_balance: Decimal
    quote_balance: Decimal
    other_balance: Decimal

    def put(self, account: NDArray[Any]) -> None:
        """Say in `account` (state.ACCOUNT, shape (1,)) what kind it is; its money stays."""
        a = account[0]
        a["fee_asset"] = int(self.fee_asset)
        a["inverse_scale"] = self.inverse_scale
        a["other_price_micro_tick_lots"] = self.fee_price_micro_tick_lots
        a["quote_worth_per_half_tick"] = self.quote_worth_per_half_tick

    def balances(self, account: NDArray[Any], instrument: NDArray[Any]) -> dict[str, Decimal]:
        """Return what a spot account holds of base, quote and third asset, exactly.

        Parameters
        ----------
        account : ndarray of state.ACCOUNT, shape (1,)
        instrument : ndarray of records.INSTRUMENT, shape (1,)

        Raises
        ------
        ValueError
            Where the account is a contract's.
        """
        if self.kind != "spot":
            raise ValueError(f"balances are of spot accounts, got {self.kind}: see the profit")
        facade = Account(1)
        facade.state = account
        start = {name: getattr(self, f"{name}_balance") for name in _ASSETS}
        return facade.balances(instrument, **start)

    def empty(self) -> NDArray[Any]:
        """Return an account of this kind that has had no fill."""
        account = np.zeros(1, ACCOUNT)
        self.put(account)
        return account


@dataclass(frozen=True, slots=True)
class Funding:
    """Who holds a perpetual contract pays, at whole multiples of `interval_ns` since the epoch.

    Attributes
    ----------
    rate_e8 : int
        For one interval, in units of 1e-8; 0: nothing is paid.
    interval_ns : int
    """

    rate_e8: int
    interval_ns: int

    def after(self, now_ns: int) -> int:
        """Return the first time of funding after `now_ns`."""
        return now_ns - now_ns % self.interval_ns + self.interval_ns


def inverse_scale_at(mark_half_ticks: int) -> int:
    """Return the scale for an inverse contract (see mmquant.Account) at prices like this one.

    The power of ten at which a half tick changes a lot's value by some hundred units: finer, fees
    would come to the end of int64 sooner.
    """
    scale = 10**6
    while scale < min(_PARTS_A_HALF_TICK * mark_half_ticks**2, 10**18):
        scale *= 10
    return scale


def account_of(
    values: Mapping[str, Any], instrument: NDArray[Any], inverse_scale: int = _INVERSE_SCALE
) -> tuple[AccountKind, Funding]:
    """Return what simulator.toml makes of an instrument's account.

    Parameters
    ----------
    values
        Of every key of the file; the tables `account` and `funding` are read.
    instrument : ndarray of records.INSTRUMENT, shape (1,)
        Tick, lot, symbol and market.
    inverse_scale : int
        Of an inverse contract.

    Raises
    ------
    ValueError
        "simulator.toml: <table>.<key>: rule, what was received, and what to do".
    """
    try:
        kind = _account_kind(values["account"], instrument, inverse_scale)
        return kind, _funding(values["funding"], Market(int(instrument[0]["market"])))
    except ValueError as error:
        raise ValueError(f"simulator.toml: {error}") from None


def _account_kind(
    values: Mapping[str, Any], instrument: NDArray[Any], inverse_scale: int
) -> AccountKind:
    check_account(values)
    i = instrument[0]
    market, symbol = Market(int(i["market"])), i["symbol"].decode()
    kind, asset = values["kind"], values["fee_asset"]
    if kind == "auto":
        kind = "spot" if market is Market.SPOT else "linear"
    if kind == "spot" and market is not Market.SPOT:
        rule = f"must be auto, linear or inverse for {market.name.lower()}:{symbol}"
        raise refusal("kind", rule, values["kind"], "balances are of the spot market")
    if asset == "auto":
        asset = "received" if kind == "spot" else "quote"
    if asset in ("base", "received") and kind != "spot":
        rule = f"must be auto, quote or other for {market.name.lower()}:{symbol}, a contract"
        raise refusal("fee_asset", rule, values["fee_asset"], "it moves no base asset")
    tick, lot = int(i["tick_size_e8"]), int(i["lot_size_e8"])
    value = Decimal(tick * lot).scaleb(-16)
    scale, worth = 0, 0.0
    if kind == "inverse":
        size = Decimal(values["contract_size"])
        scale = inverse_scale
        value = 2 * size * lot / tick / scale  # state.ACCOUNT's money, in coins
        worth = float(size * _E8 / tick / scale)
    price = 0
    if asset == "other":
        price = round(Decimal(values["fee_asset_price"]) / value * 1_000_000)
        if not 1 <= price <= _MOST_FEE_PRICE:
            rule = f"must be a price that {symbol} can be counted in: {_MOST_FEE_PRICE} x 1e-6 "
            rule += f"x {value:.8g} at most"
            raise refusal("fee_asset_price", rule, values["fee_asset_price"], "check its unit")
    return AccountKind(
        kind=kind,
        fee_asset=FeeAsset[asset.upper()],
        fee_price_micro_tick_lots=price,
        inverse_scale=scale,
        tick_lot_value=float(value),
        quote_worth_per_half_tick=worth,
        **{f"{name}_balance": Decimal(values[f"{name}_balance"]) for name in _ASSETS},
    )


def _funding(values: Mapping[str, Any], market: Market) -> Funding:
    rate, hours = values["rate_ppm"], values["interval_h"]
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if not is_number or not abs(rate) <= _MOST_RATE_PPM:
        raise ValueError(
            f"funding.rate_ppm: must be from {-_MOST_RATE_PPM:g} to {_MOST_RATE_PPM:g}, "
            f"got {rate!r}: 100 is 0.01 % an interval"
        )
    if isinstance(hours, bool) or hours not in _INTERVALS_H:
        raise ValueError(
            f"funding.interval_h: must be one of {', '.join(map(str, _INTERVALS_H))}, got "
            f"{hours!r}: the venue's is 8 for most symbols"
        )
    is_paid = market is Market.USDM
    return Funding(round(rate * 100) if is_paid else 0, hours * _HOUR_NS)
