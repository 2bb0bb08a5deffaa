"""What a quoting model is given and what it answers.

A model is a plain @njit function `model(inputs, params, out) -> int`: `inputs` is a MODEL_INPUTS
record of shape (1,), `params` a float64 array of the model's own parameters, `out` a MODEL_QUOTES
record of shape (1,). It answers codes.Reason.NONE, or why it cannot quote. Models of the library
and a user's own have the same form, in the backtest and live.
"""

from mmquant.records import record

__all__ = ["MODEL_INPUTS", "MODEL_QUOTES"]

MODEL_INPUTS = record(
    [
        ("now_ns", "<i8"),
        ("fair_value_ticks", "<f8"),
        ("drift_ticks_per_s", "<f8"),
        ("volatility_ticks_per_sqrt_s", "<f8"),
        ("arrival_rate_per_s", "<f8"),  # A of A exp(-k d): fills a second and side at d = 0
        ("arrival_decay_per_tick", "<f8"),  # k
        ("inventory_orders", "<f8"),  # the position in order sizes, signed
        ("inventory_limit_orders", "<f8"),
        ("time_left_s", "<f8"),  # to the end of the horizon
        ("order_lots", "<i8"),
        ("position_lots", "<i8"),
        ("position_limit_lots", "<i8"),
        ("bid_ticks", "<i8"),  # the live touch
        ("ask_ticks", "<i8"),
    ],
    112,
)
# bid_ticks and ask_ticks are what counts: real numbers, not yet rounded. The others explain them:
# reservation = fair value + inventory shift + drift shift, (bid + ask) / 2
# (ask - bid) / 2 = volatility term + arrival term.
# A bid of -inf or an ask of inf is a side that the model does not quote (at a bound of its
# inventory); all NaN where it answers a reason.
MODEL_QUOTES = record(
    [
        ("bid_ticks", "<f8"),
        ("ask_ticks", "<f8"),
        ("reservation_ticks", "<f8"),
        ("inventory_shift_ticks", "<f8"),
        ("drift_shift_ticks", "<f8"),
        ("volatility_term_ticks", "<f8"),
        ("arrival_term_ticks", "<f8"),
    ],
    56,
)
