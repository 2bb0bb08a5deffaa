"""What a backtest made: rows as DataFrames, metrics, where the profit came from, and a summary."""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmquant._whole_file import written_whole
from mmquant.account_settings import AccountKind
from mmquant.accounting import decompose, equity_curve, markouts
from mmquant.backtest_faults import Faults
from mmquant.backtest_metrics import metrics_of, total_of
from mmquant.backtest_profit import bracket_frame, bracket_profits, profit_parts, profits_of
from mmquant.backtest_words import describe_doubts, describe_run, names_of
from mmquant.codes import OrderStatus, PricingFlag, Reason, Template
from mmquant.kernels.backtest import Desk, Rows

if TYPE_CHECKING:
    import pandas

    from mmquant.configure import Config

__all__ = ["InstrumentResult", "Result"]

_E8 = 1e8
_MICRO = 1e6
_S = 1_000_000_000
_HORIZONS_NS = (_S // 10, _S, 5 * _S, 30 * _S)
_PARTS = ("spread", "adverse_selection", "inventory")
# Of a touch with two sides; messages say 0.0 without one.
_OF_TOUCH = (
    "mid_ticks",
    "microprice_minus_mid_ticks",
    "depth_imbalance",
    "touch_imbalance",
)
_ORDER_COLUMNS = [
    "now_ns",
    "known_ns",
    "order_id",
    "quotes_seq",
    "side",
    "price_ticks",
    "qty_lots",
    "filled_lots",
    "status",
    "reason",
]
_FILL_COLUMNS = [
    "now_ns",
    "known_ns",
    "fill_id",
    "order_id",
    "side",
    "price_ticks",
    "qty_lots",
    "fee_micro_tick_lots",
    "mark_half_ticks",
    "trade_id",
    "position_lots",
    "kind",
    "liquidity",
    "queue_entry_lots",
    "queue_ahead_lots",
    "queue_ns",
]


class InstrumentResult:
    """One instrument's rows: arrays of state.EVENT and so on, cut to what was written.

    Attributes
    ----------
    symbol, tick, lot
        Its name, and the sizes in units of the assets.
    kind
        What its account is.
    unit
        What a tick-lot of its money is worth in the quote asset (of an inverse contract: coins).
    held_asset, money_asset
        What a position and the profit are counted in, in words.
    events, positions, quotes, samples, fundings, marks
        As the kernel wrote them.
    run
        state.BACKTEST: counters.
    faults : Faults
        What its models did wrong.
    """

    faults = Faults()

    def __init__(
        self,
        instrument: NDArray[Any],
        kind: AccountKind,
        run: NDArray[Any],
        desk: Desk,
        rows: Rows,
    ) -> None:
        self.instrument = instrument
        self.kind = kind
        self.unit = kind.tick_lot_value
        is_inverse = kind.kind == "inverse"  # contracts of quote asset, whose money is the coin
        self.held_asset = "contracts" if is_inverse else "base asset"
        self.money_asset = "coin" if is_inverse else "quote asset"
        self.run = run
        self.desk = desk
        r = run[0]
        self.symbol = instrument[0]["symbol"].decode()
        self.tick = float(instrument[0]["tick_size_e8"]) / _E8
        self.lot = float(instrument[0]["lot_size_e8"]) / _E8
        self.events = rows.events[: int(r["events"])]
        self.positions = rows.positions[: int(r["positions"])]
        self.quotes = rows.quotes[: int(r["quotes"])]
        self.samples = rows.samples[: int(r["samples"])]
        self.fundings = rows.fundings[: int(r["fundings"])]
        self.marks = rows.marks[: int(r["marks"])]

    @property
    def fills(self) -> NDArray[Any]:
        """The events that are fills."""
        found: NDArray[Any] = self.events[self.events["template_id"] == Template.FILL]
        return found

    def feed(self, digest: Any) -> None:
        """Put every row into a hash."""
        for array in (self.events, self.positions, self.quotes, self.samples, self.fundings):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)  # no copy of them
        digest.update(self.desk.account.tobytes())

    def parts(self) -> dict[str, float]:
        """Return where the profit came from, as the live account has it: the sum is all of it.

        In the quote asset (of an inverse contract: coins).
        """
        return profit_parts(self.desk.account[0], self.unit)

    def bracket(self) -> dict[str, dict[str, float]]:
        """Return what the same quotes made under each model of the bracket; nothing without one.

        Profit after fees, its parts as in `parts`, fills, and the position at the end.
        """
        return bracket_profits(self.desk.bracket.account, self.unit, self.lot)

    def balances(self) -> dict[str, Decimal]:
        """Return what a spot account holds at the end: base, quote and third asset, exactly.

        Raises
        ------
        ValueError
            Where the account is a contract's.
        """
        return self.kind.balances(self.desk.account, self.instrument)

    def mids(self) -> "pandas.Series[float]":
        """Return the mids that the account was valued at, in ticks: each change, and the last."""
        import pandas

        times, values = self.marks["now_ns"], self.marks["half_ticks"] / 2
        if values.size:
            times = np.append(times, int(self.run[0]["now_ns"]))
            values = np.append(values, values[-1])
        return pandas.Series(values, pandas.to_datetime(times, utc=True), name="mid_ticks")

    def seconds(self) -> float:
        """Return the time from the first row to the last."""
        if not self.positions.size:
            return 0.0
        return float(int(self.run[0]["now_ns"]) - int(self.positions[0]["now_ns"])) / _S


def _prices(
    one: InstrumentResult, ticks: "pandas.Series[float]", where: "pandas.Series[bool]"
) -> "pandas.Series[float]":
    """Return ticks as prices, NaN where there is none."""
    prices: pandas.Series[float] = (ticks * one.tick).where(where)
    return prices


def _frame(rows: NDArray[Any], columns: Sequence[str] | None = None) -> "pandas.DataFrame":
    import pandas

    names = list(columns or rows.dtype.names or ())
    frame = pandas.DataFrame({name: np.ascontiguousarray(rows[name]) for name in names})
    frame.index = pandas.to_datetime(rows["now_ns"], utc=True)
    frame.index.name = "time"
    return frame


class Result:
    """What a backtest made.

    Tables have a row an event and its time as the index; prices are ticks and quantities lots, as
    in the kernels, and `price`, `quantity` and so on in units of the assets beside them. The
    functions of mmquant.plot take them as they are.

    Attributes
    ----------
    instruments : list of InstrumentResult
    config : Config
    source : str
        Where the tape came from.
    tape_doubts : tuple of str
        What the tape itself says against believing the result.
    """

    def __init__(
        self,
        instruments: list[InstrumentResult],
        config: "Config",
        source: str,
        tape_doubts: Sequence[str] = (),
    ) -> None:
        self.instruments = instruments
        self.config = config
        self.source = source
        self.tape_doubts = tuple(tape_doubts)

    def __repr__(self) -> str:
        m = self.metrics()
        return (
            f"Result({', '.join(self.symbols)}: {m['fills']:.0f} fills, net "
            f"{m['net_profit']:+.4f}, {self.hash[:12]})"
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 of every row, in hexadecimal: the same tape and parameters give the same."""
        digest = hashlib.sha256()
        for one in self.instruments:
            one.feed(digest)
        return digest.hexdigest()

    @property
    def symbols(self) -> list[str]:
        """Names of the instruments."""
        return [one.symbol for one in self.instruments]

    def instrument(self, symbol: str | None = None) -> InstrumentResult:
        """Return one instrument's rows; without a name, of the only one.

        Raises
        ------
        ValueError
            There is no such one, or several and none was named.
        """
        if symbol is None and len(self.instruments) == 1:
            return self.instruments[0]
        for one in self.instruments:
            if one.symbol == symbol:
                return one
        raise ValueError(f"symbol must be one of {', '.join(self.symbols)}, got {symbol!r}")

    # tables

    def fills(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return own fills."""
        one = self.instrument(symbol)
        frame = _frame(one.fills, _FILL_COLUMNS)
        frame["price"] = frame["price_ticks"] * one.tick
        frame["quantity"] = frame["qty_lots"] * one.lot
        frame["fee"] = frame["fee_micro_tick_lots"] / _MICRO * one.unit
        return frame

    def funding(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return payments of funding; `amount` is what was received (negative: paid)."""
        one = self.instrument(symbol)
        frame = _frame(one.fundings)
        frame["price"] = frame["price_half_ticks"] / 2 * one.tick
        frame["position"] = frame["position_lots"] * one.lot
        frame["amount"] = frame["funding_micro_tick_lots"] / _MICRO * one.unit
        return frame

    def orders(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return every change of an own order: entered, resting, filled, cancelled, rejected."""
        one = self.instrument(symbol)
        rows = one.events[one.events["template_id"] == Template.ORDER_UPDATE]
        frame = _frame(rows, _ORDER_COLUMNS)
        frame["status"] = names_of(OrderStatus, rows["status"])
        frame["reason"] = names_of(Reason, rows["reason"])
        frame["price"] = frame["price_ticks"] * one.tick
        frame["quantity"] = frame["qty_lots"] * one.lot
        return frame

    def quotes(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return the quotes wanted, a row a change of mind, and what made them.

        `bid` and `ask` are prices, NaN where there is no quote (`bid_ticks`, `ask_ticks`: 0).
        """
        one = self.instrument(symbol)
        frame = _frame(one.quotes)
        for name in ("bid", "ask"):
            frame[name] = _prices(one, frame[f"{name}_ticks"], frame[f"{name}_lots"] > 0)
        for name in ("reason", "bid_reason", "ask_reason", "risk_reason"):
            frame[name] = names_of(Reason, one.quotes[name])
        return frame

    def positions(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return the position messages: at each fill, and each second.

        `position`, and in the quote asset (of an inverse contract: coins) the parts of the profit
        so far: `spread`, `adverse_selection`, `inventory`, `fees` (positive where they cost),
        `funding`, `fee_revaluation`.
        """
        one = self.instrument(symbol)
        frame = _frame(one.positions)
        frame["position"] = frame["position_lots"] * one.lot
        for name in _PARTS:
            frame[name] = frame[f"{name}_half_tick_lots"] / 2 * one.unit
        profits = profits_of(one)
        for name in ("fees", "funding", "fee_revaluation"):
            frame[name] = profits[name]
        return frame

    def signals(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return what the strategy saw: touch, fair value, volatility, drift, and the signals.

        `bid`, `ask`, `mid` and `fair` are prices, NaN where there was none, and so are `mid_ticks`
        and the signals of the touch, and the basis where the reference was not young enough. The
        columns named in `mmquant.settings_rules.SIGNAL_DRIFT` are those that a drift may be of:
        `regress_drift(frame[["depth_imbalance"]], frame["mid_ticks"], horizon_ns=10**9)`.
        """
        one = self.instrument(symbol)
        frame = _frame(one.samples)
        is_there = {name: frame[f"{name}_lots"] > 0 for name in ("bid", "ask")}
        for name, where in is_there.items():
            frame[name] = _prices(one, frame[f"{name}_ticks"], where)
        is_live = is_there["bid"] & is_there["ask"]
        frame["mid"] = _prices(one, (frame["bid_ticks"] + frame["ask_ticks"]) / 2, is_live)
        fair = frame["fair_value_ticks"]
        frame["fair"] = _prices(one, fair, is_live & (fair > 0))
        frame["microprice_minus_mid_ticks"] = frame["microprice_ticks"] - frame["mid_ticks"]
        for name in _OF_TOUCH:
            frame[name] = frame[name].where(is_live)
        frame["basis_bps"] = frame["basis_bps"].where(frame["flags"] & PricingFlag.BASIS > 0)
        return frame

    def equity(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return position and profit over time in the quote asset (of an inverse contract: coins).

        `net` = `gross` - `fees` + `funding` + `fee_revaluation`; `equity` is the same as `net`.
        `mid` is NaN before there is one. The last row is at the end of the tape.
        """
        one = self.instrument(symbol)
        p = one.positions
        frame = _frame(p, ["now_ns", "position_lots", "mark_half_ticks"])
        frame["position"] = p["position_lots"] * one.lot
        frame["mid"] = _prices(one, frame["mark_half_ticks"] / 2, frame["mark_half_ticks"] > 0)
        for name, values in profits_of(one).items():
            frame[name] = values
        frame["equity"] = frame["net"]
        return frame

    def decomposition(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return where the profit came from by kind and side of fills; see mmquant.decompose.

        Before funding and fee revaluation, which belong to no fill: `metrics` has them. `spread`,
        `adverse_selection`, `inventory` and `fees` are in the quote asset (inverse: coins).
        """
        one = self.instrument(symbol)
        horizon_ns = int(one.desk.sim_params[0]["markout_horizon_ns"])
        scale = one.kind.inverse_scale
        table: pandas.DataFrame = decompose(one.fills, one.mids(), horizon_ns, inverse_scale=scale)
        for name in _PARTS:
            table[name] = table[f"{name}_half_tick_lots"] / 2 * one.unit
        table["fees"] = table["fees_micro_tick_lots"] / _MICRO * one.unit
        return table

    def markouts(
        self, symbol: str | None = None, horizons_ns: Sequence[int] = _HORIZONS_NS
    ) -> "pandas.DataFrame":
        """Return how fills did against the mid; see mmquant.markouts."""
        one = self.instrument(symbol)
        table: pandas.DataFrame = markouts(one.fills, one.mids(), list(horizons_ns))
        return table

    def bracket(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return what the same quotes made under each fill model of the bracket, a row a model.

        The strategy knew the chosen model's position alone. Money in the quote asset (of an
        inverse contract: coins).

        Raises
        ------
        ValueError
            Where the run had no bracket.
        """
        profits = self.instrument(symbol).bracket()
        if not profits:
            raise ValueError("there is no bracket: pass bracket=True to run")
        return bracket_frame(profits, self.config.simulator["bracket"])

    def curve(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return profit at each mid in tick-lots; see mmquant.accounting.equity_curve.

        Of the fills alone: without funding and fee revaluation, which `equity` has.
        """
        one = self.instrument(symbol)
        scale = one.kind.inverse_scale
        table: pandas.DataFrame = equity_curve(one.fills, one.mids(), inverse_scale=scale)
        return table

    # numbers

    def metrics(self, symbol: str | None = None) -> dict[str, float]:
        """Return the numbers that a sweep compares; money in the quote asset (inverse: coins).

        Of several instruments and no symbol: sums, and the rates of these; what cannot be added
        is left out.
        """
        if symbol is None and len(self.instruments) > 1:
            every = [self.metrics(one.symbol) for one in self.instruments]
            return total_of(every)
        return metrics_of(self.instrument(symbol))

    def warnings(self) -> list[str]:
        """Return what speaks against believing this result."""
        found = [line for one in self.instruments for line in describe_doubts(self, one)]
        return [*self.tape_doubts, *found]

    def failures(self) -> list[str]:
        """Return which models never answered what can be traded on: nothing is known of them."""
        return [line for one in self.instruments for line in one.faults.failures]

    def summary(self) -> str:
        """Return the result in words: what happened, where the money came from, what to doubt."""
        lines = [f"backtest of {self.source}", ""]
        for one in self.instruments:
            lines += describe_run(self, one)
        doubts = self.warnings()
        lines += ["", "what speaks against believing it:" if doubts else "no warnings"]
        lines += [f"  - {doubt}" for doubt in doubts]
        lines += ["", f"hash {self.hash}"]
        return "\n".join(lines)

    def report(self, path: Path | str) -> Path:
        """Write one HTML page that needs nothing else: summary, plots, tables, settings.

        Without bokeh (the extra `mmquant[research]`) the page has no plots.

        Returns
        -------
        Path
            The page.
        """
        from mmquant.backtest_page import page_of

        path = Path(path)
        page = page_of(self).encode()
        with written_whole(path) as file:
            file.write(page)
        return path

    def plot(self) -> Any:
        """Return the plots of this result (bokeh); `mmquant.plot.backtest` draws them."""
        return import_module("mmquant.plot").backtest(self)
