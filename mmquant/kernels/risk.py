"""Filter kernels: what the venue demands of an order, in exact integers."""

from mmquant._jit import bare_njit as njit
from mmquant.codes import Reason
from mmquant.records import Row

__all__ = [
    "is_worth_less",
    "maximum_tick_lots",
    "minimum_tick_lots",
    "order_reason",
    "percent_bounds",
    "scaled",
    "venue_reason",
]

_NONE = int(Reason.NONE)
_PRICE_OUT_OF_RANGE = int(Reason.PRICE_OUT_OF_RANGE)
_BELOW_MINIMUM_QUANTITY = int(Reason.BELOW_MINIMUM_QUANTITY)
_ABOVE_MAXIMUM_QUANTITY = int(Reason.ABOVE_MAXIMUM_QUANTITY)
_BELOW_MINIMUM_NOTIONAL = int(Reason.BELOW_MINIMUM_NOTIONAL)
_ABOVE_MAXIMUM_NOTIONAL = int(Reason.ABOVE_MAXIMUM_NOTIONAL)
_PERCENT_PRICE = int(Reason.PERCENT_PRICE)
_UNREACHABLE = 2**62  # a notional in tick-lots beyond every order
_E8 = 100_000_000
_HALF_BITS = 31  # the product of two numbers this short does not overflow
_MOST_MULTIPLE_E8 = 90 * _E8  # of a reference price: more would overflow, and allows everything


@njit
def _divide_e8_up(value: int, divisor: int) -> int:
    """Return ceil(value * 1e8 / divisor) digit by digit, without the product."""
    quotient = value // divisor
    remainder = value % divisor
    for _ in range(8):
        if quotient >= _UNREACHABLE // 16:
            return _UNREACHABLE
        remainder *= 10
        quotient = quotient * 10 + remainder // divisor
        remainder %= divisor
    return quotient + 1 if remainder > 0 else quotient


@njit
def minimum_tick_lots(min_notional_e8: int, tick_size_e8: int, lot_size_e8: int) -> int:
    """Return the least price in ticks times lots that reaches a minimum notional, exactly.

    That is ceil(min_notional_e8 * 1e8 / (tick_size_e8 * lot_size_e8)); both products would
    overflow, and two divisions that round up give the same as one. Where even the first, by
    the larger size, overflows, no order reaches the minimum that is returned.
    """
    first = _divide_e8_up(min_notional_e8, max(tick_size_e8, lot_size_e8))
    if first == _UNREACHABLE:
        return _UNREACHABLE
    second = min(tick_size_e8, lot_size_e8)
    return (first + second - 1) // second


@njit
def _divide_e8_down(value: int, divisor: int) -> int:
    """Return floor(value * 1e8 / divisor) digit by digit, without the product."""
    quotient = value // divisor
    remainder = value % divisor
    for _ in range(8):
        if quotient >= _UNREACHABLE // 16:
            return _UNREACHABLE
        remainder *= 10
        quotient = quotient * 10 + remainder // divisor
        remainder %= divisor
    return quotient


@njit
def maximum_tick_lots(max_notional_e8: int, tick_size_e8: int, lot_size_e8: int) -> int:
    """Return the most price in ticks times lots that a maximum notional allows, exactly.

    That is floor(max_notional_e8 * 1e8 / (tick_size_e8 * lot_size_e8)). Without a maximum (0), or
    where the result would overflow, every order is below what is returned.
    """
    if max_notional_e8 <= 0:
        return _UNREACHABLE
    first = _divide_e8_down(max_notional_e8, max(tick_size_e8, lot_size_e8))
    return first if first == _UNREACHABLE else first // min(tick_size_e8, lot_size_e8)


@njit
def scaled(value: int, numerator: int, denominator: int) -> int:
    """Return floor(value * numerator / denominator) of three positive numbers.

    Exact where (denominator - 1) * numerator and the result are below 2**63.
    """
    whole = value // denominator * numerator
    return whole + value % denominator * numerator // denominator


@njit
def is_worth_less(price_ticks: int, qty_lots: int, tick_lots: int) -> bool:
    """Return whether a positive price times a positive quantity is below `tick_lots`."""
    if (price_ticks | qty_lots) >> _HALF_BITS == 0:
        return price_ticks * qty_lots < tick_lots
    # Divided, not multiplied: the product may overflow.
    return qty_lots < (tick_lots + price_ticks - 1) // price_ticks


@njit
def order_reason(instrument: Row, min_tick_lots: int, price_ticks: int, qty_lots: int) -> int:
    """Return NONE, or the codes.Reason of the first filter that an order breaks.

    Parameters
    ----------
    instrument : record of records.INSTRUMENT
        A maximum of 0 means none, as at the venue.
    min_tick_lots : int
        From minimum_tick_lots.
    price_ticks, qty_lots : int
    """
    if price_ticks < max(1, instrument["min_price_ticks"]):
        return _PRICE_OUT_OF_RANGE
    if instrument["max_price_ticks"] > 0 and price_ticks > instrument["max_price_ticks"]:
        return _PRICE_OUT_OF_RANGE
    if qty_lots < max(1, instrument["min_qty_lots"]):
        return _BELOW_MINIMUM_QUANTITY
    if instrument["max_qty_lots"] > 0 and qty_lots > instrument["max_qty_lots"]:
        return _ABOVE_MAXIMUM_QUANTITY
    if is_worth_less(price_ticks, qty_lots, min_tick_lots):
        return _BELOW_MINIMUM_NOTIONAL
    return _NONE


@njit
def percent_bounds(instrument: Row, side: int, reference_half_ticks: int) -> tuple[int, int]:
    """Return the lowest and highest price that the percent-price filter allows to a side.

    Parameters
    ----------
    instrument : record of records.INSTRUMENT
    side : int
        codes.Side.
    reference_half_ticks : int
        Twice the price that it compares with, positive and below 2**53.
    """
    up = instrument["buy_up_e8"] if side > 0 else instrument["sell_up_e8"]
    down = instrument["buy_down_e8"] if side > 0 else instrument["sell_down_e8"]
    low = 0
    high = _UNREACHABLE
    if up > 0:
        high = scaled(reference_half_ticks, min(up, _MOST_MULTIPLE_E8), _E8) // 2
    if down > 0:
        multiple = min(down, _MOST_MULTIPLE_E8)
        least = scaled(reference_half_ticks, multiple, _E8)
        if reference_half_ticks % _E8 * multiple % _E8 != 0:
            least += 1
        low = (least + 1) // 2
    return low, high


@njit
def venue_reason(
    instrument: Row,
    min_tick_lots: int,
    max_tick_lots: int,
    side: int,
    price_ticks: int,
    qty_lots: int,
    reference_half_ticks: int,
) -> int:
    """Return NONE, or the codes.Reason of the first filter that an order breaks: all filters.

    Parameters
    ----------
    instrument : record of records.INSTRUMENT
    min_tick_lots, max_tick_lots : int
        From minimum_tick_lots and maximum_tick_lots.
    side : int
        codes.Side of the order.
    price_ticks, qty_lots : int
    reference_half_ticks : int
        Twice the price that the percent-price filter compares with, below 2**53. The venue takes
        its mark price, or an average of some minutes; the mid stands for them here.
    """
    reason = order_reason(instrument, min_tick_lots, price_ticks, qty_lots)
    if reason != _NONE:
        return reason
    if not is_worth_less(price_ticks, qty_lots, max_tick_lots + 1):
        return _ABOVE_MAXIMUM_NOTIONAL
    low, high = percent_bounds(instrument, side, reference_half_ticks)
    return _NONE if low <= price_ticks <= high else _PERCENT_PRICE
