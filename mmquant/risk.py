"""quotes + state -> quotes let through, or a reason: the reasons in words.

The gates themselves are in `mmquant.kernels.gates` and `.watch`; every step passes them first.
"""

from mmquant.codes import Reason

__all__ = ["explain"]

_TEXTS = {
    Reason.NONE: "nothing is wrong",
    Reason.STARTING: "the service is still starting",
    Reason.NO_INSTRUMENT: "the instrument's tick size and filters are not known yet",
    Reason.NO_MARKET_DATA: "the market shows no bid and ask yet, or one side is empty",
    Reason.BOOK_NOT_LIVE: "the book is not synchronised with the venue",
    Reason.BOOK_STALE: "the book has not been updated for too long",
    Reason.BOOK_CROSSED: "the book's bid is at or above its ask, so it cannot be right",
    Reason.NOT_WARM: "volatility and drift have not seen enough data yet",
    Reason.NOT_FINITE: "fair value, volatility or drift is not a usable number",
    Reason.NO_POSITION: "the own position is not known",
    Reason.INVENTORY_LIMIT: "the position limit leaves no room for an order on this side",
    Reason.UPSTREAM_SILENT: "the service upstream has stopped sending",
    Reason.SPREAD_TOO_WIDE: "the market's spread is wider than max_spread_ticks",
    Reason.BELOW_MINIMUM_NOTIONAL: "price times quantity is below the venue's minimum",
    Reason.STOPPING: "the service is stopping",
    Reason.CONNECTION_LOST: "the connection to the venue is lost",
    Reason.GAP: "an update is missing",
    Reason.DRIVER_LOST: "the media driver is lost",
    Reason.WOULD_CROSS: "the post-only order would have traded at once",
    Reason.STRATEGY_SILENT: "the strategy has stopped sending, so its orders were pulled",
    Reason.REPLACED: "other quotes are wanted now",
    Reason.PULLED: "the strategy wants no quotes now",
    Reason.RESTARTED: "the service restarted and starts without orders",
    Reason.OFF_TICK: "the price is not a whole number of ticks",
    Reason.BELOW_MINIMUM_QUANTITY: "the quantity is below the venue's minimum",
    Reason.ABOVE_MAXIMUM_QUANTITY: "the quantity is above the venue's maximum",
    Reason.TOO_MANY_ORDERS: "as many orders as allowed are alive",
    Reason.INTERNAL_ERROR: "an error in the service, see its log",
    Reason.SNAPSHOT_FAILED: "the venue's book snapshot could not be fetched",
    Reason.OVERFLOW: "a bounded buffer ran over",
    Reason.PRICE_OUT_OF_RANGE: "the price is outside the venue's range",
    Reason.CLOCK_SKEW: "the clocks of this machine and of the pricing's differ too much",
    Reason.UPSTREAM_LAGS: "what comes from upstream is too old when it comes",
    Reason.SPREAD_TOO_NARROW: "the market's spread is below min_spread_ticks",
    Reason.PRICE_COLLAR: "the price is too far from the mid or from the last trade",
    Reason.OPEN_NOTIONAL: "the open orders are worth more than max_open_notional",
    Reason.OPEN_ORDERS: "more orders are open than max_open_orders",
    Reason.ORDER_RATE: "no more orders may be sent for a moment",
    Reason.CANCEL_RATE: "more orders were cancelled than the rate allows",
    Reason.SESSION_LOSS: "the session has lost more than max_session_loss; `mm arm` goes on",
    Reason.DRAWDOWN: "the profit is max_drawdown below its peak; `mm arm` goes on",
    Reason.MINUTE_LOSS: "more than max_minute_loss was lost within a minute",
    Reason.FILL_BURST: "too many fills came at once",
    Reason.ADVERSE_MARKOUT: "prices moved against the latest fills by too much",
    Reason.VOLATILITY_JUMP: "volatility is far above what it was",
    Reason.KILLED: "stopped by hand; `mm arm` goes on",
    Reason.PERCENT_PRICE: "the price is too far from the market for the venue",
    Reason.ABOVE_MAXIMUM_NOTIONAL: "price times quantity is above the venue's maximum",
    Reason.INVENTORY_SOFT_LIMIT: "so near the position limit nothing is left of this side",
    Reason.REDUCE_ONLY: "only orders that shrink the position are allowed",
    Reason.INSTRUMENT_CHANGED: "a tick or lot size changed under a position; `mm arm` goes on",
    Reason.MODEL_VOLATILITY: "the model cannot quote with this volatility",
    Reason.MODEL_ARRIVALS: "the model needs a positive arrival rate and decay",
    Reason.MODEL_HORIZON: "the model needs a time left that is not negative",
    Reason.MODEL_INVENTORY: "the model measures the position by a limit that is not positive",
    Reason.MODEL_PARAMETERS: "the model's parameters are too few or out of their range",
    Reason.MODEL_SPREAD: "the model's bid is not below its ask",
    Reason.MODEL_TABLE: "volatility against arrivals is beyond the model's table",
    Reason.SIMULATOR_LAGS: "mm_simulator is behind the market, and so is the position it tells",
    Reason.OWN_SPREAD_TOO_NARROW: "bid and ask would stand closer than min_own_spread_ticks",
    Reason.OWN_SPREAD_TOO_WIDE: "bid and ask would stand farther apart than max_own_spread_ticks",
    Reason.UNKNOWN_ORDER: "there never was an order of this id",
    Reason.ORDER_ENDED: "the order was filled, cancelled or rejected before",
    Reason.CANCEL_IN_FLIGHT: "the order's cancellation is on its way already",
    Reason.AMENDMENT_IN_FLIGHT: "an amendment of the order is on its way already",
    Reason.DUPLICATE_CLIENT_ID: "the client id belongs to another order",
    Reason.NOT_FILLABLE: "the book does not hold all of a fill-or-kill order",
    Reason.REST_EXPIRED: "the rest of an order that takes at once found nothing to take",
    Reason.OFF_LOT: "the quantity is not a whole number of lots",
    Reason.BELOW_FILLED: "the amended quantity is not above what was filled",
    Reason.INVALID_ORDER: "side, kind or action of the request is not one there is",
    Reason.CANCEL_REQUESTED: "its cancellation was asked for",
    Reason.NO_FAIR_VALUE: "the fair value has no price",
    Reason.REQUESTS_PAUSED: "the venue takes no request now, so there is no snapshot for a book",
}


def explain(reason: int) -> str:
    """Return a reason in words.

    Parameters
    ----------
    reason : int
        A codes.Reason, or its number as a message carries it.

    Returns
    -------
    str
        For example "BOOK_NOT_LIVE: the book is not synchronised with the venue".

    Raises
    ------
    ValueError
        If there is no such reason.
    """
    try:
        known = Reason(int(reason))
    except ValueError:
        raise ValueError(
            f"reason must be a number of mmquant.codes.Reason, got {reason}: "
            "the sender may be newer than this version"
        ) from None
    text = _TEXTS.get(known)
    return f"{known.name}: {text}" if text else known.name
