"""The exact quotes: reference values, an independent solution, and what the closed forms miss."""

import math

import numpy as np
import pytest
import reference_models

from mmquant.models import cartea_jaimungal, glft, glft_table, glft_table_params
from mmquant.models_exact import cartea_jaimungal_exact, glft_exact, steps_table

pytestmark = pytest.mark.kernels

MARKET = {
    "volatility_ticks_per_sqrt_s": 0.3,
    "arrival_rate_per_s": 0.9,
    "arrival_decay_per_tick": 0.3,
}
PAPER = {**MARKET, "risk_aversion_per_tick": 0.01}
FAIR = 1000.0


def close(values, expected, tolerance=1e-9):
    assert np.asarray(values) == pytest.approx(np.asarray(expected), abs=tolerance)


# Reference values from our own matrix exponential and eigenvectors, confirmed by an adaptive
# solver of the nonlinear equation to 3e-11: bid distances at the paper's parameters, Q = 30.
AT_600_S = {
    -30: 0.4270561508,
    -29: 1.1337911252,
    -25: 1.6240189048,
    -20: 1.9591996313,
    -15: 2.2947598185,
    -10: 2.6328019930,
    -5: 2.9725217728,
    -2: 3.1767964907,
    -1: 3.2449191548,
    0: 3.3130454098,
    1: 3.3811680739,
    2: 3.4492799682,
    5: 3.6534794429,
    10: 3.9929325621,
    15: 4.3305380296,
    20: 4.6655419845,
    25: 5.0051614171,
    28: 5.4241734394,
    29: 6.1309084138,
}
STATIONARY = {-30: 0.4270559110, -10: 2.6328018254, 0: 3.3130454188, 10: 3.9929327470}


def test_a_finite_horizon_has_the_reference_values():
    exact = glft_exact(list(AT_600_S), max_inventory_orders=30, time_left_s=600.0, **PAPER)
    close(exact.bid_distance_ticks, list(AT_600_S.values()))
    mirrored = glft_exact(
        [-q for q in AT_600_S], max_inventory_orders=30, time_left_s=600.0, **PAPER
    )
    close(mirrored.ask_distance_ticks, list(AT_600_S.values()))
    assert exact.value_ticks[list(AT_600_S).index(0)] == pytest.approx(1290.6250952468, abs=1e-8)


def test_no_horizon_has_the_reference_values_at_any_bound():
    exact = glft_exact(list(STATIONARY), max_inventory_orders=30, **PAPER)
    close(exact.bid_distance_ticks, list(STATIONARY.values()))
    assert np.isnan(exact.value_ticks).all()
    for most, distance in ((10, 3.3235580781), (15, 3.3139162996), (20, 3.3130733648)):
        close(glft_exact(0, max_inventory_orders=most, **PAPER).bid_distance_ticks, distance)
    close(glft_exact(10, max_inventory_orders=50, **PAPER).bid_distance_ticks, 3.9929326100)


@pytest.mark.parametrize(
    ("change", "at", "bids", "asks"),
    [
        (
            {"fill_risk_aversion_per_tick": 0.0},
            [-10, 0, 10, 20],
            [2.6924607210, 3.3671157934, 4.0414233247, 4.7086374028],
            None,
        ),
        (
            {"drift_ticks_per_s": 0.001},
            [-10, 0, 10],
            [2.5575065952, 3.2373497136, 3.9176285658],
            [4.0681451670, 3.3887366741, 2.7081803596],
        ),
        (
            {"drift_ticks_per_s": 0.01},
            [-10, 0, 10],
            [1.8851717341, 2.5576409642, 3.2377241745],
            [4.7393762899, 4.0680196254, 3.3884123592],
        ),
        ({"order_size": 5.0}, [-3, 0, 3], [2.6883121519, 3.1619991701, 3.6352796204], None),
        (
            {"order_size": 5.0, "fill_risk_aversion_per_tick": 0.0},
            [-3, 0, 3],
            [2.9540437135, 3.4092314056, 3.8640585750],
            None,
        ),
    ],
)
def test_drift_order_size_and_fill_risk_aversion_have_the_reference_values(change, at, bids, asks):
    exact = glft_exact(at, max_inventory_orders=30, time_left_s=600.0, **PAPER | change)
    close(exact.bid_distance_ticks, bids)
    if asks:
        close(exact.ask_distance_ticks, asks)


def test_the_parameters_of_avellaneda_and_stoikov_have_the_reference_values():
    market = {
        "volatility_ticks_per_sqrt_s": 2.0,
        "arrival_rate_per_s": 140.0,
        "arrival_decay_per_tick": 1.5,
        "max_inventory_orders": 30,
        "time_left_s": 1.0,
    }
    exact = glft_exact(range(-3, 4), risk_aversion_per_tick=0.1, **market)
    bids = [0.51438342, 0.56670020, 0.61914282, 0.67162760, 0.72407023, 0.77638701, 0.82849610]
    close(exact.bid_distance_ticks, bids, 6e-9)
    for gamma, bid, value in (
        (0.1, 0.67162760, 64.13348915),
        (0.01, 0.67243402, 67.84568705),
        (0.5, 0.63892541, 53.92457736),
        (1.0, 0.60840349, 45.19966848),
    ):
        exact = glft_exact(0, risk_aversion_per_tick=gamma, **market)
        close(exact.bid_distance_ticks, bid, 6e-9)
        close(exact.value_ticks, value, 6e-9)


def test_a_short_horizon_tends_to_avellaneda_and_stoikov():
    for left_s, tolerance in ((1.0, 1e-6), (10.0, 1e-3)):
        n = np.array([0, 10])
        exact = glft_exact(n, max_inventory_orders=30, time_left_s=left_s, **PAPER)
        expansion = math.log(1 + 0.01 / 0.3) / 0.01 + (1 + 2 * n) / 2 * 0.01 * 0.09 * left_s
        close(exact.bid_distance_ticks, expansion, tolerance)


@pytest.mark.parametrize("mu", [0.0, 0.004])
def test_the_nonlinear_equation_solved_step_by_step_gives_the_same_quotes(mu):
    n = np.arange(-12.0, 13.0)
    k, gamma, left_s = 0.3, 0.01, 40.0
    gain = 0.9 * (1 + gamma / k) ** -(1 + k / gamma)
    h = reference_models.hjb_values(
        mu * n - gamma * 0.09 * n**2 / 2, gain, gain, k, np.zeros(n.size), left_s, 1000
    )
    exact = glft_exact(
        n.astype(int), max_inventory_orders=12, time_left_s=left_s, drift_ticks_per_s=mu, **PAPER
    )
    own = math.log(1 + gamma / k) / gamma
    close(exact.bid_distance_ticks[:-1], own + h[:-1] - h[1:])
    close(exact.ask_distance_ticks[1:], own + h[1:] - h[:-1])
    close(exact.value_ticks, h, 1e-8)


def test_the_nonlinear_equation_of_cartea_and_jaimungal_too():
    n = np.arange(-3.0, 4.0)
    h = reference_models.hjb_values(
        0.0005 * n - 1e-4 * n**2, 1.2 / math.e, 0.8 / math.e, 100.0, -1e-4 * n**2, 30.0, 2000
    )
    exact = cartea_jaimungal_exact(
        n.astype(int), time_left_s=30.0, drift_ticks_per_s=0.0005, **(CJ | UNEVEN)
    )
    close(exact.value_ticks, h)
    close(exact.bid_distance_ticks[:-1], 0.01 + h[:-1] - h[1:])


CJ = {
    "inventory_penalty_ticks_per_s": 1e-4,
    "terminal_penalty_ticks": 1e-4,
    "max_inventory_orders": 3,
    "buy_rate_per_s": 1.0,
    "sell_rate_per_s": 1.0,
    "arrival_decay_per_tick": 100.0,
}
UNEVEN = {"buy_rate_per_s": 1.2, "sell_rate_per_s": 0.8}


@pytest.mark.parametrize(
    ("change", "asks"),
    [
        (
            {"time_left_s": 30.0},
            [0.0171266792, 0.0134584120, 0.0110826289, 0.0089173711, 0.0065415880, 0.0028733208],
        ),
        (
            {"time_left_s": 1.0},
            [0.0133492127, 0.0109179011, 0.0102299519, 0.0097700481, 0.0090820989, 0.0066507873],
        ),
        ({"time_left_s": 0.0}, [0.0105, 0.0103, 0.0101, 0.0099, 0.0097, 0.0095]),
        (
            {"time_left_s": 30.0, "drift_ticks_per_s": 0.0005, **UNEVEN},
            [0.02128159, 0.01817799, 0.01597737, 0.01373047, 0.01103705, 0.00675295],
        ),
    ],
)
def test_cartea_and_jaimungal_have_the_reference_values(change, asks):
    exact = cartea_jaimungal_exact(range(-2, 4), **CJ | change)
    close(exact.ask_distance_ticks, asks, 6e-9 if UNEVEN.items() <= change.items() else 1e-10)
    if "drift_ticks_per_s" not in change:
        mirrored = cartea_jaimungal_exact(range(2, -4, -1), **CJ | change)
        close(mirrored.bid_distance_ticks, asks, 1e-10)


def test_no_horizon_of_cartea_and_jaimungal_against_its_closed_form():
    exact = cartea_jaimungal_exact([0, 5], **CJ | {"max_inventory_orders": 30})
    close(exact.bid_distance_ticks, [0.0108509782, 0.0190285534])
    quotes = cartea_jaimungal(
        FAIR,
        [0, 5],
        arrival_rate_per_s=1.0,
        arrival_decay_per_tick=100.0,
        inventory_penalty_ticks_per_s=1e-4,
        drift_decay_per_s=1.0,
    )
    close(FAIR - quotes.bid_ticks, [0.0108243606, 0.0190679670])


def test_a_penalty_of_half_gamma_sigma_squared_is_the_model_without_fill_risk_aversion():
    n = np.arange(-8, 9)
    shared = {"max_inventory_orders": 8, "arrival_decay_per_tick": 0.3, "drift_ticks_per_s": 0.002}
    for left_s in (1.0, 60.0, 1e6, math.inf):
        cj = cartea_jaimungal_exact(
            n,
            inventory_penalty_ticks_per_s=0.01 * 0.09 / 2,
            buy_rate_per_s=0.9,
            sell_rate_per_s=0.9,
            time_left_s=left_s,
            **shared,
        )
        gueant = glft_exact(
            n,
            risk_aversion_per_tick=0.01,
            fill_risk_aversion_per_tick=0.0,
            volatility_ticks_per_sqrt_s=0.3,
            arrival_rate_per_s=0.9,
            time_left_s=left_s,
            **shared,
        )
        close(cj.bid_distance_ticks, gueant.bid_distance_ticks, 1e-12 if left_s < 1e3 else 1e-9)
        close(cj.ask_distance_ticks, gueant.ask_distance_ticks, 1e-12 if left_s < 1e3 else 1e-9)


@pytest.mark.parametrize("left_s", [600.0, 1e4, 1e6, 1e9, 1e12])
def test_long_horizons_tend_to_no_horizon_without_overflow(left_s):
    n = np.arange(-30, 31)
    for drift in (0.0, 0.003):
        exact = glft_exact(
            n, max_inventory_orders=30, time_left_s=left_s, drift_ticks_per_s=drift, **PAPER
        )
        forever = glft_exact(n, max_inventory_orders=30, drift_ticks_per_s=drift, **PAPER)
        close(exact.bid_distance_ticks, forever.bid_distance_ticks, 1e-4 if left_s < 1e3 else 1e-7)


def test_eigenvectors_by_another_algorithm_are_the_same():
    for risk, target in ((4e-4, 0.0), (0.05, 2.3), (0.4, -1.5)):
        n = np.arange(-9, 10)
        expected = reference_models.eigenvector_steps(risk * (n - target) ** 2, 1.0)
        steps = steps_table(9, np.array([math.log(risk)]), np.array([target]))
        close(steps[0, 0] * math.sqrt(risk), expected, 1e-6 if risk > 0.1 else 1e-9)


def test_the_closed_form_at_the_parameters_of_the_paper():
    n = np.arange(-30, 31)
    exact = glft_exact(n, max_inventory_orders=30, time_left_s=600.0, **PAPER)
    error = np.abs(FAIR - glft(FAIR, n, **PAPER).bid_ticks - exact.bid_distance_ticks)
    assert error[np.abs(n) <= 10].max() <= 0.0016
    assert error[np.abs(n) <= 25].max() <= 0.0079
    close(
        FAIR - glft(FAIR, [-30, 0, 29], **PAPER).bid_ticks,
        [1.2769402226, 3.3129151986, 5.2810243420],
    )


def test_the_closed_form_at_200_random_parameter_sets():
    rng = np.random.default_rng(5)
    sigma, rate, k, gamma, xi = np.exp(rng.uniform(-3, 1.5, (5, 20_000)))
    x = xi / k
    eta = rate * np.exp(-np.log1p(x) * (1 + 1 / x))
    risk = k * gamma * sigma**2 / 2 / eta
    # With 60 orders to the bound it is out of sight for these; beyond them inventory is dearer
    # than any order earns.
    fits = np.flatnonzero((risk > 1e-4) & (risk < 0.2))[:200]
    assert fits.size == 200
    n = np.arange(-5, 6)
    steps = steps_table(60, np.log(risk[fits]), np.zeros(1))[:, 0, 55:66]
    for row, i in enumerate(fits):
        quotes = glft(
            FAIR,
            n,
            volatility_ticks_per_sqrt_s=sigma[i],
            arrival_rate_per_s=rate[i],
            arrival_decay_per_tick=k[i],
            risk_aversion_per_tick=gamma[i],
            fill_risk_aversion_per_tick=xi[i],
        )
        exact = math.log1p(x[i]) / xi[i] + steps[row] * math.sqrt(risk[i]) / k[i]
        # The next term of the expansion of ln(f_n / f_(n+1)) in the risk, and the lattice's.
        bound = risk[i] ** 1.5 * (np.abs(n + 0.5) + 1) ** 3 / 24 + risk[i] * (np.abs(n) + 1) / 4
        assert (np.abs(FAIR - quotes.bid_ticks - exact) * k[i] <= bound + 1e-9).all(), (risk[i],)


@pytest.mark.parametrize("most", [1, 3, 30])
def test_the_live_table_equals_the_exact_solution(most):
    params = glft_table_params(
        risk_aversion_per_tick=0.01, max_inventory_orders=most, drift_weight=1.0
    )
    n = np.arange(-most, most + 1)
    rng = np.random.default_rng(most)
    for sigma, rate, k in np.exp(rng.uniform(-2, 1, (6, 3))):
        market = {
            "volatility_ticks_per_sqrt_s": sigma,
            "arrival_rate_per_s": rate,
            "arrival_decay_per_tick": k,
            "drift_ticks_per_s": float(rng.uniform(-0.9, 0.9)) * most * 0.01 * sigma**2,
        }
        quotes = glft_table(FAIR, n, params, **market)
        exact = glft_exact(n, risk_aversion_per_tick=0.01, max_inventory_orders=most, **market)
        assert quotes.reason.tolist() == [0] * n.size
        close((FAIR - quotes.bid_ticks[:-1]) * k, exact.bid_distance_ticks[:-1] * k, 3e-5)
        close((quotes.ask_ticks[1:] - FAIR) * k, exact.ask_distance_ticks[1:] * k, 3e-5)
        assert quotes.bid_ticks[-1] == -math.inf
        assert quotes.ask_ticks[0] == math.inf


def test_the_drift_that_fades_is_what_a_held_position_will_earn():
    """First order in the drift: E int exp(-zeta t) q_t dt from the chain of optimal fills."""
    n = np.arange(-40, 41)
    rate, k, phi = 0.9, 0.3, 4.5e-4
    steps = reference_models.eigenvector_steps(phi * k * n**2, rate / math.e)
    fills = np.zeros((n.size, n.size))  # gain e^{k (h(to) - h(from))}
    i = np.arange(n.size - 1)
    fills[i, i + 1] = rate / math.e * np.exp(-steps)
    fills[i + 1, i] = rate / math.e * np.exp(steps)
    generator = fills - np.diag(fills.sum(axis=1))
    for zeta in (0.002, 0.02, 0.2, 2.0):
        earned = np.linalg.solve(zeta * np.eye(n.size) - generator, n)
        quotes = cartea_jaimungal(
            FAIR,
            0,
            arrival_rate_per_s=rate,
            arrival_decay_per_tick=k,
            inventory_penalty_ticks_per_s=phi,
            drift_decay_per_s=zeta,
            drift_ticks_per_s=1.0,
        )
        assert quotes.drift_shift_ticks[0] == pytest.approx(earned[41] - earned[40], rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_inventory_orders": 201}, "max_inventory_orders must be between 1 and 200, got 201"),
        ({"risk_aversion_per_tick": -1.0}, "risk_aversion_per_tick must be finite"),
        ({"arrival_rate_per_s": 0.0}, "arrival_rate_per_s must be finite"),
        ({"time_left_s": -1.0}, "time_left_s must be finite and between 0.0"),
        ({"inventory_orders": [4]}, "inventory_orders must be at most 3, got 4"),
        ({"inventory_orders": [-4]}, "inventory_orders must be at least -3, got -4"),
    ],
)
def test_what_cannot_be_solved_is_refused(change, message):
    arguments = {"inventory_orders": [0], "max_inventory_orders": 3, **PAPER} | change
    with pytest.raises(ValueError, match=message):
        glft_exact(**arguments)
