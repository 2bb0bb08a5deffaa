"""The simulation of Avellaneda and Stoikov's paper, by our kernels: its published tables."""

import math

import numba
import numpy as np
import pytest
import reference_models

from mmquant._jit import njit
from mmquant.kernels.models_avellaneda_stoikov import avellaneda_stoikov
from mmquant.models import avellaneda_stoikov as quotes_of
from mmquant.models import avellaneda_stoikov_params
from mmquant.state import MODEL_INPUTS, MODEL_QUOTES

pytestmark = pytest.mark.kernels

S, SIGMA, DT, K, A, STEPS = 100.0, 2.0, 0.005, 1.5, 140.0, 200
PATHS, CHUNK = 20_000, 2_000

# (gamma, symmetric): the average spread of the table, its profit, sd of the profit, final q, sd
# of the final q; then mean and sd of the profit and sd of q of the exact chain over time and q.
TABLES = {
    (0.1, False): ((1.49, 65.0, 6.6, 0.08, 2.9), (64.8925430856, 6.54315244195, 2.92679126262)),
    (0.1, True): ((1.49, 68.4, 12.7, 0.26, 8.4), (68.2281785081, 13.4573476704, 8.40165945228)),
    (0.01, False): ((1.35, 68.6, 8.7, 0.12, 5.1), (68.3996276449, 8.96056065847, 5.21253844079)),
    (0.01, True): ((1.35, 68.8, 12.8, 0.09, 8.7), (68.6661800973, 13.6776153527, 8.71187712062)),
    (1.0, False): ((3.02, 31.4, 5.0, 0.02, 1.7), (31.4545017892, 4.83791929281, 1.64139287411)),
    (1.0, True): ((3.02, 44.0, 11.0, 0.00, 5.1), (43.8689789135, 10.7514524703, 5.18928148415)),
}


@njit
def simulate(uniforms, params, half, inputs, out, results):
    """Write profit and final inventory of each path; `half` 0: the model's quotes."""
    for path in range(results.shape[0]):
        s, x, q = S, 0.0, 0
        for j in range(STEPS):
            bid, ask = s - half, s + half
            if half == 0.0:
                inputs[0]["fair_value_ticks"] = s
                inputs[0]["volatility_ticks_per_sqrt_s"] = SIGMA
                inputs[0]["arrival_decay_per_tick"] = K
                inputs[0]["inventory_orders"] = q
                inputs[0]["time_left_s"] = (STEPS - j) * DT
                if avellaneda_stoikov(inputs, params, out) != 0:
                    results[path, 0] = math.nan
                    break
                bid, ask = out[0]["bid_ticks"], out[0]["ask_ticks"]
            lift = uniforms[path, j, 0] < A * math.exp(-K * (ask - s)) * DT
            hit = uniforms[path, j, 1] < A * math.exp(-K * (s - bid)) * DT
            if lift:
                x += ask
                q -= 1
            if hit:
                x -= bid
                q += 1
            s += SIGMA * math.sqrt(DT) * (1.0 if uniforms[path, j, 2] < 0.5 else -1.0)
        results[path, 0] = x + q * s
        results[path, 1] = q


def average_half_spread(gamma):
    """Half of the time average of the model's spread: its spread in the middle of the time."""
    q = quotes_of(
        S,
        0.0,
        volatility_ticks_per_sqrt_s=SIGMA,
        arrival_decay_per_tick=K,
        time_left_s=STEPS * DT / 2,
        risk_aversion_per_tick=gamma,
    )
    return float(q.ask_ticks[0] - q.bid_ticks[0]) / 2


def experiment(gamma, symmetric, paths, seed):
    rng = np.random.default_rng(seed)
    params = avellaneda_stoikov_params(risk_aversion_per_tick=gamma)
    half = average_half_spread(gamma) if symmetric else 0.0
    scratch = np.zeros(1, MODEL_INPUTS), np.zeros(1, MODEL_QUOTES)
    parts = []
    for _ in range(0, paths, CHUNK):
        uniforms = rng.random((min(paths, CHUNK), STEPS, 3))
        parts.append(np.empty((len(uniforms), 2)))
        simulate(uniforms, params, half, *scratch, parts[-1])
    return np.concatenate(parts), uniforms, half


def sampling_error_of_sd(values):
    """Of one value: sqrt((kurtosis - 1) / 4) sd, over sqrt(n) for n of them."""
    z = (values - values.mean()) / values.std()
    return values.std() * math.sqrt((np.mean(z**4) - 1) / 4)


@pytest.mark.parametrize(("gamma", "symmetric"), TABLES)
def test_the_simulation_equals_its_twin_path_by_path(gamma, symmetric):
    results, uniforms, half = experiment(gamma, symmetric, 5, 7)
    for row, result in zip(uniforms, results, strict=True):
        profit, q = reference_models.simulate(row, S, SIGMA, DT, K, A, gamma, half)
        assert result[0] == pytest.approx(profit, abs=1e-9)
        assert result[1] == q


@pytest.mark.parametrize("gamma", [0.1, 0.01, 1.0])
def test_the_average_spread_is_the_published_one(gamma):
    for symmetric in (False, True):
        assert round(2 * average_half_spread(gamma), 2) == TABLES[gamma, symmetric][0][0]


def test_the_symmetric_strategy_has_its_closed_form_moments():
    for gamma in (0.1, 0.01, 1.0):
        d = average_half_spread(gamma)
        p = A * math.exp(-K * d) * DT
        flips = p * (1 - p) * STEPS
        sd = math.sqrt(2 * flips * d**2 + SIGMA**2 * DT * flips * (STEPS + 1))
        _, (exact_mean, exact_sd, exact_sd_q) = TABLES[gamma, True]
        assert 2 * STEPS * p * d == pytest.approx(exact_mean, rel=1e-11)
        assert sd == pytest.approx(exact_sd, rel=1e-11)
        assert math.sqrt(2 * flips) == pytest.approx(exact_sd_q, rel=1e-11)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="20 000 paths a table want compiled code")
def test_the_published_tables_are_reproduced():
    squares = 0.0
    for row, ((gamma, symmetric), (published, exact)) in enumerate(TABLES.items()):
        results, _, _ = experiment(gamma, symmetric, PATHS, row)
        profit, q = results.T
        mean, sd, sd_q = exact
        ours = np.array([profit.mean(), profit.std(), q.mean(), q.std()])
        errors = np.array(  # of a single path
            [profit.std(), sampling_error_of_sd(profit), q.std(), sampling_error_of_sd(q)]
        )
        off = (ours - [mean, sd, 0.0, sd_q]) / (errors / math.sqrt(PATHS))
        assert np.abs(off).max() < 3.0, (gamma, symmetric, off)
        z = (np.array(published[1:]) - ours) / (errors / math.sqrt(1000))
        assert np.abs(z).max() < 2.5, (gamma, symmetric, z)
        squares += float(z @ z)
    assert squares < 36.4  # 24 cells: 95 % of what chi squared allows
