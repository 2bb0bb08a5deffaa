"""Strategy: one compiled decision a pricing message; every change of mind is published."""

import logging
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from mm_runtime.clock import Clock
from mm_runtime.config import ConfigError
from mm_runtime.metrics_latency import QuoteLatency
from mm_runtime.metrics_table import Sample
from mm_runtime.service import Service
from mm_runtime.settings import RuntimeSettings, StrategySettings
from numpy.typing import NDArray

from mm_strategy.desk import Desk, Model, bytes_of, desk_params, load_model
from mm_strategy.latch import Latch
from mm_strategy.reload import LastGood, ReloadRequests
from mm_strategy.samples import desk_samples
from mmquant.codes import OrderStatus, Reason, RiskState, Role, ServiceState, Stream, Template
from mmquant.kernels.quoting import strategy_step
from mmquant.kernels.watch import strategy_arm, strategy_on_fill, strategy_on_position
from mmquant.own_modules import own_files
from mmquant.records import PRICING
from mmquant.risk import explain

__all__ = ["Strategy", "build", "warm_up"]

_MS = 1_000_000
_GATE_INTERVAL_NS = 20 * _MS  # gates of time are looked at this often without a message
_POSITION_AGE_NS = 3_000 * _MS  # mm_simulator tells it each second
_UPSTREAM = (Role.MM_COLLECTOR, Role.MM_PRICING, Role.MM_SIMULATOR)
_KILLED, _NEW, _OLD = b"killed", b"1", b"0"  # of what was seen outside
_INSTRUMENT_INT = PRICING.fields["instrument_id"][1] // 4  # type: ignore[index]
_FRAME_LONG = PRICING.fields["frame_ns"][1] // 8  # type: ignore[index]
_ALIVE = (OrderStatus.NEW, OrderStatus.OPEN)


class Strategy(Service):
    """Agent of mm_strategy.

    Parameters
    ----------
    settings, config, clock
        runtime.toml, strategy.toml, and the time.
    file
        Where strategy.toml is read anew, and a model of one's own may lie beside it.
    """

    role = Role.MM_STRATEGY
    needs_peers = (Role.MM_PRICING,)
    needs_streams = (Stream.PRICING,)
    is_journalled = True

    def __init__(
        self,
        settings: RuntimeSettings,
        config: StrategySettings,
        clock: Clock,
        file: LastGood,
    ) -> None:
        super().__init__(settings, clock)
        self.config = config
        self.kill_asked = False  # by SIGUSR1
        self.reload_asked = False  # by SIGHUP
        self._file = file
        try:
            self._model = load_model(config.model, config.model_parameters, file.folder)
        except ConfigError as error:
            self.config = config = file.recall(str(error))
            self._model = load_model(config.model, config.model_parameters, file.folder)
        self.config_dir = file.folder
        self._lag_matters = settings.aeron.when_blocked != "wait"
        directory = Path(settings.state_directory)
        self._latch = Latch(directory)
        self._requests = ReloadRequests(directory)
        self._desks: dict[int, Desk] = {}
        self._silent: tuple[Role, ...] = _UPSTREAM
        self._simulator_lag_ns, self._lag_changed = 0, False
        self._latency = QuoteLatency()
        self._pricing_bytes = bytes_of(self.inbox.block(Template.PRICING))
        self._pricing_ints = self._pricing_bytes.cast("I")
        self._pricing_longs = self._pricing_bytes.cast("q")

    def start(self) -> None:
        """Open the streams; whatever a decision rests on is handled before prices."""
        warm_up(self._model)
        self._out = self.publish_on(Stream.QUOTES, queue_limit=1, conflate=True)
        self.subscribe(Stream.STATE, {Template.INSTRUMENT: self._on_instrument})
        self.subscribe(Stream.POSITIONS, {Template.POSITION: self._on_position})
        on_order = {Template.FILL: self._on_fill, Template.ORDER_UPDATE: self._on_order}
        self.subscribe(Stream.FILLS, on_order)
        self.subscribe(Stream.TRADES, {Template.TRADE: self._on_trade})
        self.subscribe(Stream.PRICING, {Template.PRICING: self._on_pricing}, paced=True)
        refused = self.outside(lambda: self._file.refused.encode())
        if refused:
            self.say(logging.ERROR, f"settings refused, the last good ones: {refused.decode()}")

    def duty(self, now_ns: int) -> int:
        """Handle what came; stop where asked to or where a peer fell silent; repeat the quotes."""
        changed = self._look_at_halt(now_ns)
        work = self.poll_heartbeats()
        changed |= self._look_at_peers(now_ns)
        work += self.poll_others(blocked=self._out.blocked)
        interval_ns = self.config.republish_interval_ms * _MS
        for desk in self._desks.values():
            if Role.MM_SIMULATOR in self._silent:
                desk.forget_position()
                desk.forget_orders()
            due = now_ns - desk.published_ns >= interval_ns
            if changed or due or now_ns - desk.decided_ns >= _GATE_INTERVAL_NS:
                self._decide(desk, now_ns, from_frame=False, publish=due)
                self._latency.fold()
        if self.outside(lambda: self._see_request(now_ns)) == _NEW:
            self.reload()
        if not self._desks:
            self._tell_no_desk()
        return work

    def stop(self) -> None:
        """Pull every quote."""
        for desk in self._desks.values():
            desk.levels["qty_lots"] = 0
            desk.out.block[0]["reason"] = Reason.STOPPING
            desk.out.block[0]["now_ns"] = desk.pricing[0]["now_ns"]
            self._publish(desk, self.clock.now_ns(), from_frame=False)

    def reload(self) -> None:
        """Take strategy.toml as it is now; where it is wrong, say why and go on as before."""
        seen = self.outside(self._see_config)
        try:
            if seen[:1] != _NEW:
                raise ConfigError(seen[1:].decode())
            config = msgspec.json.decode(seen[1:], type=StrategySettings)
            self._take(config, self._file.config_dir)
        except ConfigError as error:
            self._file.forget()
            self.counters["settings_refused"] += 1
            self.say(logging.ERROR, f"settings refused, the old ones stay: {error}")
            self._requests.answer(False, str(error))
            return
        self._keep_file()
        self.counters["settings_taken"] += 1
        self.say(logging.INFO, f"settings taken anew, model {self._model.name}")
        self._requests.answer(True, f"model {self._model.name}")

    def samples(self) -> Iterator[Sample]:
        """Give the quotes that are wanted, what they were made of, and how long they took."""
        for hop, buckets in self._latency.buckets().items():
            yield Sample("quote_latency_seconds", buckets, (hop,))
        for desk in list(self._desks.values()):
            yield from desk_samples(desk)

    # messages in

    def on_heartbeat(self) -> None:
        """Note how far the simulator lags, so that nothing that came with it is quoted on."""
        super().on_heartbeat()
        simulator = self.peers.get(Role.MM_SIMULATOR)
        if simulator is None or simulator.lag_ns == self._simulator_lag_ns:
            return
        self._simulator_lag_ns, self._lag_changed = simulator.lag_ns, True
        for desk in self._desks.values():
            desk.inputs[0]["simulator_lag_ns"] = simulator.lag_ns

    def _on_instrument(self) -> None:
        instrument = self.inbox.block(Template.INSTRUMENT)
        desk = self._desk(int(instrument[0]["instrument_id"]))
        has_changed = desk.has_other_units(instrument)
        if has_changed or not desk.instrument[0]["instrument_id"]:
            desk.params = self._params_of(instrument)
            if not self._file.refused:
                self._keep_file()
        desk.instrument[0] = instrument[0]
        if has_changed:  # positions, profits and orders were counted in other units
            desk.begin_anew()
            self._halt(Reason.INSTRUMENT_CHANGED, "a tick or a lot changed", self._turn_ns)

    def _on_position(self) -> None:
        message = self.inbox.block(Template.POSITION)[0]
        desk = self._desk(int(message["instrument_id"]))
        desk.position[0] = message
        row, position_lots = desk.inputs[0], int(message["position_lots"])
        moved = not row["position_known"] or row["position_lots"] != position_lots
        row["position_known"], row["position_lots"] = 1, position_lots
        desk.position_seq, desk.position_ns = int(message["seq"]), self._turn_ns
        if not desk.params[0]["order_lots"]:  # its instrument is not known yet
            return
        strategy_on_position(desk.state, desk.params, desk.position)
        if moved or desk.state[0]["halt_reason"]:
            self._decide(desk, self.clock.now_ns(), from_frame=False, publish=False)

    def _on_fill(self) -> None:
        message = self.inbox.block(Template.FILL)[0]
        desk = self._desk(int(message["instrument_id"]))
        if desk.params[0]["order_lots"]:
            desk.fill[0] = message
            strategy_on_fill(desk.state, desk.params, desk.fill)

    def _on_order(self) -> None:
        message = self.inbox.block(Template.ORDER_UPDATE)[0]
        left = int(message["qty_lots"]) - int(message["filled_lots"])
        tick_lots = int(message["price_ticks"]) * left if message["status"] in _ALIVE else 0
        self._desk(int(message["instrument_id"])).note_order(int(message["order_id"]), tick_lots)

    def _on_trade(self) -> None:
        message = self.inbox.block(Template.TRADE)[0]
        desk = self._desk(int(message["instrument_id"]))
        desk.inputs[0]["trade_ticks"] = message["price_ticks"]

    def _on_pricing(self) -> None:
        received_ns = self.clock.now_ns()
        desk = self._desk(self._pricing_ints[_INSTRUMENT_INT])
        desk.pricing_bytes[:] = self._pricing_bytes
        desk.now_words[1] = received_ns
        from_frame = self._pricing_longs[_FRAME_LONG] != 0
        self._decide(desk, received_ns, from_frame, publish=False)

    # inner works

    def _look_at_halt(self, now_ns: int) -> bool:
        """Follow the file that halts; return whether anything changed."""
        seen = self.outside(lambda: self._see_halt(now_ns))
        if seen == _KILLED:
            self._halt(Reason.KILLED, "SIGUSR1", now_ns)
            return True
        self._latch.reason = Reason(int(seen[1:]))
        if seen[:1] != _NEW:
            return False
        for desk in self._desks.values():
            desk.inputs[0]["halt_reason"] = self._latch.reason
            if self._latch.reason is Reason.NONE:
                strategy_arm(desk.state)
        if self._latch.reason is Reason.NONE:
            self.log.warning("armed: the session begins anew")
        return True

    def _look_at_peers(self, now_ns: int) -> bool:
        """Note who is silent and whose word is too old; return whether anything changed.

        Before anything else is heard in a turn, so that none of it is quoted on.
        """
        silent = tuple(role for role in _UPSTREAM if not self.is_alive(role, now_ns))
        changed = silent != self._silent or self._lag_changed
        self._silent, self._lag_changed = silent, False
        for desk in self._desks.values():
            desk.inputs[0]["upstream_ok"] = not silent
            if self._lag_matters and desk.is_position_old(now_ns, _POSITION_AGE_NS):
                desk.forget_position()
                changed = True
        return changed

    def _see_halt(self, now_ns: int) -> bytes:
        """Return what a signal or the file says; a recorded session keeps it."""
        if self.kill_asked:
            self.kill_asked = False
            return _KILLED
        return (_NEW if self._latch.look(now_ns) else _OLD) + b"%d" % self._latch.reason

    def _see_request(self, now_ns: int) -> bytes:
        """Return whether strategy.toml is to be read anew; a recorded session keeps it."""
        asked = self.reload_asked or self._requests.is_there(now_ns)
        self.reload_asked = False
        return _NEW if asked else _OLD

    def _see_config(self) -> bytes:
        """Return strategy.toml as it is now, or what is wrong with it."""
        try:
            return _NEW + msgspec.json.encode(self._file.read())
        except ConfigError as error:
            return _OLD + str(error).encode()

    def _see_last_good(self, wrong: str) -> bytes:
        """Return the settings that were right last, or what is wrong where there are none."""
        try:
            return _NEW + msgspec.json.encode(self._file.recall(wrong))
        except ConfigError as error:
            return _OLD + str(error).encode()

    def _params_of(self, instrument: NDArray[Any]) -> NDArray[Any]:
        """Return the settings for an instrument; the last good ones where these do not fit it."""
        try:
            return desk_params(self.config, instrument, self._lag_matters)
        except ConfigError as error:
            wrong = str(error)
        seen = self.outside(lambda: self._see_last_good(wrong))
        if seen[:1] != _NEW:
            raise ConfigError(seen[1:].decode())
        self._take(msgspec.json.decode(seen[1:], type=StrategySettings), self._file.folder)
        self.say(logging.ERROR, f"settings refused, the last good ones: {wrong}")
        return desk_params(self.config, instrument, self._lag_matters)

    def _keep_file(self) -> None:
        """Keep strategy.toml, and the files of a model of one's own as they were imported."""
        name, folder = self._model.name, self._file.config_dir
        self._file.keep(own_files(name, folder) if ":" in name else {})

    def _take(self, config: StrategySettings, folder: Path) -> None:
        """Use other settings from the next message on; ConfigError where they do not fit."""
        model = load_model(config.model, config.model_parameters, folder)
        params = {
            desk.instrument_id: desk_params(config, desk.instrument, self._lag_matters)
            for desk in self._desks.values()
            if desk.instrument[0]["instrument_id"]
        }
        self.config, self._model = config, model
        for instrument_id, record in params.items():
            self._desks[instrument_id].params = record

    def _halt(self, reason: Reason, text: str, now_ns: int) -> None:
        """Quote nothing until `mm arm`, whatever happens to this process.

        Pulled first and written down then, for a disk may be slow.
        """
        self._latch.reason = reason
        for desk in self._desks.values():
            desk.inputs[0]["halt_reason"] = reason
            self._decide(desk, now_ns, from_frame=False, publish=False)
        try:
            self._latch.close(reason, text, now_ns)
        except OSError as error:
            self.log.error("the halt cannot be kept in %s: %s", self._latch.path, error)

    def _decide(self, desk: Desk, now_ns: int, from_frame: bool, publish: bool) -> None:
        desk.now_words[0] = desk.decided_ns = now_ns
        self.matters()  # also where nothing is sent: gates and limits have seen this time
        try:
            changed = strategy_step(
                desk.state,
                desk.params,
                self._model.handle,
                self._model.params,
                desk.inputs,
                desk.pricing,
                desk.instrument,
                desk.model_inputs,
                desk.model_quotes,
                desk.out.block,
                desk.levels,
            )
        except Exception:  # of the model: whatever it is, nothing may stay quoted
            self.log.exception("no decision")
            self._halt(Reason.INTERNAL_ERROR, "the model failed, see mm_strategy's log", now_ns)
            return
        if changed or publish:
            self._publish(desk, now_ns, from_frame)
        if desk.state[0]["halt_reason"] and self._latch.reason is Reason.NONE:
            reason = Reason(int(desk.state[0]["halt_reason"]))
            self._halt(reason, _words(reason), now_ns)

    def _publish(self, desk: Desk, received_ns: int, from_frame: bool) -> None:
        desk.lay_out(received_ns, self._out.next_seq(), from_frame)
        desk.stamp(self.clock.now_ns())
        desk.published_ns = received_ns
        self._out.offer(desk.out)
        if from_frame:
            self._latency.note(desk.stamps_ns)
        self.counters["quotes"] += 1
        self._tell_state(desk)

    def _tell_state(self, desk: Desk) -> None:
        """Say on stream 11 and in the log how far quotes are allowed, and why no further."""
        block = desk.out.block[0]
        reason, why = _reason(block["reason"]), _reason(block["risk_reason"])
        if reason is not Reason.NONE:
            self.counters[f"not_quoting.{reason.name.lower()}"] += 1
        for side, name in enumerate(("bid_reason", "ask_reason")):
            number = int(block[name])
            if number and number != desk.side_reasons[side]:
                self.counters[f"side_not_quoting.{_reason(number).name.lower()}"] += 1
            desk.side_reasons[side] = number
        if block["risk_state"] == RiskState.HALTED:
            self.set_state(ServiceState.HALTED, why, f"halted: {_words(why)}")
        elif block["risk_state"] == RiskState.REDUCING:
            text = f"only what shrinks the position: {_words(why)}"
            self.set_state(ServiceState.REDUCING, why, text)
        elif reason is Reason.NONE:
            self.set_state(ServiceState.READY, Reason.NONE, "quoting")
        else:
            text = f"not quoting: {_words(reason)}"
            if reason is Reason.UPSTREAM_SILENT:
                text += f" ({', '.join(role.name.lower() for role in self._silent)})"
            self.set_state(ServiceState.DEGRADED, reason, text)

    def _tell_no_desk(self) -> None:
        if self._latch.reason is not Reason.NONE:
            text = f"halted: {_words(self._latch.reason)}"
            self.set_state(ServiceState.HALTED, self._latch.reason, text)
            return
        pricing_ok = Role.MM_PRICING not in self._silent
        reason = Reason.NO_MARKET_DATA if pricing_ok else Reason.UPSTREAM_SILENT
        self.set_state(ServiceState.DEGRADED, reason, "no prices yet")

    def _desk(self, instrument_id: int) -> Desk:
        desk = self._desks.get(instrument_id)
        if desk is None:
            desk = self._desks[instrument_id] = Desk(instrument_id)
            desk.inputs[0]["halt_reason"] = self._latch.reason
            desk.inputs[0]["upstream_ok"] = not self._silent
            desk.inputs[0]["simulator_lag_ns"] = self._simulator_lag_ns
        return desk


def _reason(number: int) -> Reason:
    """Return a reason as the kernels give it; a model may answer any number."""
    try:
        return Reason(int(number))
    except ValueError:
        return Reason.INTERNAL_ERROR


def _words(reason: Reason) -> str:
    return explain(reason).partition(": ")[2]


def warm_up(model: Model | None = None) -> None:
    """Load (or compile) the service's kernels as they are called, before the first message."""
    chosen = model or load_model("skewed", StrategySettings().model_parameters, Path())
    desk = Desk(0)
    strategy_on_position(desk.state, desk.params, desk.position)
    strategy_on_fill(desk.state, desk.params, desk.fill)
    strategy_arm(desk.state)
    strategy_step(
        desk.state,
        desk.params,
        chosen.handle,
        chosen.params,
        desk.inputs,
        desk.pricing,
        desk.instrument,
        desk.model_inputs,
        desk.model_quotes,
        desk.out.block,
        desk.levels,
    )


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> Strategy:
    """Return the service that strategy.toml describes; SIGUSR1 kills, SIGHUP reads it anew."""
    file = LastGood(config_dir, Path(settings.state_directory))
    service = Strategy(settings, file.read_or_recall(), clock, file)
    if threading.current_thread() is threading.main_thread():

        def note(number: int, _frame: object) -> None:
            if number == signal.SIGUSR1:
                service.kill_asked = True
            else:
                service.reload_asked = True

        signal.signal(signal.SIGUSR1, note)
        signal.signal(signal.SIGHUP, note)
    return service
