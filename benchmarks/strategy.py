"""What a decision of the strategy costs: compiled, and inside mm_strategy's handling of a message.

    python -m benchmarks.strategy

The decision is whole: every gate, the skewed maker, a ladder of five levels a side, the venue's
filters, tokens. In a compiled loop the fair value moves by 0.7 ticks a step, so that most steps
move the quotes. Inside the service the time is from the pricing message's receipt to the stamp of
the quotes message, as `received_ns` and `sent_ns` of stream 15 have it; the publisher is a stub.
Rounds of both take turns; the shortest of the loop and the median of the service are given.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from mm_runtime.clock import SystemClock
from mm_runtime.settings import RuntimeSettings, StrategySettings
from mm_strategy.reload import LastGood
from mm_strategy.service import Strategy
from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import BookState, Market, PricingFlag, Role, Stream, Template
from mmquant.kernels.quoting import strategy_step
from mmquant.records import PRICING
from mmquant.wire import Inbox, MessageBuffer

ROOT = Path(__file__).parents[1]
STEPS = 1_000  # a round is shorter than a time slice
ROUNDS = 200
MESSAGES = 50
DECISION_GOAL_NS = 1_000
MESSAGE_GOAL_US = 15


class Stub:
    """Stands where the publishers are."""

    blocked = False

    def __init__(self) -> None:
        self.seq = 0

    def next_seq(self) -> int:
        """Count."""
        self.seq += 1
        return self.seq

    def offer(self, message: MessageBuffer) -> bool:
        """Take a message."""
        return len(message.payload()) > 0


@njit
def run_steps(
    state: NDArray[Any],
    params: NDArray[Any],
    model: Any,
    model_params: NDArray[Any],
    inputs: NDArray[Any],
    pricing: NDArray[Any],
    instrument: NDArray[Any],
    model_inputs: NDArray[Any],
    model_quotes: NDArray[Any],
    out: NDArray[Any],
    levels: NDArray[Any],
    steps: int,
) -> int:
    """Step and move the fair value to and fro; return how often the quotes changed."""
    changed = 0
    fair = pricing[0]["fair_value_ticks"]
    for k in range(steps):
        pricing[0]["fair_value_ticks"] = fair + 0.7 * (k % 64)
        pricing[0]["now_ns"] += 1_000_000_000
        changed += strategy_step(
            state,
            params,
            model,
            model_params,
            inputs,
            pricing,
            instrument,
            model_inputs,
            model_quotes,
            out,
            levels,
        )
    pricing[0]["fair_value_ticks"] = fair
    return changed


def make_service(folder: Path) -> Strategy:
    """Return the service with one instrument, everything known, without a media driver."""
    config = StrategySettings(levels=5, requote_ticks=1)
    settings = RuntimeSettings(state_directory=str(folder))
    service = Strategy(settings, config, SystemClock(), LastGood(ROOT / "config", folder))
    stub: Any = Stub()
    service._out = stub
    service._publishers = {Stream.STATE: stub}
    service._silent = ()
    instrument = service.inbox.block(Template.INSTRUMENT)
    instrument[0] = np.zeros(1, instrument.dtype)[0]
    row = instrument[0]
    row["instrument_id"], row["market"], row["symbol"] = 1, Market.USDM, b"BTCUSDT"
    row["tick_size_e8"], row["lot_size_e8"], row["min_notional_e8"] = 10**7, 10**5, 50 * 10**8
    row["buy_up_e8"], row["sell_down_e8"], row["max_orders"] = 105_000_000, 95_000_000, 200
    service._on_instrument()
    desk = service._desk(1)
    desk.inputs[0]["position_known"] = desk.inputs[0]["upstream_ok"] = 1
    return service


def good_pricing() -> NDArray[Any]:
    """Return a pricing record that every gate lets pass."""
    pricing = np.zeros(1, PRICING)
    p = pricing[0]
    p["instrument_id"], p["book_state"] = 1, BookState.LIVE
    p["flags"] = PricingFlag.LIVE | PricingFlag.WARM
    p["bid_ticks"], p["ask_ticks"], p["fair_value_ticks"] = 640_000, 640_100, 640_020.0
    p["volatility_ticks_per_sqrt_s"], p["now_ns"] = 10.0, time.time_ns()
    return pricing


def time_steps(service: Strategy) -> tuple[float, float]:
    """Return (ns a step, share of the steps that changed the quotes) of one compiled run."""
    desk = service._desk(1)
    desk.state[:] = 0
    desk.pricing[:] = good_pricing()
    desk.inputs[0]["now_ns"] = desk.inputs[0]["heard_ns"] = time.time_ns()
    arguments = (
        desk.state,
        desk.params,
        service._model.handle,
        service._model.params,
        desk.inputs,
        desk.pricing,
        desk.instrument,
        desk.model_inputs,
        desk.model_quotes,
        desk.out.block,
        desk.levels,
    )
    started = time.perf_counter_ns()
    changed = run_steps(*arguments, STEPS)
    return (time.perf_counter_ns() - started) / STEPS, changed / STEPS


def time_messages(service: Strategy) -> list[float]:
    """Return the microseconds from receipt to stamp of many pricing messages."""
    desk = service._desk(1)
    block = service.inbox.block(Template.PRICING)
    block[0] = good_pricing()[0]
    desk.state[:] = 0
    took = []
    for k in range(MESSAGES):
        row = block[0]
        row["fair_value_ticks"] = 640_020 + k % 64
        row["seq"], row["book_update_id"] = k, k
        row["frame_ns"] = row["received_ns"] = row["sent_ns"] = time.time_ns()
        row["collector_sent_ns"] = row["now_ns"] = row["sent_ns"]
        for kind in ("order", "cancel"):  # there is always a token
            desk.state[0][f"{kind}_tokens_ns"] = desk.params[0][f"{kind}_burst_ns"]
        sent = service.counters["quotes"]
        service._on_pricing()
        if service.counters["quotes"] > sent:
            quotes = desk.out.block[0]
            took.append((int(quotes["sent_ns"]) - int(quotes["received_ns"])) / 1e3)
    return took


def main() -> None:
    """Print both times and whether they reach their goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/mmquant-benchmark"))
    service = make_service(parser.parse_args().folder)
    assert service.role is Role.MM_STRATEGY
    assert isinstance(service.inbox, Inbox)
    time_steps(service)
    time_messages(service)
    steps, messages, share = [], [], 0.0
    for _ in range(ROUNDS):
        took_ns, share = time_steps(service)
        steps.append(took_ns)
        messages += time_messages(service)
    decision_ns, median_us = min(steps), float(np.median(messages))
    print(
        f"one decision, five levels a side, compiled: {decision_ns:.0f} ns "
        f"(goal {DECISION_GOAL_NS}); {share:.0%} of the steps changed the quotes"
    )
    print(
        f"pricing message to quotes message: {median_us:.1f} us median of {len(messages)}, "
        f"{np.percentile(messages, 99):.1f} us p99 (goal {MESSAGE_GOAL_US})"
    )


if __name__ == "__main__":
    main()
