"""Figures build, carry the data they are given, and say so where there is none."""

import re

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("bokeh")

from bokeh.models import BasicTickFormatter, LogScale, Whisker

from mmquant import backtest, plot
from mmquant.calibrate import ArrivalFit, MarkoutCurve
from mmquant.plot.tables import thin

TIMES = pd.date_range("2026-01-01", periods=5, freq="1s")
PRICES = pd.DataFrame({"mid": [100.0, 101, 99, 100, 102]}, index=TIMES)
FILLS = pd.DataFrame({"price": [101.0, 99], "quantity": [4.0, 1], "side": [1, -1]}, index=TIMES[:2])
MONEY = pd.DataFrame(
    {"spread": 3.0, "adverse_selection": -1.0, "inventory": 0.5, "fees": 1.0, "equity": 1.5},
    index=TIMES,
)


def columns(figure, name):
    """Return the values of a column in all of a figure's sources."""
    data = [one.data_source.data for one in figure.renderers if hasattr(one, "data_source")]
    return [np.asarray(one[name]) for one in data if name in one]


def texts(figure):
    return [str(text) for values in columns(figure, "text") for text in values]


def legend(figure):
    """Return the colours of a legend's entries by their texts."""
    return {item.label.value: item.renderers[0].glyph.line_color for item in figure.legend[0].items}


def test_thinning_keeps_every_extreme_first_and_last():
    rng = np.random.default_rng(1)
    xs = np.sort(rng.uniform(0, 1, 50_000))
    ys = rng.normal(size=xs.size)
    ys[[0, 123, 40_000]] = 50, -60, 70
    rows = thin(xs, ys, 100)
    assert rows.size <= 4 * 100 + 100
    assert {0, 123, 40_000, xs.size - 1} <= set(rows.tolist())
    edges = np.searchsorted(xs, xs[0] + (xs[-1] - xs[0]) * np.arange(100) / 100)
    for start, end in zip(edges, np.append(edges[1:], xs.size), strict=True):
        kept = ys[rows[(rows >= start) & (rows < end)]]
        assert (kept.min(), kept.max()) == (ys[start:end].min(), ys[start:end].max())


def test_thinning_keeps_holes_and_few_points():
    ys = np.arange(10_000.0)
    ys[5000:5010] = np.nan
    rows = thin(np.arange(10_000.0), ys, 50)
    assert np.isnan(ys[rows]).any()
    assert thin(np.arange(5.0), np.arange(5.0), 2).tolist() == [0, 1, 2, 3, 4]


def test_the_price_pane_carries_prices_quotes_and_fills_by_size_and_side():
    quotes = pd.DataFrame({"bid": PRICES.mid - 1, "ask": PRICES.mid + 1}, index=TIMES)
    figure = plot.price_pane(PRICES.assign(fair=100.5), quotes, FILLS)
    lines = [values.tolist() for values in columns(figure, "y")]
    assert PRICES.mid.tolist() in lines
    assert quotes.bid.tolist() in lines
    sizes = np.concatenate(columns(figure, "size"))
    assert sizes[0] > sizes[1]  # four times the quantity
    marks = {one.glyph.marker for one in figure.renderers if one.name == "hover"}
    assert marks == {"triangle", "inverted_triangle"}


def test_the_heat_map_has_a_cell_for_each_time_and_price():
    depth = pd.DataFrame([[-1.0, 0, 2], [-3, 1, 0]], index=TIMES[:2], columns=[99.0, 100, 101])
    figure = plot.book_heatmap(depth)
    picture = columns(figure, "image")[0][0]
    assert picture.shape == (3, 2)
    assert picture[1, 0] == 0 or picture.view(np.uint8).reshape(3, 2, 4)[1, 0, 3] == 0
    missing = depth.astype(float).where(depth != 0)
    same = columns(plot.book_heatmap(missing), "image")[0][0].view(np.uint8)
    assert same[:, 3::4].tolist() == picture.view(np.uint8)[:, 3::4].tolist()
    assert "no data" in texts(plot.book_heatmap(missing * np.nan))
    with pytest.raises(ValueError, match="cells"):
        plot.book_heatmap(pd.DataFrame(np.ones((2000, 600))))


def test_money_adds_up():
    figure = plot.decomposition(MONEY)
    totals = [values.tolist() for values in columns(figure, "y")]
    assert [1.5] * 5 in totals
    net_and_gross = [values.tolist() for values in columns(plot.equity(MONEY), "y")]
    assert [1.5] * 5 in net_and_gross
    assert [2.5] * 5 in net_and_gross
    assert len(columns(plot.inventory(MONEY.spread, limit=2.0), "y")) == 4


def test_markouts_have_intervals_of_95_percent():
    curve = MarkoutCurve(
        np.array([10**9, 5 * 10**9]), np.array([1.0, np.nan]), np.array([0.5, np.nan]), np.ones(2)
    )
    figure = plot.markouts(curve)
    low, high = columns(figure, "low")[0], columns(figure, "high")[0]
    np.testing.assert_allclose([low[0], high[0]], [1 - 0.98, 1 + 0.98])
    assert low.size == 1  # the horizon without a value is left out
    few = pd.DataFrame({"horizon_s": [1.0, 5], "mean": [1.0, 2], "error": [0.5, np.nan]})
    figure = plot.markouts(few)
    assert np.isnan(columns(figure, "high")[0]).tolist() == [False, True]
    assert (columns(figure, "fill")[0] == "white").tolist() == [False, True]  # no interval: hollow


def test_intensity_is_seen_against_fitted():
    depths = np.repeat([1.0, 2.0, 4.0], [10, 20, 10])
    figure = plot.intensity(depths, 10.0, ArrivalFit(4.0, 0.1, 0, 0, 40))
    seen = columns(figure, "y")[0]
    np.testing.assert_allclose(seen[0], 40 / 10)
    assert isinstance(figure.y_scale, LogScale)
    assert "fitted" in str(legend(figure))
    steep = columns(plot.intensity(depths, 10.0, ArrivalFit(4.0, 9.0, 0, 0, 40)), "y")[1]
    assert np.nanmin(steep) >= seen.min() / 10  # no axis down to 1e-15


def test_signature_and_sweep_carry_their_values():
    figure = plot.signature_plot([1, 10], [9.0, 3.0], efficient=2.0)
    assert [9.0, 3.0] in [values.tolist() for values in columns(figure, "y")]
    results = pd.DataFrame({"a": [1, 1, 2], "b": [1, 1, 1], "pnl": [1.0, 3.0, 5.0]})
    sweep = plot.sweep_heatmap(results, "a", "b", "pnl")
    assert sorted(columns(sweep, "value")[0].tolist()) == [2.0, 5.0]  # the mean of a shared cell


def test_a_sweep_has_text_and_quantities_in_quotes_for_axes():
    results = pd.DataFrame(
        {
            "simulator.fill_model": ["prob_power", "cross", "cross", "cross"],
            "strategy.order_qty": ["0.100", "0.020", "10", None],
            "pnl": [-12345.6, 2.0, 3.0, 4.0],
        }
    )
    sweep = plot.sweep_heatmap(results, "simulator.fill_model", "strategy.order_qty", "pnl")
    assert sweep.x_range.factors == ["cross", "prob_power"]
    assert sweep.y_range.factors == ["0.020", "0.100", "10"]  # by size, not by letters
    assert columns(sweep, "x")[0].tolist() == ["cross", "cross", "prob_power"]
    assert "-12,346" in texts(sweep)
    turned = plot.sweep_heatmap(results, "strategy.order_qty", "simulator.fill_model", "pnl")
    assert turned.y_range.factors == ["cross", "prob_power"]
    mixed = results.assign(z=[True, 2.5, "word", 10])
    assert plot.sweep_heatmap(mixed, "z", "simulator.fill_model", "pnl").x_range.factors == [
        "True",
        "2.5",
        "10",
        "word",
    ]


def test_many_values_of_a_sweep_are_written_aslant():
    values = np.linspace(0.1234567, 9.7654321, 14)
    results = pd.DataFrame({"a": values, "b": 1, "pnl": values})
    assert plot.sweep_heatmap(results, "a", "b", "pnl").xaxis.major_label_orientation == 0.8
    few = plot.sweep_heatmap(results[:3], "a", "b", "pnl")
    assert few.xaxis.major_label_orientation == "horizontal"


def test_the_markouts_of_a_side_have_the_colour_of_its_fills():
    curve = pd.DataFrame({"horizon_s": [1.0], "mean": [1.0], "error": [0.1]})
    pane = legend(plot.price_pane(PRICES, PRICES.assign(bid=99.0, ask=103.0), FILLS))
    figure = plot.markouts({"all": curve, "buy": curve, "sell": curve, "other": curve})
    shades = legend(figure)
    assert shades["buy"] == pane["own bid"] != pane["own ask"] == shades["sell"]
    assert len(set(shades.values())) == 4
    whiskers = [one.line_color for one in figure.center if isinstance(one, Whisker)]
    assert whiskers == list(shades.values())
    assert legend(plot.markouts({"a": curve, "b": curve}))["a"] == pane["own bid"]


def test_axes_name_their_units():
    depth = pd.DataFrame([[-1.0, 2]], index=TIMES[:1], columns=[99.0, 100])
    for figure, label in (
        (plot.price_pane(PRICES), "price (quote asset)"),
        (plot.price_pane(PRICES, unit="ticks"), "price (ticks)"),
        (plot.book_heatmap(depth), "price (quote asset)"),
        (plot.inventory(MONEY.spread), "position (base asset)"),
        (plot.inventory(MONEY.spread, unit="contracts"), "position (contracts)"),
        (plot.signature_plot([1, 10], [9.0, 3.0]), "variance per s (squared ticks)"),
    ):
        assert figure.yaxis.axis_label == label


def test_axes_tell_the_least_ticks_and_variances_apart():
    formatter = plot.price_pane(PRICES * 1e-7).yaxis.formatter
    assert formatter.format == "0,0.[00000000]"  # a tick may be 1e-8
    assert plot.signature_plot([1, 10], [9.0, 3.0]).yaxis.formatter.format == formatter.format
    logs = plot.signature_plot([1, 10], [9e-9, 3e-9], unit="log price")
    assert isinstance(logs.yaxis.formatter, BasicTickFormatter)
    assert logs.yaxis.axis_label == "variance per s (squared log price)"


def test_the_heat_map_shows_what_its_shades_mean():
    depth = pd.DataFrame([np.arange(1.0, 101) * 100], index=TIMES[:1], columns=np.arange(100.0))
    figure = plot.book_heatmap(depth)
    squares = [one for one in figure.legend[0].items if one.label.value not in ("bids", "asks")]
    shown = {one.label.value: one.renderers[0].glyph.fill_alpha for one in squares}
    assert list(shown) == ["quantity (base asset): 1,090", "5,050", "7,525", "10,000"]
    cells = columns(figure, "image")[0][0].view(np.uint8).reshape(100, 4)[:, 3] / 255
    for alpha, size in zip(shown.values(), (1090, 5050, 7525, 10000), strict=True):
        np.testing.assert_allclose(alpha, cells[int(size / 100) - 1], atol=0.03)
    alike = plot.book_heatmap(depth.clip(7, 7))
    assert [one.label.value for one in alike.legend[0].items][2:] == ["quantity (base asset): 7"]


def test_a_legend_stands_close_to_the_data_and_apart_in_itself():
    legend = plot.inventory(MONEY.spread, limit=1.0).legend[0]
    assert legend.spacing >= 10
    assert legend.margin == legend.padding == 0


def test_the_day_stands_below_the_lowest_time_axis_alone():
    upper, lower = plot.inventory(MONEY.spread), plot.equity(MONEY)
    assert upper.xaxis.formatter.context is not None
    plot.stack(upper, lower)
    assert upper.xaxis.formatter.context is None
    assert lower.xaxis.formatter.context.hours == "%d %b %Y"


@pytest.mark.parametrize(
    "figure",
    [
        lambda: plot.price_pane(PRICES[:0]),
        lambda: plot.book_heatmap(pd.DataFrame()),
        lambda: plot.inventory(MONEY.spread[:0]),
        lambda: plot.equity(MONEY[:0]),
        lambda: plot.decomposition(MONEY[:0]),
        lambda: plot.markouts(pd.DataFrame({"horizon_s": [], "mean": [], "error": []})),
        lambda: plot.intensity([], 1.0),
        lambda: plot.signature_plot([], []),
        lambda: plot.sweep_heatmap(pd.DataFrame({"a": [], "b": [], "c": []}), "a", "b", "c"),
    ],
)
def test_without_data_the_figure_says_so(figure):
    figure = figure()
    assert "no data" in texts(figure)
    assert columns(figure, "x")[0] > 0 < columns(figure, "y")[0]  # logarithmic axes show it too


def test_a_single_row_is_drawn():
    for figure in (
        plot.price_pane(PRICES[:1], fills=FILLS[:1]),
        plot.inventory(MONEY.spread[:1]),
        plot.equity(MONEY[:1]),
        plot.decomposition(MONEY[:1]),
        plot.book_heatmap(pd.DataFrame([[-1.0, 2.0]], index=TIMES[:1], columns=[1.0, 2.0])),
    ):
        assert "no data" not in texts(figure)


def test_wrong_tables_are_named():
    with pytest.raises(ValueError, match="prices must have columns mid"):
        plot.price_pane(pd.DataFrame({"price": [1.0]}, index=TIMES[:1]))
    with pytest.raises(TypeError, match="position must be a Series"):
        plot.inventory([1, 2])
    with pytest.raises(TypeError, match=r"depth must be a DataFrame.*Tape\.depth"):
        plot.book_heatmap([[1]])


def test_a_stack_shares_its_axis_and_saves_as_one_file(tmp_path):
    upper, lower = plot.inventory(MONEY.spread), plot.equity(MONEY)
    both = plot.stack(upper, lower)
    assert upper.x_range is lower.x_range
    path = plot.save(both, tmp_path / "page.html")
    page = path.read_text()
    assert "Position" in page
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page)  # nothing to fetch


def test_curves_draw_every_column_and_an_approximation_in_the_colour_of_what_it_approximates():
    table = pd.DataFrame({"exact": [1.0, 2], "close": [1.1, 1.9], "other": [3.0, 3]}, index=[-1, 1])
    figure = plot.curves(table, "ticks", "inventory", dashed=["close"])
    glyphs = [one.glyph for one in figure.renderers]
    assert [glyph.line_dash for glyph in glyphs] == [[], [6], []]
    assert glyphs[0].line_color == glyphs[1].line_color != glyphs[2].line_color
    assert [values.tolist() for values in columns(figure, "y")] == [[1, 2], [1.1, 1.9], [3, 3]]
    with pytest.raises(ValueError, match="dashed must name columns after the first, got exact"):
        plot.curves(table, "ticks", dashed=["exact"])
    with pytest.raises(TypeError, match="must be a DataFrame, got Series"):
        plot.curves(table["exact"], "ticks")


def test_a_notebook_shows_a_live_figure_that_needs_nothing_else():
    shown = plot.show(plot.stack(plot.price_pane(PRICES), plot.inventory(PRICES.mid)))
    assert repr(shown) == "Price; Position"
    frame = shown._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    assert 'height="680"' in frame  # 380 and 260, and a border
    assert not re.search(r"&lt;(script|link)[^&]*(src|href)=", frame)


@pytest.fixture(scope="module")
def result():
    """Return a short backtest with fills."""
    from small_tape import make_tape

    return backtest.run(
        make_tape(300),
        pricing={"warmup_s": 0.2},
        strategy={"requote_ticks": 1},
        simulator={"fill_model": "cross"},
    )


def test_what_a_backtest_returns_is_taken_as_it_is(result):
    one, tick = result.instrument(), result.instrument().tick
    signals, quotes, fills = result.signals(), result.quotes(), result.fills()
    assert len(fills) > 1
    mids = (one.samples["bid_ticks"] + one.samples["ask_ticks"]) / 2 * tick
    lines = [values.tolist() for values in columns(plot.price_pane(signals, quotes, fills), "y")]
    assert any(np.allclose(ys, mids) for ys in lines if len(ys) == len(mids))
    for side in ("bid", "ask"):
        wanted = one.quotes[f"{side}_lots"] > 0
        assert wanted.any()
        assert not wanted.all()
        assert quotes[side].notna().tolist() == wanted.tolist()
        np.testing.assert_allclose(quotes[side][wanted], one.quotes[f"{side}_ticks"][wanted] * tick)
    assert signals["fair"].isna().tolist() == (one.samples["fair_value_ticks"] == 0).tolist()

    equity = result.equity()
    ys = [values.tolist() for values in columns(plot.equity(equity), "y")]
    assert equity["net"].tolist() in ys
    plot.inventory(equity["position"])

    positions = result.positions()
    ys = columns(plot.decomposition(positions), "y")
    assert len(ys) == 6, "zero, four parts and the total; nothing was funded"
    assert any(np.allclose(values, equity["net"]) for values in ys)
    assert positions["position"].tolist() == equity["position"].tolist()


def test_a_backtests_parts_by_fill_and_its_markouts_are_drawn(result):
    table = result.decomposition()
    bars = columns(plot.decomposition(table), "top")
    m = result.metrics()
    assert [values.size for values in bars] == [len(table)] * 5
    assert bars[3][0] == pytest.approx(-m["fees"])
    assert bars[4][0] == pytest.approx(m["net_profit"])

    markouts = result.markouts()
    horizons = markouts.index.unique("horizon_ns").size
    for side, curves in (("all", markouts), ("buy", markouts.xs("buy", level="side"))):
        rows = markouts.xs(("all", side), level=("kind", "side"))["realised_ticks"].dropna()
        drawn = columns(plot.markouts(curves), "y")
        assert any(values.tolist() == rows.tolist() for values in drawn), side
        assert rows.size <= horizons
    named = {side: markouts.xs(side, level="side") for side in ("buy", "sell")}
    assert {item.label.value for item in plot.markouts(named).legend[0].items} == {"buy", "sell"}
