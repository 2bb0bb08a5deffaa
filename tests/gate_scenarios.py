"""Changes of strategy.toml that trip a gate each, and the reason that must show."""

from mmquant.codes import Reason

__all__ = ["HALTED", "OF_A_SIDE", "PAUSED", "PULLED", "UNJUDGED"]

# What pulls the quotes, or a side, and is gone with its cause.
PULLED = [
    ({"max_spread_ticks": 1}, Reason.SPREAD_TOO_WIDE),
    ({"min_spread_ticks": 1000, "max_spread_ticks": 2000}, Reason.SPREAD_TOO_NARROW),
    ({"min_own_spread_ticks": 2000}, Reason.OWN_SPREAD_TOO_NARROW),
    ({"max_own_spread_ticks": 1}, Reason.OWN_SPREAD_TOO_WIDE),
    ({"gates": {"collar_bps": 0.01}}, Reason.PRICE_COLLAR),
    ({"gates": {"max_open_notional": "0.01"}}, Reason.OPEN_NOTIONAL),
    ({"gates": {"max_open_orders": 2}}, Reason.OPEN_ORDERS),
    ({"gates": {"max_book_age_ms": 10}}, Reason.BOOK_STALE),
    ({"model": "own_models:blind", "model_parameters": {}}, Reason.NOT_FINITE),
    ({"position_limit_qty": "0.010", "soft_limit": 1.0}, Reason.INVENTORY_LIMIT),
    ({"position_limit_qty": "0.010", "soft_limit": 0.5}, Reason.INVENTORY_SOFT_LIMIT),
    ({"levels": 1, "rates": {"orders_per_s": 1, "order_burst": 2}}, Reason.ORDER_RATE),
    ({"levels": 1, "rates": {"cancels_per_s": 1, "cancel_burst": 2}}, Reason.CANCEL_RATE),
]
# Reasons of a side alone: the service goes on quoting, so its log does not name them.
OF_A_SIDE = {
    Reason.PRICE_COLLAR,
    Reason.INVENTORY_LIMIT,
    Reason.INVENTORY_SOFT_LIMIT,
    Reason.ORDER_RATE,
    Reason.CANCEL_RATE,
}
# What pauses, and is over a moment after its cause.
PAUSED = [
    ({"gates": {"max_fills": 1}}, Reason.FILL_BURST),
    ({"gates": {"max_minute_loss": "0"}}, Reason.MINUTE_LOSS),
    (
        {"gates": {"max_adverse_markout_ticks": 0, "markout_fills": 1, "markout_horizon_ms": 1}},
        Reason.ADVERSE_MARKOUT,
    ),
    (
        {"gates": {"max_volatility_ratio": 1.0, "volatility_baseline_s": 0.1}},
        Reason.VOLATILITY_JUMP,
    ),
]
# What halts until it is armed.
HALTED = [
    ({"gates": {"max_session_loss": "0"}}, Reason.SESSION_LOSS),
    ({"gates": {"max_drawdown": "0"}}, Reason.DRAWDOWN),
    ({"model": "own_models:broken", "model_parameters": {"zero": 0}}, Reason.INTERNAL_ERROR),
]
# How many tokens are left follows from all that was ever wanted: their kernel's tests judge it.
UNJUDGED = {Reason.ORDER_RATE, Reason.CANCEL_RATE}
