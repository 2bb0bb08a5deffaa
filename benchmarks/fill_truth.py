"""Each fill model against the true fills of an exchange in whose queues our orders really rest.

    python -m benchmarks.fill_truth [--orders 2000] [--seconds 5] [--lots 1] [--markets 4]
        [--late-ms 0]

At random times an order is placed at the touch, on a random side, in the exchange
(mmquant.market.Exchange) and in a simulator of each model, which sees only what a trader would:
levels without our lots, and trades. After `--seconds` what is left is cancelled. Every order is
compared with itself, so the error of a difference is that of the mean of paired differences.
The first 100 orders of each market let the models that learn do so, and are not counted.
With `--late-ms` the simulators see each trade that much later than the level it changed, some of
them after the order was cancelled (not `fifo_l3`, whose feed tells no times).
Prints a Markdown table for each of two markets: one with a large tick, where the place in the
queue decides, and the default one, where the price mostly moves through. Without latency: what
is judged is the model of the queue.
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmquant.codes import Market, MarketEventKind, OrderEventKind, Reason, Side, Template
from mmquant.market import Exchange, MarketParameters
from mmquant.records import INSTRUMENT
from mmquant.simulator import Simulator
from mmquant.simulator_settings import simulator_params

S = 10**9
WARM_UP_NS = 5 * S
WARM_UP_ORDERS = 100  # a market: a model may learn from them, they are not counted
MODELS: dict[str, dict[str, Any]] = {
    "cross, factor 0.5": {"fill_model": "cross"},
    "risk_averse (pessimistic)": {"fill_model": "risk_averse"},
    "prob_power, n = 3": {"fill_model": "prob_power", "queue_power": 3.0},
    "prob_power, n = 2": {"fill_model": "prob_power", "queue_power": 2.0},
    "prob_power, n = 1": {"fill_model": "prob_power", "queue_power": 1.0},
    "prob_draw (central)": {"fill_model": "prob_draw"},
    "prob_log": {"fill_model": "prob_log"},
    "cancel_ahead (optimistic)": {"fill_model": "cancel_ahead"},
    "fifo_l3": {"fill_model": "fifo_l3"},
}
LARGE_TICK = MarketParameters(
    volatility_ticks_per_sqrt_s=0.5,
    log_volatility_sd=0.0,
    near_share=0.8,
    near_ticks=1.5,
    far_ticks=8.0,
    limit_rate_per_s=20.0,
    cancel_rate_per_s=0.25,
    market_rate_per_s=2.0,
    fade_rate_per_tick_s=1.0,
    chase_rate_per_tick_s=3.0,
    depth_ticks=100,
    min_levels=4,
)
MARKETS = {"large tick": LARGE_TICK, "small tick (the defaults)": MarketParameters()}
KINDS = {
    int(MarketEventKind.ORDER_ADDED): OrderEventKind.ADD,
    int(MarketEventKind.ORDER_CANCELLED): OrderEventKind.CANCEL,
    int(MarketEventKind.TRADE): OrderEventKind.TRADE,
}
LEVEL, TRADE = int(MarketEventKind.LEVEL), int(MarketEventKind.TRADE)
CANCELLED = int(MarketEventKind.ORDER_CANCELLED)


@dataclass
class Fills:
    """What became of each order, by one judge: lots filled, seconds to the first of them."""

    lots: list[int] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)


def simulator_of(options: dict[str, Any], seed: int) -> Simulator:
    """Return a simulator without latency or fees."""
    instrument = np.zeros(1, INSTRUMENT)
    instrument[0]["instrument_id"], instrument[0]["market"] = 1, Market.USDM
    instrument[0]["tick_size_e8"] = instrument[0]["lot_size_e8"] = 10**5
    params = simulator_params(
        entry_latency_ns=0,
        cancel_latency_ns=0,
        fill_probability_factor=0.5,
        maker_fee_ppm=0,
        taker_fee_ppm=0,
        markout_horizon_ns=S,
        **options,
    )
    return Simulator(params, instrument, seed)


def without_ours(events: np.ndarray, own_side: int, own_price: int) -> list[tuple[int, ...]]:
    """Return the exchange's rows as a market without our order shows them.

    Levels that cannot matter to the order are left out: those that are neither at its price nor
    on the other side at or beyond it.
    """
    rows, left, ours = [], 0, (own_side, own_price)
    for kind, at, update_id, side, price, lots, order_id, own in events.tolist():
        if own and kind == TRADE:
            left -= lots
        elif own and kind == CANCELLED:
            left = 0
        elif own:
            left = lots
        if kind == LEVEL and (side, price) == ours:
            lots -= left
        elif kind == LEVEL and (side == own_side or side * (price - own_price) < 0):
            continue
        rows.append((kind, at, update_id, side, price, lots, order_id, own))
    return rows


def seen(
    rows: list[tuple[int, ...]], end_ns: int, late_ns: int
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the rows in the order they are seen, each behind that time; up to `end_ns`, and later.

    Trades are seen `late_ns` after they were matched.
    """
    told = [(row[1] + late_ns * (row[0] == TRADE), *row) for row in rows]
    told.sort(key=lambda row: row[0])
    return [row for row in told if row[0] <= end_ns], [row for row in told if row[0] > end_ns]


def feed(
    simulator: Simulator, is_l3: bool, rows: list[tuple[int, ...]], wanted: int
) -> tuple[int, int]:
    """Let a simulator see the market until it has filled all; return lots and time of the first."""
    filled, first_ns = 0, 0
    for now, kind, at, update_id, side, price, lots, order_id, own in rows:
        if kind == LEVEL:
            level = [(price, lots)]
            bids, asks = (level, []) if side == Side.BUY else ([], level)
            events = simulator.depth(bids, asks, at)
        elif is_l3 and (kind == TRADE or not own):
            resting = -side if kind == TRADE else side
            # A fill of ours was of the order behind us, in a market without us.
            events = simulator.order_event(KINDS[kind], resting, price, lots, order_id, at)
        elif kind == TRADE:
            events = simulator.trade(price, lots, side, update_id, now, at)
        else:
            continue
        if events.size == 0:
            continue
        fills = events[events["template_id"] == Template.FILL]
        if fills.size:
            first_ns = first_ns or at
            filled += int(fills["qty_lots"].sum())
            if filled == wanted:
                break
    return filled, first_ns


def one_market(
    seed: int,
    orders: int,
    window_ns: int,
    lots: int,
    models: dict[str, dict[str, Any]],
    make: Callable[[dict[str, Any], int], Simulator],
    parameters: MarketParameters | None,
    found: dict[str, Fills],
    late_ns: int,
) -> None:
    """Place orders in one market and add what became of them."""
    chance = random.Random(seed)
    exchange = Exchange(seed, parameters)
    simulators = {name: make(options, seed) for name, options in models.items()}
    now = WARM_UP_NS
    for k in range(-WARM_UP_ORDERS, orders):
        now += int(chance.expovariate(1.0) * S)
        exchange.run(now)
        side = chance.choice((Side.BUY, Side.SELL))
        bids, asks = (levels.tolist() for levels in exchange.levels())
        price = (bids if side == Side.BUY else asks)[0][0]
        newest = int(exchange.queues[0]["next_order_id"]) - 1
        placed = {}
        for name, simulator in simulators.items():
            simulator.depth(bids, asks, now, snapshot=True)
            if models[name]["fill_model"] == "fifo_l3":
                simulator.order_event(OrderEventKind.ADD, side, price, 1, newest, now)
            placed[name] = simulator.order(side, price, lots, now)
        order_id = exchange.place(side, price, lots)
        rows = without_ours(exchange.run(now + window_ns), side, price)
        exchange.cancel(order_id)
        true = exchange.fills()
        true = true[true["order_id"] == order_id]
        counted = found if k >= 0 else {name: Fills() for name in found}
        add(counted["truth"], int(true["qty_lots"].sum()), int(true["time_ns"][:1].sum()), now)
        for name, simulator in simulators.items():
            is_l3 = models[name]["fill_model"] == "fifo_l3"
            early, late = seen(rows, now + window_ns, 0 if is_l3 else late_ns)
            filled, first_ns = feed(simulator, is_l3, early, lots)
            simulator.cancel_all(now + window_ns, Reason.STOPPING)
            more, late_first_ns = feed(simulator, is_l3, late, lots - filled)
            add(counted[name], filled + more, first_ns or late_first_ns, now)
        now += window_ns + late_ns
        exchange.run(now)


def add(fills: Fills, lots: int, first_ns: int, placed_ns: int) -> None:
    """Note what became of one order."""
    fills.lots.append(lots)
    fills.waited_s.append((first_ns - placed_ns) / S if lots else np.nan)


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))


def table(found: dict[str, Fills], lots: int) -> str:
    """Return the Markdown table: fill rates, and their bias against the truth."""
    truth = np.array(found["truth"].lots) / lots
    lines = [
        "| model | filled, % | bias, points | filled there but not here / here but not there, % "
        "| median wait, s |",
        "|---|---|---|---|---|",
    ]
    for name, fills in found.items():
        rate = np.array(fills.lots) / lots
        mean, error = mean_and_error(100.0 * rate)
        bias, bias_error = mean_and_error(100.0 * (rate - truth))
        missed = 100.0 * float(((truth > 0) & (rate == 0)).mean())
        invented = 100.0 * float(((truth == 0) & (rate > 0)).mean())
        wait = float(np.nanmedian(fills.waited_s)) if np.any(rate > 0) else float("nan")
        if name == "truth":
            lines.append(f"| **truth** | {mean:.1f} ± {error:.1f} | | | {wait:.2f} |")
        else:
            lines.append(
                f"| {name} | {mean:.1f} ± {error:.1f} | {bias:+.2f} ± {bias_error:.2f} "
                f"| {missed:.1f} / {invented:.1f} | {wait:.2f} |"
            )
    return "\n".join(lines)


def compare(
    orders: int,
    seconds: float,
    lots: int,
    markets: int,
    models: dict[str, dict[str, Any]] | None = None,
    make: Callable[[dict[str, Any], int], Simulator] = simulator_of,
    parameters: MarketParameters | None = None,
    late_ns: int = 0,
) -> dict[str, Fills]:
    """Return what became of every order, in truth and by each model."""
    chosen = MODELS if models is None else models
    found = {name: Fills() for name in ("truth", *chosen)}
    for seed in range(1, markets + 1):
        share = orders // markets
        one_market(seed, share, round(seconds * S), lots, chosen, make, parameters, found, late_ns)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--lots", type=int, default=1)
    parser.add_argument("--markets", type=int, default=4, help="seeds 1, 2, ...")
    parser.add_argument("--late-ms", type=float, default=0.0, help="trades behind levels")
    a = parser.parse_args()
    print(
        f"{a.orders} orders of {a.lots} lots, {a.seconds:g} s each, seeds 1 to {a.markets}, "
        f"trades {a.late_ms:g} ms late"
    )
    late_ns = round(a.late_ms * S / 1000)
    for name, parameters in MARKETS.items():
        found = compare(
            a.orders, a.seconds, a.lots, a.markets, parameters=parameters, late_ns=late_ns
        )
        print(f"\n{name}:\n\n{table(found, a.lots)}", flush=True)


if __name__ == "__main__":
    main()
