"""Account kernels: fills and mids -> position, profit and where it came from, in exact integers.

Money is counted in half tick-lots (twice the price in ticks, times lots), so a mid is the
integer bid + ask. With M the mark (twice the mid), s the side, v the lots and p the price of a
fill, and q the position just before the mark moves, these hold after every call, before fees:

    total = cash + position * M
          = spread + adverse_selection + inventory
    spread            = sum of s v (M - 2 p) over the fills, M being the mark just before them
    adverse_selection = sum of s v (M one horizon later - M) over the fills that old
    inventory         = sum of q (M_k - M_k-1) over the moves of the mark - adverse_selection

The mark one horizon later is the last one at or before that time. It is known only when time
has passed it, so a fill matures at the first call with a later time.

Funding and fees are kept apart from `total`, in millionths of a tick-lot; what is left is
total - fees + funding (and, with fees paid in the base asset, what those lots gained since).

An inverse contract (`inverse_scale` C above 0) pays in the coin it is quoted against: a lot at
price p is worth -1 / p of them. Everywhere above, 2 p and M are then replaced by the value
-2 * round(C / M): rounded once a price, so that every sum stays an exact integer and every
identity holds. One tick-lot is then 2 F / (tick C) coins, F being the face value of a lot.

Bounds (int64 wraps silently): a notional below 2**53 half tick-lots a fill and in the position,
and 2**63 millionths of a tick-lot in fees and in funding, ever.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import FeeAsset
from mmquant.state import MAX_MARKOUTS

__all__ = [
    "account_fill",
    "account_from_position",
    "account_funding",
    "account_mark",
    "account_replay",
    "account_to_position",
    "lot_value",
]

_RING_MASK = MAX_MARKOUTS - 1
_BASE = int(FeeAsset.BASE)
_RECEIVED = int(FeeAsset.RECEIVED)
_OTHER = int(FeeAsset.OTHER)
_DECIMALS = 8  # of an amount of the fees' asset


@njit
def lot_value(inverse_scale: int, half_ticks: int) -> int:
    """Return what one lot is worth in half tick-lots: the price itself, or minus its inverse."""
    if inverse_scale == 0 or half_ticks == 0:
        return half_ticks
    return -2 * ((inverse_scale + half_ticks // 2) // half_ticks)


@njit
def _mature(account: NDArray[Any], now_ns: int) -> None:
    """Book the markouts due before `now_ns`: until then the present mark prevailed."""
    a = account[0]
    while a["waiting"] > 0:
        first = a["waiting_first"]
        if a["waiting_due_ns"][first] >= now_ns:
            return
        moved = lot_value(a["inverse_scale"], a["mark_half_ticks"])
        moved -= lot_value(a["inverse_scale"], a["waiting_mark_half_ticks"][first])
        gain = a["waiting_signed_lots"][first] * moved
        a["adverse_selection_half_tick_lots"] += gain
        a["inventory_half_tick_lots"] -= gain
        a["markouts"] += 1
        a["waiting_first"] = (first + 1) & _RING_MASK
        a["waiting"] -= 1


@njit
def account_mark(account: NDArray[Any], mark_half_ticks: int, now_ns: int) -> None:
    """Move the mark of `account` (updated in place).

    Parameters
    ----------
    account : ndarray of state.ACCOUNT, shape (1,)
    mark_half_ticks : int
        Twice the mid: best bid + best ask, in ticks.
    now_ns : int
        Its time; an earlier one than the latest seen counts as that one.
    """
    a = account[0]
    now = max(now_ns, a["now_ns"])
    _mature(account, now)
    moved = lot_value(a["inverse_scale"], mark_half_ticks)
    moved -= lot_value(a["inverse_scale"], a["mark_half_ticks"])
    a["inventory_half_tick_lots"] += a["position_lots"] * moved
    a["mark_half_ticks"] = mark_half_ticks
    a["now_ns"] = now


@njit
def account_funding(account: NDArray[Any], rate_e8: int, price_half_ticks: int, now_ns: int) -> int:
    """Book one funding payment of a perpetual contract.

    Parameters
    ----------
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place. The mark stays: the venue's price of funding is another one.
    rate_e8 : int
        Rate for the interval in units of 1e-8; where positive, who is long pays who is short.
    price_half_ticks : int
        Twice the price that the venue values the position at.
    now_ns : int

    Returns
    -------
    int
        What was received in millionths of a tick-lot (negative: paid), to the nearest one.
    """
    a = account[0]
    a["now_ns"] = max(now_ns, a["now_ns"])
    _mature(account, a["now_ns"])
    worth = a["position_lots"] * abs(lot_value(a["inverse_scale"], price_half_ticks))
    # worth / 2 tick-lots, times rate / 1e8, in millionths; no product beyond int64.
    paid = worth // 200 * rate_e8 + (worth % 200 * rate_e8 + 100) // 200
    a["funding_micro_tick_lots"] -= paid
    return int(-paid)


@njit
def _charge(account: NDArray[Any], side: int, qty_lots: int, fee_ppm: int, fee: int) -> None:
    """Note in which asset a fee worth `fee` is paid."""
    a = account[0]
    asset = a["fee_asset"]
    a["fees_micro_tick_lots"] += fee
    if asset == _BASE or (asset == _RECEIVED and side > 0):
        a["base_fees_micro_lots"] += qty_lots * fee_ppm
        a["base_fees_micro_tick_lots"] += fee
    elif asset == _OTHER and a["other_price_micro_tick_lots"] > 0:  # else its worth alone counts
        price = a["other_price_micro_tick_lots"]
        # fee * 1e8 / price, rounded down, digit by digit: no product beyond int64.
        paid_e8 = fee // price
        rest = fee % price
        for _ in range(_DECIMALS):
            rest *= 10
            paid_e8 = paid_e8 * 10 + rest // price
            rest %= price
        a["other_fees_e8"] += paid_e8
        a["other_fees_micro_tick_lots"] += fee


@njit
def _book_fill(
    account: NDArray[Any], side: int, price_ticks: int, qty_lots: int, fee_ppm: int
) -> int:
    """Change position, cost, cash, spread and fees at the present mark; return the fee."""
    a = account[0]
    signed = side * qty_lots
    before = a["position_lots"]
    value = lot_value(a["inverse_scale"], 2 * price_ticks)
    if before * side >= 0:
        a["cost_half_tick_lots"] += value * signed
    else:
        size = abs(before)
        closed = min(qty_lots, size)
        cost = -side * a["cost_half_tick_lots"]
        # closed / size of the cost to the nearest half tick-lot, no product beyond int64.
        released = cost // size * closed + (cost % size * closed + size // 2) // size
        opened = qty_lots - closed
        a["cost_half_tick_lots"] += side * (released + value * opened)
    notional = abs(value) // 2 * qty_lots
    fee = notional * fee_ppm
    mark = lot_value(a["inverse_scale"], a["mark_half_ticks"])
    a["position_lots"] = before + signed
    a["cash_half_tick_lots"] -= value * signed
    a["spread_half_tick_lots"] += signed * (mark - value)
    a["turnover_tick_lots"] += notional
    _charge(account, side, qty_lots, fee_ppm, fee)
    a["fills"] += 1
    a["last_fill_id"] += 1
    return fee


@njit
def account_fill(
    account: NDArray[Any],
    side: int,
    price_ticks: int,
    qty_lots: int,
    fee_ppm: int,
    mark_half_ticks: int,
    now_ns: int,
    horizon_ns: int,
) -> int:
    """Book one fill; its id is then `last_fill_id`.

    Parameters
    ----------
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place. Where the mark given is not the account's, the mark moves first.
    side : int
        codes.Side: 1 we bought, -1 we sold.
    price_ticks, qty_lots : int
        Both positive.
    fee_ppm : int
        Fee in millionths of the notional, negative for a rebate.
    mark_half_ticks : int
        Twice the mid just before whatever filled us.
    now_ns : int
    horizon_ns : int
        Time to the markout, positive and the same for all fills of an account. With
        MAX_MARKOUTS fills waiting, this one gets no markout (counted in `markouts_dropped`).

    Returns
    -------
    int
        The fee in millionths of a tick-lot, exactly; in whichever asset it is paid.
    """
    account_mark(account, mark_half_ticks, now_ns)
    fee = _book_fill(account, side, price_ticks, qty_lots, fee_ppm)
    a = account[0]
    if a["waiting"] == MAX_MARKOUTS:
        a["markouts_dropped"] += 1
        return fee
    i = (a["waiting_first"] + a["waiting"]) & _RING_MASK
    a["waiting_due_ns"][i] = a["now_ns"] + horizon_ns
    a["waiting_signed_lots"][i] = side * qty_lots
    a["waiting_mark_half_ticks"][i] = mark_half_ticks
    a["waiting"] += 1
    return fee


@njit
def account_replay(account: NDArray[Any], fills: NDArray[Any]) -> int:
    """Book past fills that the account has not seen, after a restart.

    The marks between past fills are unknown, so none of them gets a markout (all counted in
    `markouts_dropped`): position, total, spread and fees are exact, what would have been
    adverse selection stays in inventory.

    Parameters
    ----------
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place: empty, or as account_from_position left it.
    fills : ndarray of records.FILL, shape (n,)
        In the order of their ids. Those up to the account's `last_fill_id` are skipped.

    Returns
    -------
    int
        How many were booked; -1 - i where the position after fills[i] is not the recorded one.
    """
    a = account[0]
    booked = 0
    for i in range(fills.size):
        fill = fills[i]
        if fill["fill_id"] <= a["last_fill_id"]:
            continue
        side: Any = np.int64(fill["side"])
        value = lot_value(a["inverse_scale"], 2 * fill["price_ticks"])
        notional = abs(value) // 2 * fill["qty_lots"]
        account_mark(account, fill["mark_half_ticks"], fill["now_ns"])
        a["last_fill_id"] = fill["fill_id"] - 1
        _book_fill(
            account,
            side,
            fill["price_ticks"],
            fill["qty_lots"],
            fill["fee_micro_tick_lots"] // notional,
        )
        a["markouts_dropped"] += 1
        if a["position_lots"] != fill["position_lots"]:
            return -1 - i
        booked += 1
    return booked


@njit
def account_to_position(
    account: NDArray[Any],
    instrument_id: int,
    epoch: int,
    orders: int,
    open_orders: int,
    now_ns: int,
    out: NDArray[Any],
) -> None:
    """Fill `out`, all but `seq`, with the state of `account` at `now_ns`.

    Parameters
    ----------
    account : ndarray of state.ACCOUNT, shape (1,)
        Markouts due before `now_ns` are booked first.
    instrument_id, epoch, orders, open_orders, now_ns : int
        Written as they are (`now_ns` not before the latest time seen).
    out : ndarray of records.POSITION, shape (1,)
    """
    a = account[0]
    a["now_ns"] = max(now_ns, a["now_ns"])
    _mature(account, a["now_ns"])
    o = out[0]
    position = a["position_lots"]
    cost = a["cost_half_tick_lots"]
    value = position * lot_value(a["inverse_scale"], a["mark_half_ticks"])
    o["now_ns"] = a["now_ns"]
    o["instrument_id"] = instrument_id
    o["epoch"] = epoch
    o["position_lots"] = position
    if position == 0:
        o["average_price_ticks"] = 0.0
    elif a["inverse_scale"] == 0:
        o["average_price_ticks"] = cost / (2.0 * position)
    else:
        o["average_price_ticks"] = -float(a["inverse_scale"]) * position / cost
    o["mark_half_ticks"] = a["mark_half_ticks"]
    o["realised_tick_lots"] = 0.5 * (a["cash_half_tick_lots"] + cost)
    o["unrealised_tick_lots"] = 0.5 * (value - cost)
    o["total_half_tick_lots"] = a["cash_half_tick_lots"] + value
    o["spread_half_tick_lots"] = a["spread_half_tick_lots"]
    o["adverse_selection_half_tick_lots"] = a["adverse_selection_half_tick_lots"]
    o["inventory_half_tick_lots"] = a["inventory_half_tick_lots"]
    o["fees_micro_tick_lots"] = a["fees_micro_tick_lots"]
    o["last_fill_id"] = a["last_fill_id"]
    o["orders"] = orders
    o["fills"] = a["fills"]
    o["open_orders"] = open_orders
    o["funding_micro_tick_lots"] = a["funding_micro_tick_lots"]
    o["turnover_tick_lots"] = a["turnover_tick_lots"]
    o["base_fees_micro_lots"] = a["base_fees_micro_lots"]
    o["base_fees_micro_tick_lots"] = a["base_fees_micro_tick_lots"]
    o["other_fees_e8"] = a["other_fees_e8"]
    o["other_fees_micro_tick_lots"] = a["other_fees_micro_tick_lots"]
    o["quote_worth"] = 1.0
    if a["inverse_scale"] != 0:
        o["quote_worth"] = a["quote_worth_per_half_tick"] * a["mark_half_ticks"]


@njit
def account_from_position(position: NDArray[Any], account: NDArray[Any]) -> None:
    """Set `account` from the last position published before a restart.

    The inverse of account_to_position while amounts stay below 2**53; fills that still waited
    for their markout have lost it (what it would have been stays in inventory).

    Parameters
    ----------
    position : ndarray of records.POSITION, shape (1,)
    account : ndarray of state.ACCOUNT, shape (1,)
        Overwritten, all but what kind of account it is (`fee_asset`, `inverse_scale`, price of
        the other asset, worth in the quote asset).
    """
    p = position[0]
    a = account[0]
    value = p["position_lots"] * lot_value(a["inverse_scale"], p["mark_half_ticks"])
    a["now_ns"] = p["now_ns"]
    a["position_lots"] = p["position_lots"]
    a["mark_half_ticks"] = p["mark_half_ticks"]
    a["cash_half_tick_lots"] = p["total_half_tick_lots"] - value
    a["cost_half_tick_lots"] = value - np.int64(2.0 * p["unrealised_tick_lots"])
    a["spread_half_tick_lots"] = p["spread_half_tick_lots"]
    a["adverse_selection_half_tick_lots"] = p["adverse_selection_half_tick_lots"]
    a["inventory_half_tick_lots"] = p["inventory_half_tick_lots"]
    a["fees_micro_tick_lots"] = p["fees_micro_tick_lots"]
    a["fills"] = p["fills"]
    a["last_fill_id"] = p["last_fill_id"]
    a["funding_micro_tick_lots"] = p["funding_micro_tick_lots"]
    a["turnover_tick_lots"] = p["turnover_tick_lots"]
    a["base_fees_micro_lots"] = p["base_fees_micro_lots"]
    a["base_fees_micro_tick_lots"] = p["base_fees_micro_tick_lots"]
    a["other_fees_e8"] = p["other_fees_e8"]
    a["other_fees_micro_tick_lots"] = p["other_fees_micro_tick_lots"]
    a["markouts"] = 0
    a["markouts_dropped"] = 0
    a["waiting_first"] = 0
    a["waiting"] = 0
