"""Each risk gate: what trips it at the next step, what it says, and what releases it."""

import math
from fractions import Fraction

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from reference_strategy import ReferenceStrategy
from strategy_bench import Bench, far_model

from mmquant.codes import BookState, PricingFlag, Reason, RiskState
from mmquant.kernels.watch import strategy_arm
from mmquant.state import STRATEGY_PARAMS

pytestmark = pytest.mark.kernels

S = 10**9
FLAGS = int(PricingFlag.LIVE | PricingFlag.WARM)


def verdict(bench, inputs=None, **pricing):
    """Return (reason, risk state, reason of the risk state, whether anything is quoted)."""
    got = bench.step(inputs, **pricing)
    assert not (got[1] and (got[8] or got[9]))
    return got[1], got[6], got[7], bool(got[8] or got[9])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"book_state": BookState.GAP}, Reason.BOOK_NOT_LIVE),
        ({"book_state": BookState.STALE}, Reason.BOOK_NOT_LIVE),
        ({"flags": int(PricingFlag.WARM)}, Reason.BOOK_NOT_LIVE),
        ({"flags": int(PricingFlag.LIVE)}, Reason.NOT_WARM),
        ({"flags": int(PricingFlag.WARM | PricingFlag.NO_FAIR_VALUE)}, Reason.NO_FAIR_VALUE),
        ({"flags": int(PricingFlag.WARM | PricingFlag.ONE_SIDED), "bid_ticks": 0}, 3),
        ({"flags": int(PricingFlag.WARM | PricingFlag.CROSSED), "bid_ticks": 1002}, 6),
        ({"bid_ticks": 0}, Reason.NO_MARKET_DATA),
        ({"ask_ticks": 0}, Reason.NO_MARKET_DATA),
        ({"bid_ticks": 1001}, Reason.BOOK_CROSSED),
        ({"fair_value_ticks": math.nan}, Reason.NOT_FINITE),
        ({"drift_ticks_per_s": math.inf}, Reason.NOT_FINITE),
        ({"volatility_ticks_per_sqrt_s": math.inf}, Reason.NOT_FINITE),
        ({"volatility_ticks_per_sqrt_s": -1.0}, Reason.NOT_FINITE),
        ({"ask_ticks": 1020}, Reason.SPREAD_TOO_WIDE),
        ({"bid_ticks": 1000}, Reason.SPREAD_TOO_NARROW),
        ({"instrument_id": 8}, Reason.NO_INSTRUMENT),
    ],
)
def test_a_fault_of_the_pricing_pulls_the_quotes_until_it_is_gone(fault, reason):
    bench = Bench(min_spread_ticks=2)
    good = {name: bench.pricing[0][name].item() for name in fault}
    assert verdict(bench) == (0, 0, 0, True)
    assert verdict(bench, **fault) == (reason, 0, 0, False)
    assert verdict(bench, **good) == (0, 0, 0, True)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"position_known": 0}, Reason.NO_POSITION),
        ({"upstream_ok": 0}, Reason.UPSTREAM_SILENT),
        ({"simulator_lag_ns": 2}, Reason.SIMULATOR_LAGS),
        ({"open_orders": 9}, Reason.OPEN_ORDERS),
        ({"open_tick_lots": 10**6 + 1}, Reason.OPEN_NOTIONAL),
    ],
)
def test_a_missing_or_excessive_input_pulls_the_quotes_until_it_is_mended(fault, reason):
    bench = Bench(max_open_orders=8, max_open_tick_lots=10**6, max_simulator_lag_ns=1)
    assert verdict(bench, fault) == (reason, 0, 0, False)
    assert verdict(bench, dict.fromkeys(fault, 1)) == (0, 0, 0, True)


def test_an_instrument_that_is_not_known_is_not_quoted():
    bench = Bench()
    bench.instrument[0]["tick_size_e8"] = 0
    assert verdict(bench)[0] == Reason.NO_INSTRUMENT


def test_a_book_that_stands_still_is_too_old_however_often_it_is_repeated():
    bench = Bench(max_book_age_ns=S)
    assert verdict(bench, book_update_id=5)[0] == Reason.NONE
    bench.pass_time(S)
    assert verdict(bench, book_update_id=5)[0] == Reason.NONE
    bench.pass_time(1)
    assert verdict(bench, book_update_id=5) == (Reason.BOOK_STALE, 0, 0, False)
    assert verdict(bench, book_update_id=6)[0] == Reason.NONE
    bench.pass_time(2 * S)
    assert verdict(bench, bbo_update_id=7)[0] == Reason.NONE


def test_a_message_from_the_future_and_a_late_one_are_refused():
    bench = Bench(max_skew_ns=100, max_lag_ns=1_000)
    now = bench.now_ns
    assert verdict(bench, sent_ns=now + 100)[0] == Reason.NONE
    assert verdict(bench, sent_ns=now + 101)[0] == Reason.CLOCK_SKEW
    assert verdict(bench, sent_ns=now - 1_000)[0] == Reason.NONE
    assert verdict(bench, sent_ns=now - 1_001)[0] == Reason.UPSTREAM_LAGS


def test_market_data_that_reached_the_pricing_late_is_refused():
    bench = Bench(max_skew_ns=100, max_lag_ns=1_000)
    now = bench.now_ns
    way = {"frame_ns": now, "received_ns": now, "sent_ns": now}
    assert verdict(bench, **way, collector_sent_ns=now + 100)[0] == Reason.NONE
    assert verdict(bench, **way, collector_sent_ns=now + 101)[0] == Reason.CLOCK_SKEW
    assert verdict(bench, **way, collector_sent_ns=now - 1_000)[0] == Reason.NONE
    assert verdict(bench, **way, collector_sent_ns=now - 1_001)[0] == Reason.UPSTREAM_LAGS
    assert verdict(bench, **way | {"frame_ns": 0})[0] == Reason.NONE  # a repetition


def test_a_price_outside_the_collar_of_mid_or_last_trade_is_not_quoted():
    bench = Bench(collar_ppm=5_000)  # half a percent: 5 ticks
    assert bench.step(fair_value_ticks=996.5)[1:4] == (0, 0, 0)
    assert bench.step(fair_value_ticks=992.5)[2:4] == (Reason.PRICE_COLLAR, 0)
    assert bench.step({"trade_ticks": 1007}, fair_value_ticks=1000.0)[1] == Reason.PRICE_COLLAR
    assert bench.step({"trade_ticks": 1000})[1] == 0


def test_an_own_spread_out_of_its_bounds_is_not_quoted_until_it_is_within():
    bench = Bench(min_own_spread_ticks=4, max_own_spread_ticks=8, order_ns=S, order_burst_ns=6 * S)
    for volatility, reason in (
        (2.0, Reason.NONE),
        (1.9, Reason.NONE),  # rounded outwards
        (1.0, Reason.OWN_SPREAD_TOO_NARROW),
        (1.0, Reason.OWN_SPREAD_TOO_NARROW),  # what is withheld takes no token
        (4.0, Reason.NONE),
        (4.1, Reason.OWN_SPREAD_TOO_WIDE),
        (4.0, Reason.NONE),
    ):
        got = verdict(bench, volatility_ticks_per_sqrt_s=volatility)
        assert got == (reason, 0, 0, reason == Reason.NONE)
    assert [side[0][0] for side in bench.orders()] == [996, 1004]


def test_orders_that_stay_for_want_of_tokens_keep_to_the_bounds_of_the_spread():
    bench = Bench(
        levels=2,
        max_own_spread_ticks=6,
        order_ns=S,
        order_burst_ns=4 * S,
        model_function=far_model,
        model=[997.0, 1003.0],
    )
    assert bench.orders() == ([(997, 10), (996, 10)], [(1003, 10), (1004, 10)])
    bench.model_params[:] = 996.0, 1002.0  # 997 must go, and no token is left for 1002
    assert verdict(bench) == (Reason.OWN_SPREAD_TOO_WIDE, 0, 0, False)


def test_a_price_that_is_held_does_not_leave_the_bounds_of_the_spread():
    limits = {"min_own_spread_ticks": 6, "max_own_spread_ticks": 8, "requote_ticks": 4}
    bench = Bench(**limits, model_function=far_model, model=[997.0, 1005.0])
    for model, quoted in (
        ((997.0, 1005.0), (997, 1005)),
        ((995.0, 1003.0), (997, 1005)),
        ((995.0, 1001.0), (995, 1001)),  # 997 and 1001 would be too close
        ((998.0, 1005.0), (998, 1005)),  # 995 and 1005 too far apart
    ):
        bench.model_params[:] = model
        assert tuple(side[0][0] for side in bench.orders()) == quoted


def test_one_side_alone_has_no_spread():
    bench = Bench(max_own_spread_ticks=4, model_function=far_model, model=[-math.inf, 1003.0])
    assert bench.step()[1:4] == (0, Reason.INVENTORY_LIMIT, 0)


def test_the_number_of_orders_and_their_worth_are_shared_by_the_sides():
    bench = Bench(levels=5, max_open_orders=6)
    assert [len(side) for side in bench.orders()] == [3, 3]
    assert [len(side) for side in Bench(levels=5, max_open_tick_lots=45_000).orders()] == [2, 2]
    bench.instrument[0]["max_orders"] = 4
    assert [len(side) for side in bench.orders()] == [2, 2]
    poor = Bench(max_open_tick_lots=10_000)
    assert verdict(poor)[0] == Reason.OPEN_NOTIONAL


def test_a_kill_halts_before_anything_else_is_looked_at():
    bench = Bench()
    killed = {"halt_reason": int(Reason.KILLED)}
    for fault in ({}, {"flags": 0}):
        assert verdict(bench, killed, **fault) == (
            Reason.KILLED,
            RiskState.HALTED,
            Reason.KILLED,
            False,
        )
    assert verdict(bench, {"halt_reason": 0}, flags=FLAGS) == (0, 0, 0, True)


@pytest.mark.parametrize(
    ("limits", "profits", "reason"),
    [
        ({"max_session_loss_half_tick_lots": 100}, [1_000, 1_500, 899], Reason.SESSION_LOSS),
        ({"max_drawdown_half_tick_lots": 100}, [1_000, 1_500, 1_399], Reason.DRAWDOWN),
    ],
)
def test_a_loss_of_the_session_halts_until_it_is_armed(limits, profits, reason):
    bench = Bench(**limits)
    *before, last = profits
    for profit in [*before, last + 1]:
        bench.position(profit, 0, bench.now_ns)
        assert verdict(bench) == (0, 0, 0, True)
    bench.position(last, 0, bench.now_ns)
    assert verdict(bench) == (reason, RiskState.HALTED, reason, False)
    bench.position(10_000, 0, bench.now_ns)  # a profit does not release it
    bench.pass_time(3_600 * S)
    assert verdict(bench)[1] == RiskState.HALTED
    strategy_arm(bench.state)
    bench.position(last, 0, bench.now_ns)
    assert verdict(bench) == (0, 0, 0, True)


def test_fees_count_as_loss_rounded_against_us():
    bench = Bench(max_session_loss_half_tick_lots=10)
    bench.position(0, 0, bench.now_ns)
    bench.position(0, 5_000_000, bench.now_ns)
    assert verdict(bench)[0] == Reason.NONE
    bench.position(0, 5_000_001, bench.now_ns)
    assert verdict(bench)[0] == Reason.SESSION_LOSS


@given(
    st.integers(-(10**9), 10**9),
    st.integers(-(10**12), 10**12),
    st.integers(-(10**12), 10**12),
    st.integers(-(10**9), 10**9),
    st.integers(-(10**12), 10**12),
    st.sampled_from([12_345, 2**52 + 12_345]),
    st.sampled_from([0.0, 1.0, 0.75]),
)
def test_funding_and_fees_in_coins_count_as_what_they_are_worth(
    total, fees, funding, coins, coins_then, mark, worth
):
    bench = Bench()
    coins = coins if mark < 2**40 else coins // 10**3
    told = {"funding_micro_tick_lots": funding, "base_fees_micro_lots": coins}
    told |= {"base_fees_micro_tick_lots": coins_then, "mark_half_ticks": mark}
    bench.position(total, fees, bench.now_ns, quote_worth=worth, **told)
    exact = total + Fraction(2 * (funding - fees + coins_then) - coins * mark, 10**6)
    profit = int(bench.state[0]["profit"])
    assert profit == math.floor(math.floor(exact) * (worth or 1.0))  # as floats multiply


def test_a_loss_within_a_minute_pauses_while_it_is_within_the_minute():
    bench = Bench(max_minute_loss_half_tick_lots=100, pause_ns=S)
    bench.position(0, 0, bench.now_ns)
    bench.pass_time(59 * S)
    bench.position(-100, 0, bench.now_ns)
    assert verdict(bench) == (0, 0, 0, True)
    bench.position(-101, 0, bench.now_ns)
    flat = (Reason.MINUTE_LOSS, RiskState.REDUCING, Reason.MINUTE_LOSS, False)
    assert verdict(bench) == flat
    assert bench.step({"position_lots": 7})[8:] == ([], [(1001, 7)])  # no more than closes it
    assert bench.step({"position_lots": -7})[2:4] == (0, Reason.REDUCE_ONLY)
    for _ in range(60):  # nothing more is lost; the second before the loss leaves the minute
        assert verdict(bench)[1] == RiskState.REDUCING
        bench.pass_time(S)
        bench.position(-101, 0, bench.now_ns)
    assert verdict(bench) == (0, 0, 0, True)


def test_a_burst_of_fills_pauses():
    bench = Bench(max_fills=3, fill_window_ns=S, pause_ns=2 * S)
    for wait in (0, S, S):
        bench.pass_time(wait)
        bench.fill(1, 1, 2000, bench.now_ns)
    assert verdict(bench) == (0, 0, 0, True)
    bench.fill(1, 1, 2000, bench.now_ns)
    assert verdict(bench, {"position_lots": 4})[1:3] == (RiskState.REDUCING, Reason.FILL_BURST)
    bench.pass_time(2 * S - 1)
    assert verdict(bench, {"position_lots": 4})[1] == RiskState.REDUCING
    bench.pass_time(1)
    assert verdict(bench, {"position_lots": 4}) == (0, 0, 0, True)


def test_fills_after_which_the_price_moves_against_us_pause():
    bench = Bench(markout_fills=2, markout_ns=S, max_adverse_half_ticks=4, pause_ns=S)
    bench.fill(1, 1, 2004, bench.now_ns)  # bought at a mid of 1002: it is 1000 a second later
    bench.fill(-1, 3, 1994, bench.now_ns)
    assert verdict(bench) == (0, 0, 0, True)
    bench.pass_time(S)
    assert verdict(bench)[1:3] == (RiskState.REDUCING, Reason.ADVERSE_MARKOUT)
    bench.pass_time(S)
    assert verdict(bench) == (0, 0, 0, True)  # these two have been judged
    bench.fill(1, 1, 2004, bench.now_ns)
    bench.fill(-1, 1, 1996, bench.now_ns)
    bench.pass_time(S)
    assert verdict(bench) == (0, 0, 0, True)  # four half ticks each are allowed


@pytest.mark.parametrize("waiting", [40, 100])
def test_however_many_fills_wait_to_be_judged_a_falling_price_pauses(waiting):
    limits = {"markout_fills": 32, "markout_ns": S, "max_adverse_half_ticks": 4, "pause_ns": S}
    bench = Bench(**limits)
    seen = []
    for k in range(3 * waiting):
        bench.pass_time(S // waiting)
        bid = 999 - k // 8  # a tick for every eight that we buy
        bench.fill(1, 3, 2 * bid + 2, bench.now_ns)
        prices = {"bid_ticks": bid, "ask_ticks": bid + 2, "fair_value_ticks": bid + 1.0}
        seen.append(verdict(bench, **prices)[2])
    assert set(seen[waiting + 32 :]) == {Reason.ADVERSE_MARKOUT}


def test_a_fill_too_many_to_wait_is_judged_by_the_mid_of_the_newest_fill():
    bench = Bench(markout_fills=1, markout_ns=S, max_adverse_half_ticks=4, pause_ns=S)
    for mark in (2000, *[1000] * 63):
        bench.pass_time(1)
        bench.fill(-1, 1, mark, bench.now_ns)
    assert verdict(bench)[1] == RiskState.ACTIVE
    bench.pass_time(1)
    bench.fill(-1, 1, 2005, bench.now_ns)
    assert verdict(bench)[1:3] == (RiskState.REDUCING, Reason.ADVERSE_MARKOUT)


@settings(deadline=None)
@given(st.integers(1, 64), st.sampled_from([40, 100]), st.integers(0, 6), st.data())
def test_many_fills_are_judged_as_the_twin_that_keeps_all_of_them_does(judged, fills, most, data):
    bench = Bench(markout_fills=judged, markout_ns=S, max_adverse_half_ticks=most, pause_ns=S)
    twin = ReferenceStrategy(
        {name: bench.params[0][name].item() for name in STRATEGY_PARAMS.names}, bench.ask
    )
    random = data.draw(st.randoms(use_true_random=False))
    seen = set()
    for k in range(fills + 3):
        bench.pass_time(S if k >= fills else random.randrange(S // 20))
        if k < fills:
            fill = random.choice([1, -1]), random.randint(1, 9), random.randint(1990, 2010)
            bench.fill(*fill, bench.now_ns)
            twin.fill(*fill, bench.now_ns)
        got = bench.step()
        told = {name: bench.inputs[0][name].item() for name in bench.inputs.dtype.names}
        pricing = {name: bench.pricing[0][name].item() for name in bench.pricing.dtype.names}
        assert got == twin.step(told, pricing, bench.exact_instrument())
        seen.add(got[7])
    event(f"reasons: {sorted(seen)}")


def test_a_clock_of_ours_that_goes_back_does_not_make_the_book_young():
    bench = Bench(max_skew_ns=S, max_book_age_ns=S)
    assert verdict(bench)[0] == Reason.NONE
    for back, reason in ((S, Reason.NONE), (S + 1, Reason.CLOCK_SKEW)):
        now = bench.now_ns - back
        assert verdict(bench, {"now_ns": now, "heard_ns": now})[0] == reason
    assert verdict(bench, book_update_id=9)[0] == Reason.NONE  # one that is heard since


def test_a_jump_of_the_volatility_pauses_until_it_is_usual():
    bench = Bench(max_volatility_ratio=3.0, volatility_baseline_ns=10 * S, pause_ns=S)
    assert verdict(bench, volatility_ticks_per_sqrt_s=1.0)[1] == RiskState.ACTIVE
    bench.pass_time(S // 2)  # too early to know what is usual
    assert verdict(bench, volatility_ticks_per_sqrt_s=1.0)[1] == RiskState.ACTIVE
    bench.pass_time(S)
    assert verdict(bench, volatility_ticks_per_sqrt_s=3.0)[1] == RiskState.ACTIVE
    bench = Bench(max_volatility_ratio=3.0, volatility_baseline_ns=10 * S, pause_ns=S)
    verdict(bench)
    bench.pass_time(S)
    assert verdict(bench, volatility_ticks_per_sqrt_s=3.1)[1:3] == (
        RiskState.REDUCING,
        Reason.VOLATILITY_JUMP,
    )
    bench.pass_time(S)
    assert verdict(bench, volatility_ticks_per_sqrt_s=1.0)[1] == RiskState.ACTIVE
