"""The synthetic market: its random numbers, its steps against the twin, its promises."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import reference_market as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant.kernels import market as kernels
from mmquant.market import MarketParameters, SyntheticMarket, seed_words
from mmquant.state import MARKET_PARAMETERS, MARKET_STATE

pytestmark = pytest.mark.kernels

SECOND = 1_000_000_000
LEVEL, TRADE = 1, 2
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
SPAN_S = 3 if INTERPRETED else 30


def fresh_state(seed):
    state = np.zeros(1, MARKET_STATE)
    state["random_0"], state["random_1"] = seed_words(seed)
    return state


def plain(record):
    return {name: record[0][name].item() for name in record.dtype.names}


def replayed(market, until_ns):
    """Run the market and rebuild its book, yielding after every event."""
    bids, asks = market.levels()
    book = reference.Book(bids.tolist(), asks.tolist(), market.update_id)
    for event in market.run(until_ns).tolist():
        yield book, event


@given(seed=st.integers(0, 2**64 - 1))
@settings(max_examples=30, deadline=None)
def test_random_numbers_equal_the_twin(seed):
    assert list(seed_words(seed)) == reference.splitmix64(seed, 2)
    state, twin = fresh_state(seed), reference.Generator(seed_words(seed))
    assert [int(kernels.random_bits(state)) for _ in range(20)] == [twin.bits() for _ in range(20)]
    assert [kernels.random_unit(state) for _ in range(20)] == [twin.unit() for _ in range(20)]
    for _ in range(10):
        assert kernels.random_normals(state) == pytest.approx(twin.normals(), rel=1e-14)


def test_normals_have_mean_zero_and_variance_one():
    state = fresh_state(3)
    values = np.array([kernels.random_normals(state) for _ in range(4000)]).ravel()
    assert abs(values.mean()) < 0.05
    assert abs(values.var() - 1) < 0.06


def test_latent_price_volatility_and_excitation_evolve_as_the_twin():
    market = SyntheticMarket(5)
    market.state["buy_excitation_per_s"] = 4.0
    market.state["sell_excitation_per_s"] = 1.5
    market.state["log_volatility"] = 0.3
    before, p = plain(market.state), plain(market._parameters)
    twin = reference.Generator((before["random_0"], before["random_1"]))
    expected = reference.evolve(p, before, 0.037, twin)
    kernels.evolve(market._parameters, market.state, 0.037)
    after = plain(market.state)
    for name, value in expected.items():
        assert after[name] == pytest.approx(value, rel=1e-13), name


def test_intensities_equal_the_twin_at_every_step():
    market = SyntheticMarket(11)
    p = plain(market._parameters)
    for _ in range(200):
        state = plain(market.state)
        for name, value in reference.rates(p, state).items():
            assert state[name] == pytest.approx(value, rel=1e-12, abs=1e-12), name
        market.run(state["next_ns"])


def test_market_order_fills_as_the_twin_does():
    for seed in range(20):
        market = SyntheticMarket(seed)
        market.run(SECOND // 2)
        aggressor = 1 if seed % 2 else -1
        p, before = plain(market._parameters), plain(market.state)
        best = before["best_ask_ticks"] if aggressor == 1 else before["best_bid_ticks"]
        twin = reference.Generator((before["random_0"], before["random_1"]))
        z, _ = twin.normals()
        want = max(1, int(p["market_lots"] * np.exp(p["market_log_sd"] * min(z, 4.0))))
        if aggressor * (before["latent_ticks"] - best) > 1:
            want *= 4
        bids, asks = market.levels()
        book = reference.Book(bids.tolist(), asks.tolist(), market.update_id)
        fills = reference.sweep(book, aggressor, want, p["max_sweep_ticks"], p["min_levels"])
        n = kernels.take(
            market._parameters,
            market.state,
            market.lots,
            market.orders,
            market._rows,
            np.int64(0),
            np.int64(aggressor),
        )
        rows = market._rows[:n]
        assert [(row[4], row[5]) for row in rows[rows[:, 0] == TRADE]] == fills
        assert market.best_ticks == book.best
        side = "buy" if aggressor == 1 else "sell"
        jump = market.state[0][f"{side}_excitation_per_s"] - before[f"{side}_excitation_per_s"]
        assert jump == pytest.approx(p["excitation_per_s"])


def test_book_rebuilt_from_the_events_is_the_market_s_book_and_never_crossed():
    market = SyntheticMarket(2)
    deepest = 0
    for book, (kind, _, update_id, side, price, lots) in replayed(market, SPAN_S * SECOND):
        if kind == TRADE:
            assert update_id == book.update_id
            assert price == book.best[1 if side == 1 else 0]
            assert lots <= book.sides[-side][price]
            continue
        assert update_id == book.update_id + 1
        book.update_id = update_id
        book.set_level(side, price, lots)
        bid, ask = book.best
        assert 0 < ask - bid <= market.parameters.max_spread_ticks
        assert min(len(levels) for levels in book.sides.values()) > 0
        deepest = max(deepest, bid - min(book.sides[1]), max(book.sides[-1]) - ask)
    bids, asks = market.levels()
    assert book.sides[1] == dict(bids.tolist())
    assert book.sides[-1] == dict(asks.tolist())
    assert book.update_id == market.update_id
    assert deepest <= market.parameters.depth_ticks + market.parameters.max_spread_ticks
    s = plain(market.state)
    assert (s["bid_levels"], s["ask_levels"]) == (len(bids), len(asks))
    assert s["bid_orders"] + s["ask_orders"] == market.orders.sum()
    assert ((market.orders > 0) == (market.lots > 0)).all()
    assert (market.lots >= market.orders).all()


def test_times_never_run_backwards():
    times = SyntheticMarket(4, start_ns=10 * SECOND).run(12 * SECOND)["time_ns"]
    assert times[0] > 10 * SECOND
    assert times[-1] <= 12 * SECOND
    assert (np.diff(times) >= 0).all()


@given(seed=st.integers(0, 2**64 - 1), cuts=st.lists(st.integers(0, 2 * SECOND), max_size=12))
@settings(max_examples=10 if INTERPRETED else 40, deadline=None)
def test_events_do_not_depend_on_how_time_is_cut(seed, cuts):
    whole = SyntheticMarket(seed).run(2 * SECOND)
    market = SyntheticMarket(seed)
    parts = [market.run(cut) for cut in [*sorted(cuts), 2 * SECOND]]
    assert np.array_equal(np.concatenate(parts), whole)


def test_run_is_step_folded():
    stepped, run = SyntheticMarket(9), SyntheticMarket(9)
    n = 0
    while stepped.state[0]["next_ns"] <= SECOND:
        n = kernels.market_step(
            stepped._parameters,
            stepped.state,
            stepped.lots,
            stepped.orders,
            stepped._rows,
            np.int64(n),
        )
    events = run.run(SECOND)
    assert np.array_equal(events, stepped._rows[:n].view(events.dtype)[:, 0])
    assert stepped.state.tobytes() == run.state.tobytes()


def test_another_seed_is_another_market():
    assert not np.array_equal(SyntheticMarket(1).run(SECOND), SyntheticMarket(2).run(SECOND))


def test_same_numbers_compiled_and_interpreted():
    code = (
        "import hashlib; from mmquant.market import SyntheticMarket;"
        "print(hashlib.sha256(SyntheticMarket(7).run(2 * 10**9).tobytes()).hexdigest())"
    )
    other = {**os.environ, "NUMBA_DISABLE_JIT": "0" if INTERPRETED else "1"}
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], env=other, cwd=root, capture_output=True, text=True
    )
    here = hashlib.sha256(SyntheticMarket(7).run(2 * SECOND).tobytes()).hexdigest()
    assert (done.stdout.strip(), done.stderr) == (here, "")


@pytest.mark.skipif(INTERPRETED, reason="minutes of market are for the compiled kernels")
def test_a_few_minutes_look_like_a_market():
    market = SyntheticMarket(1)
    spreads, levels, mids, changes, trades = [], [], [], 0, 0
    for second in range(300):
        events = market.run((second + 1) * SECOND)
        changes += int((events["kind"] == LEVEL).sum())
        trades += int((events["kind"] == TRADE).sum())
        bid, ask = market.best_ticks
        spreads.append(ask - bid)
        mids.append((ask + bid) / 2)
        levels.extend(len(side) for side in market.levels())
    assert 200 <= changes / 300 <= 600
    assert 2 <= trades / 300 <= 10
    assert np.mean(np.array(spreads) <= 5) > 0.9
    assert 30 <= np.mean(levels) <= 60
    assert 8 <= np.std(np.diff(mids)) <= 40


def test_a_wild_market_keeps_its_promises():
    wild = MarketParameters(
        volatility_ticks_per_sqrt_s=400.0,
        market_rate_per_s=50.0,
        market_lots=5000.0,
        fade_rate_per_tick_s=300.0,
        depth_ticks=30,
        max_spread_ticks=10,
        min_levels=2,
    )
    market = SyntheticMarket(3, wild)
    for book, (kind, _, _, side, price, lots) in replayed(
        market, SECOND // (6 if numba.config.DISABLE_JIT else 1)
    ):
        if kind == LEVEL:
            book.set_level(side, price, lots)
            bid, ask = book.best
            assert 0 < ask - bid <= 10


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("depth_ticks", 20.0, TypeError),
        ("depth_ticks", 5, ValueError),
        ("near_share", 1.5, ValueError),
        ("limit_rate_per_s", 0.0, ValueError),
        ("volatility_ticks_per_sqrt_s", float("nan"), ValueError),
        ("order_lots", "many", TypeError),
        ("excitation_per_s", 6.0, ValueError),
        ("max_spread_ticks", 200, ValueError),
    ],
)
def test_parameters_out_of_range_are_named(name, value, error):
    with pytest.raises(error, match=name):
        MarketParameters(**{name: value})


@pytest.mark.parametrize(
    "arguments", [{"seed": -1}, {"seed": 1, "price_ticks": 10}, {"seed": 1, "start_ns": -5}]
)
def test_facade_refuses_what_it_cannot_play(arguments):
    with pytest.raises(ValueError, match="must be from"):
        SyntheticMarket(**arguments)
    with pytest.raises(TypeError, match="seed"):
        SyntheticMarket(1.5)


def test_parameter_record_holds_every_parameter():
    record = MarketParameters().record()
    assert record.dtype == MARKET_PARAMETERS
    assert plain(record) == {
        name: getattr(MarketParameters(), name) for name in MARKET_PARAMETERS.names
    }


@pytest.mark.skipif(INTERPRETED, reason="plain Python has no signatures")
def test_one_signature_a_kernel():
    SyntheticMarket(1).run(SECOND)
    for name, kernel in vars(kernels).items():
        if hasattr(kernel, "signatures"):
            assert len(kernel.signatures) <= 1, name
