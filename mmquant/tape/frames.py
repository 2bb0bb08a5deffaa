"""A tape -> DataFrames: its rows, trades, touches, bars and the book on a time grid."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmquant.book import OrderBook, empty_book
from mmquant.codes import TapeKind
from mmquant.kernels.tape_book import tape_bars, tape_book_path, tape_depths
from mmquant.records import LEVEL
from mmquant.state import BOOK_TOUCH, TAPE_BAR, TAPE_SKIP
from mmquant.tape.parts import bisect_ns, play_book

if TYPE_CHECKING:
    import pandas

    from mmquant.tape.core import Tape, TapeInstrument

__all__ = [
    "bars_frame",
    "book_at",
    "depth_frame",
    "in_prices",
    "in_quantities",
    "rows_frame",
    "touch_records",
    "touches_frame",
    "trade_records",
    "trades_frame",
]

MOST_ROWS = 50_000_000  # about 5 GB as a DataFrame
MOST_CELLS = 20_000_000
E8 = 100_000_000
KIND_NAMES = [kind.name.lower() for kind in TapeKind]


def _in_units(steps: Any, size_e8: int) -> NDArray[np.float64]:
    """Return steps times their size, rounded once: 618002 ticks of 0.1 are 61800.2."""
    whole, part = divmod(size_e8, E8)
    if not part:
        return np.asarray(steps, np.float64) * whole
    divisor = np.gcd(size_e8, E8)
    return np.asarray(steps, np.float64) * float(size_e8 // divisor) / float(E8 // divisor)


def in_prices(instrument: "TapeInstrument", ticks: Any) -> NDArray[np.float64]:
    """Return ticks as prices."""
    return _in_units(ticks, instrument.tick_size_e8)


def in_quantities(instrument: "TapeInstrument", lots: Any) -> NDArray[np.float64]:
    """Return lots as quantities."""
    return _in_units(lots, instrument.lot_size_e8)


def _index(ns: NDArray[np.int64]) -> "pandas.DatetimeIndex":
    """Return times in UTC, said so: a backtest's frames have it, too, and both are joined."""
    import pandas as pd

    stamps = np.ascontiguousarray(ns).view("datetime64[ns]")
    return pd.DatetimeIndex(stamps, name="time").tz_localize("UTC")


def rows_frame(tape: "Tape", symbol: str | None) -> "pandas.DataFrame":
    """Return a row for each price, see `Tape.to_frame`; events without one have a row, too."""
    import pandas as pd

    events = tape.events
    if symbol is not None:
        events = events[events["instrument"] == tape.index_of(symbol)]
    n_bids = events["n_bids"].astype(np.int64)
    counts = np.maximum(n_bids + events["n_asks"], 1)
    n = int(counts.sum())
    if n > MOST_ROWS:
        raise ValueError(
            f"to_frame makes at most {MOST_ROWS} rows, this tape has {n}: slice it first, "
            f"or resample it"
        )
    of = np.repeat(np.arange(events.size), counts)  # the event of each row
    place = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    is_empty = (n_bids + events["n_asks"] == 0)[of]
    at = np.where(is_empty, 0, events["first_level"][of] + place)
    if tape.levels.size:
        levels = tape.levels[at]
    else:
        levels = np.zeros(n, LEVEL)
    side = np.where(is_empty, 0, np.where(place < n_bids[of], 1, -1)).astype(np.int8)
    price, quantity = np.empty(n), np.empty(n)
    which = events["instrument"][of]
    for index, instrument in enumerate(tape.instruments):
        own = which == index
        price[own] = in_prices(instrument, levels["price_ticks"][own])
        quantity[own] = in_quantities(instrument, levels["qty_lots"][own])
    price[is_empty] = quantity[is_empty] = np.nan
    columns = {
        "venue_time": _index(events["venue_ns"][of]).where(events["venue_ns"][of] > 0),
        "symbol": pd.Categorical.from_codes(which.astype(np.int16), pd.Index(list(tape.symbols))),
        "kind": pd.Categorical.from_codes(events["kind"][of].astype(np.int8), pd.Index(KIND_NAMES)),
        "side": side,
        "price": price,
        "quantity": quantity,
        "update_id": events["update_id"][of],
        "event": of,
        "skip": events["flags"][of] & TAPE_SKIP != 0,
    }
    return pd.DataFrame(columns, index=_index(events["received_ns"][of]))


def trade_records(tape: "Tape", index: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return an instrument's trades as TAPE_EVENT and LEVEL, (n,) each."""
    events = tape.events
    keep = (events["kind"] == TapeKind.TRADE) & (events["flags"] & TAPE_SKIP == 0)
    trades = events[keep & (events["instrument"] == index)]
    return trades, tape.levels[trades["first_level"]]


def touch_records(tape: "Tape", index: int) -> NDArray[Any]:
    """Return the touch after each event of an instrument's book; `update_id` is the event's row."""
    keep = (tape.events["kind"] != TapeKind.TRADE) & (tape.events["flags"] & TAPE_SKIP == 0)
    n = int(np.count_nonzero(keep & (tape.events["instrument"] == index)))
    touches = np.zeros(n, BOOK_TOUCH)
    tape_book_path(empty_book(), tape.events, tape.words, np.zeros(2, np.int64), index, touches)
    return touches


def trades_frame(tape: "Tape", index: int) -> "pandas.DataFrame":
    """Return an instrument's trades, see `Tape.trades`."""
    import pandas as pd

    trades, levels = trade_records(tape, index)
    instrument = tape.instruments[index]
    columns = {
        "price": in_prices(instrument, levels["price_ticks"]),
        "quantity": in_quantities(instrument, levels["qty_lots"]),
        "side": np.where(trades["n_bids"] > 0, 1, -1).astype(np.int8),
        "trade_id": trades["update_id"],
        "venue_time": _index(trades["venue_ns"]).where(trades["venue_ns"] > 0),
    }
    return pd.DataFrame(columns, index=_index(trades["received_ns"]))


def touches_frame(tape: "Tape", index: int) -> "pandas.DataFrame":
    """Return the touch after each event of the book, see `Tape.touches`."""
    import pandas as pd

    touches = touch_records(tape, index)
    instrument = tape.instruments[index]
    columns: dict[str, Any] = {}
    for side in ("bid", "ask"):
        empty = touches[f"{side}_lots"] == 0
        prices = in_prices(instrument, touches[f"{side}_ticks"])
        columns[side] = np.where(empty, np.nan, prices)
        lots = in_quantities(instrument, touches[f"{side}_lots"])
        columns[f"{side}_qty"] = np.where(empty, np.nan, lots)
    frame = pd.DataFrame(columns, index=_index(tape.events["received_ns"][touches["update_id"]]))
    frame.insert(0, "mid", (frame["bid"] + frame["ask"]) / 2)
    # What signals and models take: exact whole numbers, 0 lots where a side is empty.
    for name in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots"):
        frame[name] = np.ascontiguousarray(touches[name])
    return frame


def bars_frame(tape: "Tape", index: int, step_ns: int) -> "pandas.DataFrame":
    """Return bars of equal length, see `Tape.resample`."""
    import pandas as pd

    if step_ns < 1:
        raise ValueError(f"step must be positive, got {step_ns} ns")
    start_ns = tape.start_ns // step_ns * step_ns
    n = (tape.end_ns - start_ns) // step_ns + 1 if len(tape) else 0
    if n > MOST_CELLS:
        raise ValueError(f"resample makes at most {MOST_CELLS} bars, got {n}: take a longer step")
    bars = np.zeros(n, TAPE_BAR)
    spare = np.zeros(2, np.int64)
    tape_bars(empty_book(), tape.events, tape.words, spare, index, start_ns, step_ns, bars)
    instrument = tape.instruments[index]
    nothing = bars["close_half_ticks"] == 0
    columns: dict[str, Any] = {}
    for name in ("open", "high", "low", "close"):
        mids = in_prices(instrument, bars[f"{name}_half_ticks"]) / 2
        columns[name] = np.where(bars[f"{name}_half_ticks"] == 0, np.nan, mids)
    for side in ("bid", "ask"):
        prices = in_prices(instrument, bars[f"{side}_ticks"])
        columns[side] = np.where(nothing, np.nan, prices)
        lots = in_quantities(instrument, bars[f"{side}_lots"])
        columns[f"{side}_qty"] = np.where(nothing, np.nan, lots)
    columns["buy_qty"] = in_quantities(instrument, bars["buy_lots"])
    columns["sell_qty"] = in_quantities(instrument, bars["sell_lots"])
    columns["trades"], columns["updates"] = bars["trades"], bars["updates"]
    times = start_ns + step_ns * np.arange(n, dtype=np.int64)
    return pd.DataFrame(columns, index=_index(times))


def depth_frame(
    tape: "Tape", index: int, step_ns: int, reach: int, levels: int
) -> "pandas.DataFrame":
    """Return the book on a time grid, see `Tape.depth`."""
    import pandas as pd

    if step_ns < 1:
        raise ValueError(f"step must be positive, got {step_ns} ns")
    times = np.arange(tape.start_ns + step_ns, tape.end_ns + step_ns + 1, step_ns, dtype=np.int64)
    if not len(tape):
        return pd.DataFrame()
    if times.size * 4 * levels > MOST_CELLS:
        raise ValueError(
            f"depth makes at most {MOST_CELLS} cells, got {times.size * 4 * levels}: take a longer "
            f"step, fewer levels or a slice"
        )
    out = np.zeros((times.size, 2 * levels, 2), np.int64)
    spare = np.zeros(2, np.int64)
    top = np.zeros(2 * levels, LEVEL)
    events, words = tape.events, tape.words
    tape_depths(empty_book(), events, words, spare, index, times, top, levels, out)
    best_bid, best_ask = out[:, 0, 0], out[:, levels, 0]
    both = (best_bid > 0) & (best_ask > 0)
    if not both.any():
        return pd.DataFrame(index=_index(times))
    low = int(best_bid[both].min()) - reach
    high = int(best_ask[both].max()) + reach
    grid = np.zeros((times.size, high - low + 1))
    for first, sign in ((0, -1.0), (levels, 1.0)):
        ticks, lots = out[:, first : first + levels, 0], out[:, first : first + levels, 1]
        seen = (ticks >= low) & (ticks <= high) & (lots > 0)
        rows = np.nonzero(seen)[0]
        grid[rows, ticks[seen] - low] = sign * in_quantities(tape.instruments[index], lots[seen])
    prices = in_prices(tape.instruments[index], np.arange(low, high + 1))
    return pd.DataFrame(grid, index=_index(times), columns=pd.Index(prices, name="price"))


def book_at(tape: "Tape", index: int, time_ns: int) -> OrderBook:
    """Return one instrument's book after the events received by `time_ns`."""
    instrument = tape.instruments[index]
    book = OrderBook(instrument.tick_size, instrument.lot_size)
    book.state = play_book(tape, index, bisect_ns(tape.events, time_ns + 1))
    return book
