"""What the strategy keeps of one instrument, and its settings in ticks, lots and nanoseconds."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from mm_runtime.config import ConfigError
from mm_runtime.settings import StrategySettings
from numpy.typing import NDArray

from mmquant.codes import Template
from mmquant.models import MODELS, model_params
from mmquant.own_modules import own_function
from mmquant.quoting import bind_model, own_params, strategy_params
from mmquant.records import FILL, INSTRUMENT, LEVEL, POSITION, PRICING, QUOTES
from mmquant.state import (
    MAX_LEVELS,
    MODEL_INPUTS,
    MODEL_QUOTES,
    STRATEGY_INPUTS,
    STRATEGY_PARAMS,
    STRATEGY_STATE,
)
from mmquant.wire import MessageBuffer

__all__ = ["Desk", "Model", "bytes_of", "desk_params", "load_model", "lots"]

_MS = 1_000_000
_SECOND_NS = 1_000_000_000
_E8 = 100_000_000
_PERMILLE = 1_000
_MOST = 2**61
_NEVER_NS = 2**60
_LEVEL_BYTES = LEVEL.itemsize  # price, then quantity


def _offset(field: str) -> int:
    return int(QUOTES.fields[field][1])  # type: ignore[index]


_INSTRUMENT_INT = _offset("instrument_id") // 4
_SEQ_LONG, _POSITION_SEQ_LONG = _offset("seq") // 8, _offset("position_seq") // 8
_FRAME_LONG, _RECEIVED_LONG = _offset("frame_ns") // 8, _offset("received_ns") // 8
_SENT_LONG = _offset("sent_ns") // 8


def bytes_of(array: NDArray[Any]) -> memoryview:
    """Return the bytes of a contiguous array, to be read and written in place."""
    return memoryview(array.view(np.uint8))


class Model:
    """A model as strategy_step takes it."""

    def __init__(self, name: str, handle: Any, params: NDArray[np.float64]) -> None:
        self.name = name
        self.handle = handle
        self.params = params


class Desk:
    """Buffers and state of one instrument."""

    def __init__(self, instrument_id: int) -> None:
        self.instrument_id = instrument_id
        self.state = np.zeros(1, STRATEGY_STATE)
        self.inputs = np.zeros(1, STRATEGY_INPUTS)
        self.now_words = self.inputs.view(np.int64)  # now_ns, heard_ns, ...: faster to write
        self.pricing = np.zeros(1, PRICING)
        self.instrument = np.zeros(1, INSTRUMENT)
        self.position = np.zeros(1, POSITION)
        self.fill = np.zeros(1, FILL)
        self.params = np.zeros(1, STRATEGY_PARAMS)  # set with the instrument's lot
        self.model_inputs = np.zeros(1, MODEL_INPUTS)
        self.model_quotes = np.zeros(1, MODEL_QUOTES)
        self.levels = np.zeros(2 * MAX_LEVELS, LEVEL)
        self.out = MessageBuffer(Template.QUOTES, (MAX_LEVELS, MAX_LEVELS))
        # Plain views of the same bytes: numpy takes a microsecond a field.
        self.pricing_bytes = bytes_of(self.pricing)
        self.level_bytes = bytes_of(self.levels)
        self.level_longs = self.level_bytes.cast("q")
        self.block_longs = bytes_of(self.out.block).cast("q")
        self.block_ints = bytes_of(self.out.block).cast("I")
        self.open_orders: dict[int, int] = {}  # price times lots left, by order id
        self.position_seq = 0
        self.position_ns = 0  # when it was told, 0: not known
        self.side_reasons = [0, 0]  # of bids and asks as published last
        self.published_ns = 0
        self.decided_ns = 0
        self.stamps_ns = self.out.block.view(np.int64)[
            _FRAME_LONG : _FRAME_LONG + 6
        ]  # of a quote's way

    def lay_out(self, received_ns: int, seq: int, from_frame: bool) -> None:
        """Put the levels wanted now, and what only this service knows, into the message."""
        for side in (0, 1):
            first = last = side * MAX_LEVELS
            while last < first + MAX_LEVELS and self.level_longs[2 * last + 1]:
                last += 1
            self.out.set_bytes(side, self.level_bytes[_LEVEL_BYTES * first : _LEVEL_BYTES * last])
        longs = self.block_longs
        self.block_ints[_INSTRUMENT_INT] = self.instrument_id
        longs[_SEQ_LONG], longs[_POSITION_SEQ_LONG] = seq, self.position_seq
        longs[_RECEIVED_LONG] = received_ns
        if not from_frame:
            longs[_FRAME_LONG] = 0  # not the answer to a frame: no latency to measure

    def stamp(self, sent_ns: int) -> None:
        """Put the time of sending into the message."""
        self.block_longs[_SENT_LONG] = sent_ns

    def note_order(self, order_id: int, tick_lots: int) -> None:
        """Keep what is left of an order of ours at the venue; nothing of one that has ended."""
        row = self.inputs[0]
        row["open_tick_lots"] += tick_lots - self.open_orders.pop(order_id, 0)
        if tick_lots > 0:
            self.open_orders[order_id] = tick_lots
        row["open_orders"] = len(self.open_orders)

    def has_other_units(self, instrument: NDArray[Any]) -> bool:
        """Tell whether a tick or a lot is not what it was."""
        known = self.instrument[0]
        return bool(known["instrument_id"]) and any(
            known[size] != instrument[0][size] for size in ("tick_size_e8", "lot_size_e8")
        )

    def begin_anew(self) -> None:
        """Forget what was counted in ticks and lots; the halt, if there is one, holds."""
        self.state[:] = 0
        self.forget_position()
        self.forget_orders()
        self.inputs[0]["position_lots"] = self.inputs[0]["trade_ticks"] = 0

    def is_position_old(self, now_ns: int, most_ns: int) -> bool:
        """Tell whether the position is known, but from too long ago (or from the future)."""
        return self.position_ns != 0 and abs(now_ns - self.position_ns) > most_ns

    def forget_position(self) -> None:
        """Know of no position until it is told again."""
        self.inputs[0]["position_known"] = self.position_ns = 0

    def forget_orders(self) -> None:
        """Know of no order: the venue that had them is gone."""
        self.open_orders.clear()
        self.inputs[0]["open_orders"] = self.inputs[0]["open_tick_lots"] = 0


def lots(quantity: str, lot_size_e8: int, key: str) -> int:
    """Return a decimal quantity of the base asset in lots; ConfigError where it is no multiple."""
    count, rest = divmod(Decimal(quantity) * _E8, lot_size_e8)
    if rest or count < 0:
        lot = Decimal(lot_size_e8) / _E8
        raise ConfigError(
            f"config/strategy.toml: {key}: must be a multiple of the lot {lot}, got {quantity}"
        )
    return int(count)


def desk_params(
    config: StrategySettings, instrument: NDArray[Any], lag_matters: bool
) -> NDArray[Any]:
    """Return the settings for one instrument as the kernels take them.

    Parameters
    ----------
    config
        strategy.toml.
    instrument : ndarray of records.INSTRUMENT, shape (1,)
    lag_matters
        False in a replay that waits for its readers: nothing is late there.

    Raises
    ------
    ConfigError
        Where a quantity is no multiple of the lot.
    """
    tick_e8, lot_e8 = (int(instrument[0][name]) for name in ("tick_size_e8", "lot_size_e8"))
    limit = lots(config.position_limit_qty, lot_e8, "position_limit_qty")
    ladder, rates, gates = config.ladder, config.rates, config.gates
    order_ns, cancel_ns = (
        round(_SECOND_NS / rates.orders_per_s),
        round(_SECOND_NS / rates.cancels_per_s),
    )

    def tick_lots(amount: str, parts: int) -> int:
        return min(_MOST, int(Decimal(amount) * parts * _E8 * _E8 / (tick_e8 * lot_e8)))

    return strategy_params(
        order_lots=lots(config.order_qty, lot_e8, "order_qty"),
        position_limit_lots=limit,
        soft_limit_lots=int(limit * config.soft_limit),
        horizon_s=config.horizon_s,
        arrival_rate_per_s=config.arrival_rate_per_s,
        arrival_decay_per_tick=config.arrival_decay_per_tick,
        max_volatility_ratio=gates.max_volatility_ratio,
        levels=config.levels,
        spacing_ticks=ladder.spacing_ticks,
        spacing_ppm=round(ladder.spacing_bps * 100),
        spacing_permille=round(ladder.spacing_ratio * _PERMILLE),
        size_step_permille=round(ladder.size_step * _PERMILLE),
        size_permille=round(ladder.size_ratio * _PERMILLE),
        requote_ticks=config.requote_ticks,
        min_life_ns=config.min_life_ms * _MS,
        order_ns=order_ns,
        order_burst_ns=order_ns * rates.order_burst,
        cancel_ns=cancel_ns,
        cancel_burst_ns=cancel_ns * rates.cancel_burst,
        min_spread_ticks=config.min_spread_ticks,
        max_spread_ticks=config.max_spread_ticks,
        min_own_spread_ticks=config.min_own_spread_ticks,
        max_own_spread_ticks=config.max_own_spread_ticks,
        max_book_age_ns=gates.max_book_age_ms * _MS,
        max_lag_ns=gates.max_lag_ms * _MS if lag_matters else _NEVER_NS,
        max_simulator_lag_ns=gates.max_simulator_lag_ms * _MS if lag_matters else _NEVER_NS,
        max_skew_ns=gates.max_clock_skew_ms * _MS,
        collar_ppm=max(1, round(gates.collar_bps * 100)),
        max_open_orders=gates.max_open_orders,
        max_open_tick_lots=max(1, tick_lots(gates.max_open_notional, 1)),
        max_session_loss_half_tick_lots=tick_lots(gates.max_session_loss, 2),
        max_drawdown_half_tick_lots=tick_lots(gates.max_drawdown, 2),
        max_minute_loss_half_tick_lots=tick_lots(gates.max_minute_loss, 2),
        max_fills=gates.max_fills,
        fill_window_ns=round(gates.fill_window_s * _SECOND_NS),
        markout_fills=gates.markout_fills,
        markout_ns=gates.markout_horizon_ms * _MS,
        max_adverse_half_ticks=round(2 * gates.max_adverse_markout_ticks),
        pause_ns=round(gates.pause_s * _SECOND_NS),
        volatility_baseline_ns=round(gates.volatility_baseline_s * _SECOND_NS),
    )


def load_model(name: str, values: Mapping[str, float], folder: Path) -> Model:
    """Return a model of the library, or the function `module:function` with its parameters.

    A module is looked for in `folder` first, and imported anew where its file changed. The
    parameters of a function are the values in the order in which they stand.

    Raises
    ------
    ConfigError
        Where there is no such model, or it cannot be compiled, or a parameter is wrong.
    """
    try:
        if ":" in name:
            function = own_function(name, folder)
            params = own_params(list(values.values()))
            if not np.isfinite(params).all():
                raise ValueError(f"model_parameters must be finite, got {dict(values)}")
        else:
            params = model_params(name, values)
            function = MODELS[name].step
        return Model(name, bind_model(function), params)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"config/strategy.toml: model {name!r}: {error}") from error
