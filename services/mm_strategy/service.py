"""Strategy: one compiled decision a pricing message; every change of mind is published."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
from mm_runtime.clock import Clock
from mm_runtime.config import ConfigError, load
from mm_runtime.metrics_latency import QuoteLatency
from mm_runtime.metrics_table import Sample
from mm_runtime.service import Service
from mm_runtime.settings import RuntimeSettings, StrategySettings

from mmquant.codes import Reason, Role, ServiceState, Stream, Template
from mmquant.kernels.quoting import strategy_step
from mmquant.quoting import strategy_params
from mmquant.records import INSTRUMENT, LEVEL, PRICING, QUOTES
from mmquant.risk import explain
from mmquant.state import MAX_LEVELS, STRATEGY_PARAMS, STRATEGY_STATE
from mmquant.wire import MessageBuffer

__all__ = ["Strategy", "build", "lots", "warm_up"]

_MS = 1_000_000
_E8 = 100_000_000


def lots(quantity: str, lot_size_e8: int, key: str) -> int:
    """Return a decimal quantity of the base asset in lots; ConfigError where it is no multiple."""
    count, rest = divmod(Decimal(quantity) * _E8, lot_size_e8)
    if rest or count < 0:
        lot = Decimal(lot_size_e8) / _E8
        raise ConfigError(
            f"config/strategy.toml: {key}: must be a multiple of the lot {lot}, got {quantity}"
        )
    return int(count)


class _Desk:
    """What is kept of one instrument."""

    def __init__(self, instrument_id: int) -> None:
        self.instrument_id = instrument_id
        self.state = np.zeros(1, STRATEGY_STATE)
        self.pricing = np.zeros(1, PRICING)
        self.instrument = np.zeros(1, INSTRUMENT)
        self.params = np.zeros(1, STRATEGY_PARAMS)  # set with the instrument's lot
        self.levels = np.zeros(2 * MAX_LEVELS, LEVEL)
        self.out = MessageBuffer(Template.QUOTES, (MAX_LEVELS, MAX_LEVELS))
        self.position_lots = 0
        self.position_seq = 0
        self.position_known = False
        self.published_ns = 0
        first = QUOTES.fields["frame_ns"][1] // 8  # type: ignore[index]
        self.stamps_ns = self.out.block.view(np.int64)[first:]  # the six of a quote's way


class Strategy(Service):
    """Agent of mm_strategy."""

    role = Role.MM_STRATEGY
    needs_peers = (Role.MM_PRICING,)
    needs_streams = (Stream.PRICING,)
    is_journalled = True

    def __init__(self, settings: RuntimeSettings, config: StrategySettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.config = config
        self._desks: dict[int, _Desk] = {}
        self._pricing_ok = False
        self._simulator_ok = False
        self._latency = QuoteLatency()

    def start(self) -> None:
        """Open the streams; positions and instruments are handled before prices."""
        warm_up()
        self._out = self.publish_on(Stream.QUOTES, queue_limit=1, conflate=True)
        self.subscribe(Stream.STATE, {Template.INSTRUMENT: self._on_instrument})
        self.subscribe(Stream.POSITIONS, {Template.POSITION: self._on_position})
        self.subscribe(Stream.PRICING, {Template.PRICING: self._on_pricing}, paced=True)

    def duty(self, now_ns: int) -> int:
        """Handle what came; pull the quotes where a peer fell silent; repeat them when due."""
        work = self.poll(blocked=self._out.blocked)
        pricing_ok = self.is_alive(Role.MM_PRICING, now_ns)
        simulator_ok = self.is_alive(Role.MM_SIMULATOR, now_ns)
        changed = (pricing_ok, simulator_ok) != (self._pricing_ok, self._simulator_ok)
        self._pricing_ok, self._simulator_ok = pricing_ok, simulator_ok
        interval_ns = self.config.republish_interval_ms * _MS
        for desk in self._desks.values():
            if not simulator_ok:
                desk.position_known = False
            due = now_ns - desk.published_ns >= interval_ns
            if changed or due:
                self._decide(desk, now_ns, from_frame=False, publish=due)
                self._latency.fold()
        if not self._desks:
            self.set_state(ServiceState.DEGRADED, self._why_no_desk(), "no prices yet")
        return work

    def stop(self) -> None:
        """Pull every quote."""
        for desk in self._desks.values():
            self._pull(desk, Reason.STOPPING)

    def samples(self) -> Iterator[Sample]:
        """Give the quotes that are wanted, what they were made of, and how long they took."""
        for hop, buckets in self._latency.buckets().items():
            yield Sample("quote_latency_seconds", buckets, (hop,))
        for desk in list(self._desks.values()):
            yield from _desk_samples(desk)

    # inner works

    def _on_instrument(self) -> None:
        desk = self._desk(int(self.inbox.block(Template.INSTRUMENT)[0]["instrument_id"]))
        known = desk.instrument[0]["instrument_id"] != 0
        desk.instrument[0] = self.inbox.block(Template.INSTRUMENT)[0]
        if not known:
            self._set_params(desk)

    def _on_position(self) -> None:
        position = self.inbox.block(Template.POSITION)[0]
        desk = self._desk(int(position["instrument_id"]))
        moved = not desk.position_known or desk.position_lots != position["position_lots"]
        desk.position_known = True
        desk.position_lots = int(position["position_lots"])
        desk.position_seq = int(position["seq"])
        if moved:
            self._decide(desk, self.clock.now_ns(), from_frame=False, publish=False)

    def _on_pricing(self) -> None:
        received_ns = self.clock.now_ns()
        block = self.inbox.block(Template.PRICING)
        desk = self._desk(int(block[0]["instrument_id"]))
        desk.pricing[0] = block[0]
        self._decide(desk, received_ns, from_frame=block[0]["frame_ns"] != 0, publish=False)

    def _decide(self, desk: _Desk, received_ns: int, from_frame: bool, publish: bool) -> None:
        changed = strategy_step(
            desk.state,
            desk.params,
            desk.pricing,
            desk.instrument,
            desk.position_lots,
            int(desk.position_known),
            int(self._pricing_ok and self._simulator_ok),
            desk.out.block,
            desk.levels,
        )
        if changed or publish:
            self._publish(desk, received_ns, from_frame)

    def _publish(self, desk: _Desk, received_ns: int, from_frame: bool) -> None:
        block = desk.out.block[0]
        block["instrument_id"] = desk.instrument_id
        for side in (0, 1):
            rows = desk.levels[side * MAX_LEVELS : (side + 1) * MAX_LEVELS]
            desk.out.set_group(side, rows[rows["qty_lots"] > 0])
        if not from_frame:
            block["frame_ns"] = 0  # not the answer to a frame: no latency to measure
        block["seq"], block["position_seq"] = self._out.next_seq(), desk.position_seq
        block["received_ns"], block["sent_ns"] = received_ns, self.clock.now_ns()
        desk.published_ns = received_ns
        self._out.offer(desk.out)
        if from_frame:
            self._latency.note(desk.stamps_ns)
        self.counters["quotes"] += 1
        reason = Reason(int(block["reason"]))
        if reason is Reason.NONE:
            self.set_state(ServiceState.READY, Reason.NONE, "quoting")
        else:
            self.counters[f"not_quoting.{reason.name.lower()}"] += 1
            self.set_state(
                ServiceState.DEGRADED, reason, f"not quoting: {explain(reason).partition(': ')[2]}"
            )

    def _pull(self, desk: _Desk, reason: Reason) -> None:
        desk.levels["qty_lots"] = 0
        desk.out.block[0]["reason"] = reason
        desk.out.block[0]["now_ns"] = desk.pricing[0]["now_ns"]
        self._publish(desk, self.clock.now_ns(), from_frame=False)

    def _desk(self, instrument_id: int) -> _Desk:
        desk = self._desks.get(instrument_id)
        if desk is None:
            desk = self._desks[instrument_id] = _Desk(instrument_id)
        return desk

    def _set_params(self, desk: _Desk) -> None:
        config, lot_e8 = self.config, int(desk.instrument[0]["lot_size_e8"])
        desk.params = strategy_params(
            min_half_spread_ticks=config.min_half_spread_ticks,
            volatility_multiple=config.volatility_multiple,
            horizon_s=config.horizon_s,
            drift_weight=config.drift_weight,
            inventory_skew=config.inventory_skew,
            order_lots=lots(config.order_qty, lot_e8, "order_qty"),
            position_limit_lots=lots(config.position_limit_qty, lot_e8, "position_limit_qty"),
            levels=config.levels,
            level_spacing_ticks=config.level_spacing_ticks,
            requote_ticks=config.requote_ticks,
            max_spread_ticks=config.max_spread_ticks,
        )

    def _why_no_desk(self) -> Reason:
        return Reason.NO_MARKET_DATA if self._pricing_ok else Reason.UPSTREAM_SILENT


def _desk_samples(desk: _Desk) -> Iterator[Sample]:
    instrument, quotes = desk.instrument[0], desk.out.block[0]
    symbol = instrument["symbol"].decode()
    if not symbol:  # not announced yet
        return
    tick = float(instrument["tick_size_e8"]) / _E8
    yield Sample("quoting", bool((desk.levels["qty_lots"] > 0).any()), (symbol,))
    for side, start in (("bid", 0), ("ask", MAX_LEVELS)):
        rows = desk.levels[start : start + MAX_LEVELS]
        wanted = rows[rows["qty_lots"] > 0]
        yield Sample("quoted_levels", len(wanted), (symbol, side))
        if len(wanted):
            yield Sample("quote_price", float(wanted[0]["price_ticks"]) * tick, (symbol, side))
    if quotes["fair_value_ticks"]:
        yield Sample("fair_value", float(quotes["fair_value_ticks"]) * tick, (symbol,))
        yield Sample("reservation_price", float(quotes["reservation_ticks"]) * tick, (symbol,))
        volatility = float(quotes["volatility_ticks_per_sqrt_s"]) * tick
        yield Sample("volatility_per_sqrt_second", volatility, (symbol,))


def warm_up() -> None:
    """Load (or compile) the service's kernels as they are called, before the first message."""
    desk = _Desk(0)
    strategy_step(
        desk.state,
        desk.params,
        desk.pricing,
        desk.instrument,
        0,
        0,
        0,
        desk.out.block,
        desk.levels,
    )


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> Strategy:
    """Return the service that strategy.toml describes."""
    return Strategy(settings, load("strategy", StrategySettings, config_dir), clock)
