"""The strategy's step with all its buffers, for tests: told in keywords, answered in tuples."""

import math

import numpy as np

from mmquant._jit import njit
from mmquant.codes import BookState, PricingFlag
from mmquant.kernels.quoting import strategy_step
from mmquant.kernels.watch import strategy_on_fill, strategy_on_position
from mmquant.models import MODELS
from mmquant.quoting import bind_model, strategy_params
from mmquant.records import FILL, INSTRUMENT, LEVEL, POSITION, PRICING, QUOTES
from mmquant.state import (
    MAX_LEVELS,
    MODEL_INPUTS,
    MODEL_QUOTES,
    STRATEGY_INPUTS,
    STRATEGY_STATE,
)

SKEWED = [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]  # half a spread of one volatility, at least a tick
PARAMS = {"order_lots": 10, "position_limit_lots": 50, "max_spread_ticks": 20}


@njit
def far_model(inputs, params, out):
    """Answer its two parameters."""
    out[0]["bid_ticks"] = params[0]
    out[0]["ask_ticks"] = params[1]
    return 0


@njit
def broken_model(inputs, params, out):
    """Divide by its first parameter."""
    out[0]["bid_ticks"] = inputs[0]["fair_value_ticks"] - 1 // int(params[0])
    out[0]["ask_ticks"] = inputs[0]["fair_value_ticks"] + 1
    return 0


class Bench:
    """One instrument: a good market to begin with, every step changes what it is told to."""

    def __init__(self, model=SKEWED, model_function=None, **changes):
        self.function = MODELS["skewed"].step if model_function is None else model_function
        self.handle = bind_model(self.function)
        self.model_params = np.array(model[:2] if model_function else model, np.float64)
        self.params = strategy_params(**(PARAMS | changes))
        self.state = np.zeros(1, STRATEGY_STATE)
        self.inputs = np.zeros(1, STRATEGY_INPUTS)
        self.model_inputs = np.zeros(1, MODEL_INPUTS)
        self.model_quotes = np.zeros(1, MODEL_QUOTES)
        self.out = np.zeros(1, QUOTES)
        self.levels = np.zeros(2 * MAX_LEVELS, LEVEL)
        self.instrument = np.zeros(1, INSTRUMENT)
        i = self.instrument[0]
        i["instrument_id"], i["tick_size_e8"], i["lot_size_e8"] = 7, 10**6, 10**5
        self.pricing = np.zeros(1, PRICING)
        p = self.pricing[0]
        p["instrument_id"], p["flags"] = 7, int(PricingFlag.LIVE | PricingFlag.WARM)
        p["book_state"], p["bid_ticks"], p["ask_ticks"] = BookState.LIVE, 999, 1001
        p["fair_value_ticks"], p["volatility_ticks_per_sqrt_s"] = 1000.0, 1.0
        self.now_ns = 10**18
        self.pass_time(0)

    def pass_time(self, ns):
        """Let the market's clock and ours move on; the next message is heard at once."""
        self.now_ns += ns
        self.pricing[0]["now_ns"] = self.now_ns
        self.inputs[0]["now_ns"] = self.inputs[0]["heard_ns"] = self.now_ns

    def side(self, first):
        rows = self.levels[first : first + MAX_LEVELS].tolist()
        quoted = [row for row in rows if row[1]]
        assert rows == quoted + [(0, 0)] * (MAX_LEVELS - len(quoted))
        return quoted

    def step(self, inputs=None, **pricing):
        """Return what the twin does."""
        told = {"position_known": 1, "upstream_ok": 1, "position_lots": 0} | (inputs or {})
        for field, value in told.items():
            self.inputs[0][field] = value
        for field, value in pricing.items():
            self.pricing[0][field] = value
        if pricing.get("sent_ns") == 1:
            self.pricing[0]["sent_ns"] = self.now_ns - 2 * 10**9
        changed = strategy_step(
            self.state,
            self.params,
            self.handle,
            self.model_params,
            self.inputs,
            self.pricing,
            self.instrument,
            self.model_inputs,
            self.model_quotes,
            self.out,
            self.levels,
        )
        o = self.out[0]
        names = ("reason", "bid_reason", "ask_reason", "bid_clamps", "ask_clamps")
        numbers = [int(o[name]) for name in (*names, "risk_state", "risk_reason")]
        return (changed, *numbers, self.side(0), self.side(MAX_LEVELS))

    def orders(self, inputs=None, **pricing):
        """Return bids and asks after a step."""
        return self.step(inputs, **pricing)[8:]

    def fill(self, side, qty, mark, now_ns):
        """Tell of a fill."""
        fill = np.zeros(1, FILL)
        fill[0]["side"], fill[0]["qty_lots"], fill[0]["mark_half_ticks"] = side, qty, mark
        fill[0]["now_ns"] = now_ns
        strategy_on_fill(self.state, self.params, fill)

    def position(self, total, fees, now_ns, **more):
        """Tell of a profit."""
        position = np.zeros(1, POSITION)
        for name, value in more.items():
            position[0][name] = value
        position[0]["total_half_tick_lots"], position[0]["fees_micro_tick_lots"] = total, fees
        position[0]["now_ns"] = now_ns
        strategy_on_position(self.state, self.params, position)

    def ask(self, pricing, position):
        """Answer as the model does: (reason, bid, ask), its own terms in plain arithmetic."""
        ticks, _, multiple, horizon_s, skew, weight = self.model_params
        sigma, drift = pricing["volatility_ticks_per_sqrt_s"], pricing["drift_ticks_per_s"]
        half = max(ticks, multiple * sigma * math.sqrt(horizon_s))
        share = position / int(self.params[0]["position_limit_lots"])
        fair = pricing["fair_value_ticks"] + weight * drift * horizon_s + -skew * half * share
        return 0, fair - half, fair + half

    def exact_instrument(self):
        """Return the filters as ints."""
        names = [name for name in INSTRUMENT.names if name not in ("symbol", "market", "reserved")]
        return {name: int(self.instrument[0][name]) for name in names}
