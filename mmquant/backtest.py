"""tape + parameters -> result: the stages that run live, in one compiled loop.

The loop is mmquant.kernels.backtest; what comes of it is mmquant.backtest_result.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import number, whole
from mmquant.account_settings import account_of, inverse_scale_at
from mmquant.backtest_faults import faults_of
from mmquant.backtest_profit import BRACKET
from mmquant.backtest_result import InstrumentResult, Result
from mmquant.backtest_tape import check_tape, doubts_of
from mmquant.codes import Market
from mmquant.configure import (
    Config,
    load_config,
    load_model,
    model_name,
    pricing_record,
    simulator_record,
    strategy_record,
)
from mmquant.kernels.backtest import DONE, Desk, Rows, backtest_run
from mmquant.kernels.backtest_bracket import Bracket
from mmquant.kernels.tape_message import MESSAGE_WORDS
from mmquant.models import MODELS
from mmquant.pricing_model import load_fair_value
from mmquant.records import FILL, INSTRUMENT, LEVEL, POSITION, PRICING, QUOTES
from mmquant.simulator_settings import recorded_latencies, simulator_state
from mmquant.state import (
    BACKTEST,
    BACKTEST_FUNDING,
    BACKTEST_MARK,
    BACKTEST_QUOTE,
    BACKTEST_SAMPLE,
    BOOK,
    EVENT,
    MAX_EVENTS,
    MAX_KNOWN_ORDERS,
    MAX_LEVELS,
    MODEL_INPUTS,
    MODEL_QUOTES,
    NEVER_NS,
    PRICING_STATE,
    STRATEGY_COUNTS,
    STRATEGY_INPUTS,
    STRATEGY_STATE,
)
from mmquant.tape.progress import Progress

__all__ = ["Config", "Result", "load_config", "run"]

_MS = 1_000_000
_GATE_INTERVAL_NS = 20 * _MS  # of mm_strategy
_POSITION_INTERVAL_NS = 1_000 * _MS  # of mm_simulator
_MIN_CLEAR_LEVELS = 4_096  # room for the levels that a CLEAR removes
_LEAST_ROWS, _MOST_ROWS = 16_384, 1 << 20  # to begin with
_ROWS_A_TURN = 200_000
_PARTS = 1_000  # of a bar
_FILTERS = {  # what the venue may ask for; 0 where it asks nothing
    "min_price_ticks": 1,
    "max_price_ticks": 2**52,
    "min_qty_lots": 1,
    "max_qty_lots": 2**52,
    "min_notional_e8": 0,
    "max_notional_e8": 0,
    "buy_up_e8": 0,
    "buy_down_e8": 0,
    "sell_up_e8": 0,
    "sell_down_e8": 0,
    "max_orders": 0,
}


class TapeLike(Protocol):
    """What is read of a mmquant.tape.Tape."""

    events: NDArray[Any]
    levels: NDArray[Any]
    source: str

    @property
    def instruments(self) -> Sequence[Any]:
        """Tick, lot, symbol and market of each."""


def run(
    tape: TapeLike,
    strategy: Mapping[str, Any] | None = None,
    pricing: Mapping[str, Any] | None = None,
    simulator: Mapping[str, Any] | None = None,
    *,
    model: Callable[..., int] | str | None = None,
    model_parameters: Mapping[str, float] | None = None,
    config: Config | None = None,
    symbols: Sequence[str] | None = None,
    filters: Mapping[str, int] | None = None,
    sample_ms: float = 100.0,
    bracket: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> Result:
    """Trade a tape with the functions that trade live.

    Parameters
    ----------
    tape : mmquant.tape.Tape
        Rows in order of `received_ns`.
    strategy, pricing, simulator : mapping, optional
        What differs from `config`: keys of strategy.toml, pricing.toml and simulator.toml, tables
        as dicts or with a dot (`{"gates.pause_s": 5}`).
    model : function or str, optional
        In place of strategy.toml's: an @njit function `model(inputs, params, out) -> int` (see
        mmquant.state.model), a name of mmquant.models, or `module:function`.
    model_parameters : mapping, optional
        In place of strategy.toml's.
    config : Config, optional
        From load_config; the services' defaults when left out.
    symbols : sequence of str, optional
        All of the tape's when left out. Each is traded by itself, with an account of its own.
    filters : mapping, optional
        The venue's filters: fields of records.INSTRUMENT, such as `min_notional_e8`, whole numbers
        that are not negative. Without, only tick and lot are held to.
    sample_ms : float
        Least time between two rows of `result.signals()`.
    bracket : bool
        Run the three models of simulator.toml's [bracket], too, on the same quotes: profit under
        each in `result.bracket()`. Whether it runs live (`enabled`) does not matter here.
    on_progress : function, optional
        Told the share of the tape that is done. Without it a run that takes long has a bar, on a
        terminal and in a notebook.

    Returns
    -------
    Result

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the file's key or the tape's row, the rule, what was received and
        what to do. What a model of one's own raises comes with the row at which it did.
    """
    changes = dict(strategy or {})
    if model is not None:
        changes["model"] = model
        changes.setdefault("model_parameters", {} if model_parameters is None else model_parameters)
    elif model_parameters is not None:
        changes["model_parameters"] = model_parameters
    if config is not None and not isinstance(config, Config):
        raise TypeError(f"config must be a Config, got {config!r}: load_config('config') is one")
    config = (config or Config()).changed(strategy=changes, pricing=pricing, simulator=simulator)
    check_tape(tape)
    filters = _checked(filters)
    numbers = _numbers(tape, symbols)
    results = []
    with _told(on_progress) as told:
        for k, index in enumerate(numbers):
            traded = _Traded(tape, index, config, filters, sample_ms, bracket)
            results.append(traded.run(told, k / len(numbers), 1.0 / len(numbers)))
    doubts = [*doubts_of(tape, numbers), *_reference_doubts(tape, config)]
    return Result(results, config, tape.source, doubts)


@contextmanager
def _told(on_progress: Callable[[float], None] | None) -> Iterator[Callable[[float], None]]:
    """Give who is told what share is done: the caller's function, or a bar."""
    if on_progress is not None:
        yield on_progress
        return
    with Progress("backtest", _PARTS) as bar:
        yield lambda share: bar.advance(int(share * _PARTS) - bar.done)


def _numbers(tape: TapeLike, symbols: Sequence[str] | None) -> list[int]:
    known = [instrument.symbol for instrument in tape.instruments]
    if isinstance(symbols, str):
        raise TypeError(f"symbols must be a list of symbols, got {symbols!r}: [{symbols!r}]")
    wanted = known if symbols is None else list(symbols)
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"symbols must name each one once, got {', '.join(map(str, wanted))}")
    for symbol in wanted:
        if symbol not in known:
            raise ValueError(f"symbols must be among {', '.join(known)}, got {symbol!r}")
    if not wanted:
        raise ValueError("symbols must name at least one, got none")
    return [known.index(symbol) for symbol in wanted]


class _Writable:
    """The same memory, said to be writable."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.__array_interface__ = {
            **array.__array_interface__,
            "data": (array.__array_interface__["data"][0], False),
        }


def _as_compiled(array: NDArray[Any]) -> NDArray[Any]:
    """Return `array` as the kernel is compiled for: one kind, contiguous and writable.

    A tape mapped from disk is neither written to by the kernel nor copied for it.
    """
    if not array.flags.c_contiguous:
        return array.copy()
    if array.flags.writeable:
        return array
    writable: NDArray[Any] = np.asarray(_Writable(array.view(np.uint8))).view(array.dtype)
    return writable


def _checked(filters: Mapping[str, int] | None) -> dict[str, int]:
    """Return all filters, as given or as nothing is asked for; refuse what is none."""
    if filters is not None and not isinstance(filters, Mapping):
        raise TypeError(
            f"filters must be a mapping of names to whole numbers, got {filters!r}: pass a dict"
        )
    for name in filters or {}:
        if name not in _FILTERS:
            raise ValueError(f"filters must be among {', '.join(_FILTERS)}, got {name!r}")
    given = {name: whole(f"filters: {name}", n, 0) for name, n in (filters or {}).items()}
    return {**_FILTERS, **given}


def _instrument(row: Any, number_: int, filters: Mapping[str, int]) -> NDArray[Any]:
    record = np.zeros(1, INSTRUMENT)
    values = {
        **filters,
        "instrument_id": number_ + 1,
        "symbol": row.symbol.encode(),
        "tick_size_e8": row.tick_size_e8,
        "lot_size_e8": row.lot_size_e8,
        "market": int(row.market),
    }
    for name, value in values.items():
        record[name] = value
    return record


def _first_half_ticks(tape: TapeLike, index: int) -> int:
    """Return twice the first price that the tape has of an instrument; 1 without one."""
    events = tape.events
    priced = (events["instrument"] == index) & (events["n_bids"] + events["n_asks"] > 0)
    first = int(np.argmax(priced))
    if not priced[first]:
        return 1
    return 2 * int(tape.levels[int(events[first]["first_level"])]["price_ticks"])


class _Traded:
    """One instrument's run."""

    def __init__(
        self,
        tape: TapeLike,
        index: int,
        config: Config,
        filters: Mapping[str, int],
        sample_ms: float,
        bracket: bool = False,
    ) -> None:
        self._events = _as_compiled(tape.events)
        self._words = _as_compiled(tape.levels).view(np.int64)
        self._instrument = _instrument(tape.instruments[index], index, filters)
        self._source = tape.source
        market = Market(int(self._instrument[0]["market"]))
        strategy = config.strategy
        pricing_params = pricing_record(config.pricing, config.folder)
        strategy_params = strategy_record(strategy, self._instrument)
        sim_params = simulator_record(config.simulator, market)
        self._model, model_params = load_model(
            strategy["model"], strategy["model_parameters"], config.folder
        )
        self._run = np.zeros(1, BACKTEST)
        r = self._run[0]
        r["instrument"] = index
        reference = _reference_of(tape, index, config)
        r["reference"] = reference
        r["reference_tick_size_e8"] = tape.instruments[reference].tick_size_e8
        r["is_pure"] = strategy["model"] in MODELS  # of one's own, nobody knows
        r["pricing_interval_ns"] = config.pricing["publish_interval_ms"] * _MS
        r["quotes_interval_ns"] = strategy["republish_interval_ms"] * _MS
        r["gate_interval_ns"] = _GATE_INTERVAL_NS
        r["position_interval_ns"] = _POSITION_INTERVAL_NS
        r["sample_interval_ns"] = round(number("sample_ms", sample_ms, 0.001, 1e9) * _MS)
        scale = inverse_scale_at(_first_half_ticks(tape, index))
        self._kind, funding = account_of(config.simulator, self._instrument, scale)
        r["funding_rate_e8"] = funding.rate_e8
        r["funding_interval_ns"] = funding.interval_ns
        r["funding_ns"] = NEVER_NS  # the first row sets it, where anything is paid
        models = config.simulator["bracket"] if bracket else {}
        beside = [
            simulator_record({**config.simulator, "fill_model": models[name]}, market)
            for name in BRACKET
            if models
        ]
        counts = tape.events["n_bids"].astype(np.int64) + tape.events["n_asks"]
        most = max(_MIN_CLEAR_LEVELS, int(counts.max()))
        self._desk = _desk(
            self._instrument,
            pricing_params,
            load_fair_value(
                config.pricing["fair_value"], config.pricing["fair_value_params"], config.folder
            ),
            strategy_params,
            model_params,
            sim_params,
            self._kind.empty(),
            whole("simulator seed", config.simulator["seed"], 0),
            MESSAGE_WORDS + 2 * most,
            beside,
            reference,
        )
        self._names = _names_of(config)
        # Of memory that nothing is written to the system gives none: better too long than grown.
        self._rows = _rows(min(max(_LEAST_ROWS, 2 * tape.events.size), _MOST_ROWS))

    def run(self, tell: Callable[[float], None], done: float, share: float) -> InstrumentResult:
        """Trade to the end of the tape; tell what is done of the whole, of which it is a share."""
        size = self._events.size
        while int(self._run[0]["row"]) < size:
            last = min(size, int(self._run[0]["row"]) + _ROWS_A_TURN)
            try:
                code = backtest_run(
                    self._run, self._events, self._words, last, self._desk, self._model, self._rows
                )
            except Exception as error:  # kernels raise nothing: it is the model's
                raise self._of_model(error) from error
            if code != DONE:
                _grow(self._rows, self._run)
            tell(done + share * float(self._run[0]["row"]) / size)
        one = InstrumentResult(self._instrument, self._kind, self._run, self._desk, self._rows)
        one.faults = faults_of(one, self._events["received_ns"], self._names)
        return one

    def _of_model(self, error: Exception) -> ValueError:
        files = {"model": "strategy.toml", "fair_value": "pricing.toml"}
        own = [
            f"{files[key]}: {key} {name}" for key, name in self._names.items() if name not in MODELS
        ]
        row, now_ns = int(self._run[0]["row"]), int(self._run[0]["now_ns"])
        remedy = "answer a codes.Reason instead of raising where it cannot quote"
        if isinstance(error, IndexError):
            remedy = "set every parameter that it reads, and read no others"
        return ValueError(
            f"{' or '.join(own)} raised {type(error).__name__}: {error}; at event "
            f"{row} of {self._source}, received_ns {now_ns}: {remedy}"
        )


def _reference_of(tape: TapeLike, index: int, config: Config) -> int:
    """Return which instrument the basis is measured against, -1 where the tape has it not."""
    symbols = [instrument.symbol for instrument in tape.instruments]
    symbol = config.pricing["reference"]["symbol"]
    if symbol not in symbols or symbol == symbols[index]:
        return -1
    return symbols.index(symbol)


def _reference_doubts(tape: TapeLike, config: Config) -> list[str]:
    symbol = config.pricing["reference"]["symbol"]
    symbols = [instrument.symbol for instrument in tape.instruments]
    if not symbol or symbol in symbols:
        return []
    return [
        f"pricing.toml: reference.symbol {symbol!r} has no effect here: the tape has "
        f"{', '.join(symbols)} alone, so the basis is unknown (live it is known): give a tape of "
        'both, or set the factors of the basis to 0 and reference.symbol to ""'
    ]


def _names_of(config: Config) -> dict[str, str]:
    """Return what the models are called; a fair value only where it is not the blend."""
    chosen = {"model": config.strategy["model"], "fair_value": config.pricing["fair_value"]}
    return {
        key: model_name(value, config.folder)
        for key, value in chosen.items()
        if not (key == "fair_value" and value == "blend")
    }


def _desk(
    instrument: NDArray[Any],
    pricing_params: NDArray[Any],
    fair_value: tuple[Any, NDArray[np.float64]],
    strategy_params: NDArray[Any],
    model_params: NDArray[np.float64],
    sim_params: NDArray[Any],
    account: NDArray[Any],
    seed: int,
    words: int,
    beside: Sequence[NDArray[Any]],
    reference: int,
) -> Desk:
    pricing_state = np.zeros(1, PRICING_STATE)
    pricing_state["feed_ok"] = 1
    pricing_state["instrument_id"] = instrument["instrument_id"]
    others = 0 if reference < 0 else 1
    reference_state = np.repeat(pricing_state, others)
    reference_state["instrument_id"] = reference + 1
    inputs = np.zeros(1, STRATEGY_INPUTS)
    inputs["upstream_ok"] = 1
    sim = simulator_state(seed)
    strategy_state = np.zeros(1, STRATEGY_STATE)
    strategy_words = strategy_state.view(np.int64)
    sim["instrument_id"] = instrument["instrument_id"]
    models = len(beside)
    return Desk(
        instrument=instrument,
        pricing_params=pricing_params,
        pricing_model=fair_value[0],
        pricing_model_params=fair_value[1],
        pricing_state=pricing_state,
        pricing_draft=np.zeros(1, PRICING),
        pricing=np.zeros(1, PRICING),
        reference_state=reference_state,
        reference_book=np.zeros(others, BOOK),
        reference_draft=np.zeros(others, PRICING),
        strategy_params=strategy_params,
        strategy_state=strategy_state,
        strategy_words=strategy_words,
        strategy_before=np.zeros(STRATEGY_COUNTS, np.int64),
        model_params=model_params,
        inputs=inputs,
        model_inputs=np.zeros(1, MODEL_INPUTS),
        model_quotes=np.zeros(1, MODEL_QUOTES),
        quotes=np.zeros(1, QUOTES),
        levels=np.zeros(2 * MAX_LEVELS, LEVEL),
        sim_params=sim_params,
        sim=sim,
        book=np.zeros(1, BOOK),
        account=account,
        recorded=recorded_latencies(()),
        fill=np.zeros(1, FILL),
        position=np.zeros(1, POSITION),
        words=np.zeros(words, np.int64),
        known_ids=np.zeros(MAX_KNOWN_ORDERS, np.int64),
        known_tick_lots=np.zeros(MAX_KNOWN_ORDERS, np.int64),
        bracket=Bracket(
            params=np.concatenate([*beside, sim_params[:0]]),
            sim=np.repeat(sim, models),
            account=np.repeat(account, models),
            events=np.zeros((models, MAX_EVENTS), EVENT),
            counts=np.zeros(models, np.int64),
        ),
    )


def _rows(size: int) -> Rows:
    """Return room for rows, of which each is written whole: zeros would be written twice.

    In a process that has had results before, the allocator would write all of the room, too.
    """
    fewer = size // 2  # than events, of which an order has several
    return Rows(
        np.empty(size, EVENT),
        np.empty(fewer, POSITION),
        np.empty(fewer, np.int64),
        np.empty(fewer, BACKTEST_QUOTE),
        np.empty(fewer, BACKTEST_SAMPLE),
        np.empty(fewer, BACKTEST_FUNDING),
        np.empty(fewer, BACKTEST_MARK),
    )


def _grow(rows: Rows, run: NDArray[Any]) -> None:
    """Give `rows` more room where there is little left.

    In place: the allocator moves the pages of a long array, and no row is there twice.
    """
    r = run[0]
    names = ("events", "positions", "positions", "quotes", "samples", "fundings", "marks")
    for array, name in zip(rows, names, strict=True):
        if array.size - int(r[name]) < max(2 * MAX_EVENTS, array.size // 4):
            array.resize(array.size + array.size // 4, refcheck=False)  # views come at the end
