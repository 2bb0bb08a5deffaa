"""The law of arrivals: a known one found again within its errors, hand examples, mistakes."""

import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from mmquant.arrival_fits import arrival_counts, fit_arrivals, fit_arrivals_log_linear
from mmquant.kernels.arrivals import count_by_depth

pytestmark = pytest.mark.kernels

A, K, SECONDS = 1.5, 0.4, 2e4


def sample(seed, lattice=0.0):
    """Depths of a Poisson number of orders with P(depth >= x) = exp(-K x)."""
    rng = np.random.default_rng(seed)
    depths = rng.exponential(1 / K, rng.poisson(A * SECONDS))
    return np.floor(depths / lattice) * lattice if lattice else depths


FITS = {
    "likelihood": lambda x: fit_arrivals(x, SECONDS),
    "beyond_two_ticks": lambda x: fit_arrivals(x, SECONDS, least_ticks=2.0),
    "log_linear": lambda x: fit_arrivals_log_linear(x, SECONDS, bin_ticks=0.5),
    "log_linear_beyond": lambda x: fit_arrivals_log_linear(x, SECONDS, least_ticks=2.0),
}


@pytest.mark.parametrize("name", FITS)
def test_a_known_law_is_found_again_and_the_errors_are_right(name):
    fits = [FITS[name](sample(seed)) for seed in range(60)]
    for value, error, truth in (
        ("intensity_per_s", "intensity_error", A),
        ("decay_per_tick", "decay_error", K),
    ):
        values = np.array([getattr(fit, value) for fit in fits])
        stated = np.mean([getattr(fit, error) for fit in fits])
        assert values.mean() == pytest.approx(truth, abs=4 * stated / math.sqrt(60))
        assert values.std() == pytest.approx(stated, rel=0.4)


def test_depths_on_half_ticks_need_the_lattice():
    depths = sample(1, lattice=0.5)
    fit = fit_arrivals(depths, SECONDS, lattice_ticks=0.5)
    assert fit.decay_per_tick == pytest.approx(K, abs=4 * fit.decay_error)
    assert fit.intensity_per_s == pytest.approx(A, abs=4 * fit.intensity_error)
    with pytest.warns(UserWarning, match="set lattice_ticks"):
        naive = fit_arrivals(depths, SECONDS)
    assert naive.decay_per_tick > K + 0.04


def test_depths_of_a_one_tick_spread_begin_at_half_a_tick():
    reached = sample(1)
    depths = 0.5 + np.floor(reached[reached >= 0.5] - 0.5)
    fit = fit_arrivals(depths, SECONDS, least_ticks=0.5, lattice_ticks=1.0)
    assert fit.decay_per_tick == pytest.approx(K, abs=4 * fit.decay_error)
    assert fit.intensity_per_s == pytest.approx(A, abs=4 * fit.intensity_error)
    second = fit_arrivals_log_linear(depths, SECONDS, least_ticks=0.5, bin_ticks=1.0)
    assert second.decay_per_tick == pytest.approx(K, abs=4 * second.decay_error)
    assert second.intensity_per_s == pytest.approx(A, abs=4 * second.intensity_error)
    with pytest.warns(UserWarning, match="set lattice_ticks"):
        halves = fit_arrivals(depths, SECONDS, lattice_ticks=0.5)  # as if 0, 1, 2... could be
    assert abs(halves.decay_per_tick - K) > 4 * halves.decay_error


@pytest.mark.parametrize("most", [math.inf, 4.0])
@pytest.mark.parametrize("lattice", [0.0, 0.5])
def test_the_dispersion_of_the_law_is_one_and_its_errors_are_right(lattice, most):
    options = {"lattice_ticks": lattice, "most_ticks": most}  # and a warning fails the test
    fits = [fit_arrivals(sample(seed, lattice), SECONDS, **options) for seed in range(100)]
    least = min(fit.degrees_of_freedom for fit in fits)
    assert least >= 3
    error = math.sqrt(2 / least / 100)
    assert np.mean([fit.dispersion for fit in fits]) == pytest.approx(1.0, abs=4 * error)
    ks = [(fit.decay_per_tick - K) / fit.decay_error for fit in fits]
    rates = [(fit.intensity_per_s - A) / fit.intensity_error for fit in fits]
    assert abs(np.mean(ks)) < 0.4
    assert np.std(ks) == pytest.approx(1.0, abs=0.2)
    assert np.std(rates) == pytest.approx(1.0, abs=0.2)


def two_laws():
    """Return depths of which nine tenths follow a law of 2 / tick, the others one of 0.05."""
    rng = np.random.default_rng(3)
    return np.concatenate([rng.exponential(0.5, 9_000), rng.exponential(20.0, 1_000)])


@pytest.mark.parametrize("fit", [fit_arrivals, fit_arrivals_log_linear])
def test_a_law_that_does_not_fit_is_said_and_widens_the_errors(fit):
    with pytest.warns(UserWarning, match="law does not fit these depths: dispersion") as told:
        wrong = fit(two_laws(), 1e4)
    assert told[0].filename == __file__
    assert wrong.dispersion > 50
    # The two alone: k / sqrt(n), or less.
    alone = wrong.decay_per_tick / math.sqrt(wrong.arrivals)
    assert wrong.decay_error > 5 * alone


def test_a_fit_may_be_limited_to_the_depths_that_matter():
    deep = fit_arrivals(two_laws(), 1e4, least_ticks=5.0, most_ticks=30.0)
    assert deep.decay_per_tick == pytest.approx(0.05, abs=4 * deep.decay_error)
    assert deep.intensity_per_s == pytest.approx(0.1, abs=4 * deep.intensity_error)
    line = fit_arrivals_log_linear(two_laws(), 1e4, least_ticks=5.0, most_ticks=30.0, bin_ticks=5)
    assert line.decay_per_tick == pytest.approx(0.05, abs=4 * line.decay_error)
    # By hand: 4 that stop, at 0, 0, 1 and 1, and one that reached 2; on a lattice S = 4, d = 4.
    hand = fit_arrivals([0.0, 0.0, 1.0, 1.0, 9.0], 10.0, most_ticks=2.0, lattice_ticks=1.0)
    assert hand.decay_per_tick == pytest.approx(math.log(2))
    assert hand.intensity_per_s == 0.5
    assert math.isnan(hand.dispersion)  # too few to tell


def test_counts_by_depth_are_those_of_the_law():
    counts = arrival_counts([0.5, 0.5, 1.0, 3.7, -2.0], 4.0, sides=2, least_ticks=0.5)
    assert counts.depths_ticks.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert counts.stopped.tolist() == [3, 0, 0, 1]
    assert counts.reached.tolist() == [4, 1, 1, 1]
    assert counts.reached_per_s.tolist() == [0.5, 0.125, 0.125, 0.125]
    assert counts.seconds == 8.0
    assert arrival_counts([1.0], 4.0, least_ticks=2.0).reached.size == 0


@pytest.mark.parametrize("width", [0.1, 0.3, 1 / 3, 0.7, 1.0])
@pytest.mark.parametrize("first", [0, 3, -7, 1000])
def test_depths_on_an_edge_lie_in_the_bin_behind_it(width, first):
    steps = np.repeat(np.arange(first, first + 40), np.arange(40, 0, -1))  # by exact numbers
    least = width * first
    for depths in (steps * width, least + (steps - first) * width, steps / (1 / width)):
        counts = arrival_counts(depths, 1.0, least_ticks=least, bin_ticks=width)
        assert counts.stopped.tolist() == list(range(40, 0, -1))
        assert counts.reached[0] == depths.size


@pytest.mark.parametrize("fit", [fit_arrivals, fit_arrivals_log_linear])
def test_a_fit_is_the_same_in_steps_of_a_tenth_and_of_a_tick(fit):
    rng = np.random.default_rng(5)
    steps = np.floor(rng.exponential(10.0, 2_000))
    by = "lattice_ticks" if fit is fit_arrivals else "bin_ticks"
    whole = fit(steps, 1e3, least_ticks=3.0, most_ticks=29.0, **{by: 1.0})
    for depths in (steps * 0.1, steps / 10, np.cumsum(np.full(200, 0.1))[steps.astype(int)] - 0.1):
        tenth = fit(depths, 1e3, least_ticks=0.1 * 3, most_ticks=2.9, **{by: 0.1})
        assert tenth.arrivals == whole.arrivals
        assert 0.1 * tenth.decay_per_tick == pytest.approx(whole.decay_per_tick, rel=1e-9)
        assert tenth.intensity_per_s == pytest.approx(whole.intensity_per_s, rel=1e-9)
        assert tenth.dispersion == pytest.approx(whole.dispersion, rel=1e-9)
        assert tenth.degrees_of_freedom == whole.degrees_of_freedom


def test_orders_that_stopped_at_the_most_ticks_went_as_far():
    depths = [0.0, 0.1, 0.2, 0.1 + 0.2, 0.3]  # 0.1 + 0.2 is above 0.3
    with pytest.raises(ValueError, match="got 2: pass a longer sample"):
        fit_arrivals(depths, 1.0, most_ticks=0.1 + 0.1)
    assert (
        fit_arrivals([*depths, 0.7 - 0.4], 1.0, least_ticks=0.0, most_ticks=0.3)[0:2]
        == (fit_arrivals([*depths, 0.3], 1.0, least_ticks=0.0, most_ticks=0.3)[0:2])
    )
    assert fit_arrivals([0.7 - 0.4, 0.3, 0.4, 0.5], 1.0, least_ticks=0.3).arrivals == 4


def test_counts_by_depth_are_those_of_exact_numbers():
    rng = np.random.default_rng(8)
    for _ in range(50):
        width = Fraction(int(rng.integers(1, 50)), 10)
        least = int(rng.integers(-20, 20)) * width
        places = rng.integers(0, 30, 40)
        depths = [least + int(place) * width for place in places]
        counts = np.zeros(25)
        inside = count_by_depth(np.array(depths, float), float(least), float(width), counts)
        assert counts.tolist() == [np.count_nonzero(places == j) for j in range(25)]
        assert inside == np.count_nonzero(places < 25)


@pytest.mark.parametrize(
    ("orders", "decay", "width"),
    [(60, 0.6, 1.0), (300, 0.6, 1.0), (300, 0.6, 0.5), (2000, 0.2, 1.0)],
)
def test_few_orders_hardly_bias_the_log_linear_fit_and_its_errors_are_right(orders, decay, width):
    rng = np.random.default_rng(12)
    truth = np.array([orders, decay])
    fits = []
    for _ in range(400):
        depths = rng.exponential(1 / decay, rng.poisson(orders))
        fits.append(fit_arrivals_log_linear(depths, 1.0, bin_ticks=width))
    values = np.array([fit[0:2] for fit in fits])
    zs = (values - truth) / np.array([fit[2:4] for fit in fits])
    assert abs(zs.mean(axis=0)).max() < 0.2 + 3 / math.sqrt(400)
    assert values[:, 1].mean() == pytest.approx(decay, rel=0.03)
    assert zs.std(axis=0) == pytest.approx(1.0, abs=0.15)
    covered = (abs(zs) < 1.96).mean(axis=0)
    assert covered.min() > 0.91  # of 400, 0.95 is told apart from less than 0.92
    assert covered.max() < 0.985


def test_the_log_linear_fit_is_the_line_that_weights_of_the_likeliest_law_give():
    rng = np.random.default_rng(2)
    depths, width = 2.0 + rng.exponential(2.0, 500), 0.5
    fit = fit_arrivals_log_linear(depths, 10.0, least_ticks=2.0, bin_ticks=width)
    bottoms = np.floor(depths / width) * width
    likely = fit_arrivals(bottoms, 1.0, least_ticks=2.0, lattice_ticks=width)
    k, edges = likely.decay_per_tick, 2.0 + width * np.arange(60)
    law = likely.intensity_per_s * -math.expm1(-k * width) * np.exp(-k * edges)
    edges, law = edges[law >= 1.0], law[law >= 1.0]
    counts = np.histogram(depths, np.append(edges, edges[-1] + width))[0]
    design = np.column_stack([np.ones(edges.size), -edges])
    normal = design.T @ (law[:, None] * design)
    line = np.linalg.solve(normal, design.T @ (law * np.log(counts + 0.5)))
    k = fit.decay_per_tick
    assert line[1] == pytest.approx(k, rel=1e-8)
    scale = 10.0 * -math.expm1(-k * width)
    assert math.exp(line[0]) / scale == pytest.approx(fit.intensity_per_s, rel=1e-8)
    # ln A = intercept - ln(1 - exp(-k w)) + constant: its error by the gradient.
    gradient = np.array([1.0, -width * math.exp(-k * width) / -math.expm1(-k * width)])
    inverse = np.linalg.inv(normal)
    wide = math.sqrt(max(1.0, fit.dispersion))
    assert fit.decay_error == pytest.approx(wide * math.sqrt(inverse[1, 1]), rel=1e-6)
    error = fit.intensity_per_s * math.sqrt(gradient @ inverse @ gradient)
    assert fit.intensity_error == pytest.approx(wide * error, rel=1e-6)


def test_the_log_linear_fit_says_which_bins_would_do():
    rng = np.random.default_rng(6)
    with pytest.raises(ValueError, match=r"bin_ticks must hold an order .* 0.001: make it more"):
        fit_arrivals_log_linear(rng.exponential(2.0, 50), 1.0, bin_ticks=0.001)
    with pytest.raises(ValueError, match=r"bin_ticks must leave 2 bins with orders, got 90"):
        fit_arrivals_log_linear(rng.exponential(2.0, 50), 1.0, bin_ticks=90.0)
    with pytest.raises(ValueError, match="depths_ticks must get rarer with depth"):
        fit_arrivals_log_linear(10 - rng.exponential(0.5, 5000), 1.0, most_ticks=9.0)


def test_few_orders_that_stopped_do_not_ask_for_bins_without_end():
    depths = np.append([0.1, 0.2, 0.3, 0.4, 0.5], np.full(200_000, 9.0))
    fit_arrivals(depths[:9], 1e3, most_ticks=1.0)
    tracemalloc.start()
    fit = fit_arrivals(depths, 1e3, most_ticks=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000  # a quarter of 1 / k in bins, without end: 83 MB
    assert fit.decay_per_tick == pytest.approx(4 / 200_001.5, rel=1e-3)


def test_bursts_make_the_error_of_the_intensity_too_small_and_windows_tell_the_true_one():
    rng = np.random.default_rng(4)
    burst, windows, window_s = 16, 40, 50.0
    fits, by_windows = [], []
    for _ in range(60):
        counts = burst * rng.poisson(2.0 * window_s, windows)
        depths = [rng.exponential(1 / K, count) for count in counts]
        fits.append(fit_arrivals(np.concatenate(depths), windows * window_s))
        rates = [fit_arrivals(one, window_s).intensity_per_s for one in depths]
        by_windows.append(np.std(rates, ddof=1) / math.sqrt(windows))
    spread = np.std([fit.intensity_per_s for fit in fits])
    assert np.mean([fit.dispersion for fit in fits]) == pytest.approx(1.0, abs=0.2)
    told = np.mean([fit.intensity_error for fit in fits])
    assert spread / told == pytest.approx(math.sqrt(burst), rel=0.35)
    assert np.mean(by_windows) == pytest.approx(spread, rel=0.3)
    ks = [(fit.decay_per_tick - K) / fit.decay_error for fit in fits]
    assert np.std(ks) == pytest.approx(1.0, abs=0.3)


def test_both_sides_together_have_the_intensity_of_one():
    depths = sample(1)
    one, two = fit_arrivals(depths, SECONDS), fit_arrivals(depths, SECONDS, sides=2)
    assert two.intensity_per_s == one.intensity_per_s / 2


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: fit_arrivals([1.0], 10.0), "depths_ticks must hold 3 orders"),
        (lambda: fit_arrivals([1.0] * 5, 0.0), "seconds must be finite and between"),
        (lambda: fit_arrivals([0, 1, 2, 3], 1.0, most_ticks=1.5), "most_ticks=1.5, got 2"),
        (lambda: fit_arrivals([0, 1, 2], 1.0, most_ticks=0.0), "most_ticks must be above least"),
        (lambda: fit_arrivals([0.0] * 5, 1.0), "depths_ticks must differ"),
        (lambda: fit_arrivals_log_linear([0.1] * 5, 1.0), "bin_ticks must leave 2 bins"),
    ],
)
def test_mistakes_are_answered_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()


DEPTHS = [0.5, 0.7, 1.5, 2.5]
WITHIN = r"must be (finite and )?between .* got "


@pytest.mark.parametrize("fit", [fit_arrivals, fit_arrivals_log_linear])
@pytest.mark.parametrize(
    ("depths", "options", "text"),
    [
        ([*DEPTHS, 1e308], {}, rf"depths_ticks {WITHIN}1e\+308 at 4"),
        (DEPTHS, {"seconds": 1e308}, rf"seconds {WITHIN}1e\+308"),
        (DEPTHS, {"least_ticks": -1e308}, rf"least_ticks {WITHIN}-1e\+308"),
        (DEPTHS, {"most_ticks": 1e308}, rf"most_ticks {WITHIN}1e\+308"),
        ([1e6 + x for x in DEPTHS], {"least_ticks": 1e6}, "least_ticks must be within 700 / k"),
        ([x - 1e6 for x in DEPTHS], {"least_ticks": -1e6}, "least_ticks must be within 700 / k"),
    ],
)
def test_values_beyond_reason_are_refused_by_name(fit, depths, options, text):
    with pytest.raises(ValueError, match=text):
        fit(depths, **{"seconds": 1.0, **options})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: fit_arrivals(DEPTHS, 1.0, lattice_ticks=1e308), rf"lattice_ticks {WITHIN}1e\+308"),
        (lambda: fit_arrivals(DEPTHS, 1.0, lattice_ticks=1e-300), "lattice_ticks must be 0, or"),
        (lambda: fit_arrivals([0.0, 1e-320, 0.0, 0.0], 1.0), "least_ticks must be within 700 / k"),
        (
            lambda: fit_arrivals_log_linear(DEPTHS, 1.0, bin_ticks=1e308),
            rf"bin_ticks {WITHIN}1e\+308",
        ),
    ],
)
def test_widths_beyond_reason_are_refused_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()
