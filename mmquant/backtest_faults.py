"""A backtest's rows -> what its models did wrong: answers that cannot be traded on, and since when.

A model that refuses with a codes.Reason of its own does nothing wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import PricingFlag, Reason
from mmquant.models import MODELS

__all__ = ["Faults", "faults_of", "no_number_s"]

_S = 1_000_000_000
# What a model answered, and what to do.
_ANSWERS = {
    Reason.NOT_FINITE: (
        "prices that are no numbers",
        "look for a division by 0, or an input that is 0 or NaN there; where it cannot quote let "
        "it answer a codes.Reason",
    ),
    Reason.MODEL_SPREAD: ("a bid above its ask", "let it answer a bid below the ask"),
    Reason.INTERNAL_ERROR: ("a reason that there is not", "let it answer 0 or a codes.Reason"),
}
_OF_A_PARAMETER = "look at [model_parameters] of strategy.toml"
_USABLE = (Reason.NONE, Reason.OWN_SPREAD_TOO_NARROW, Reason.OWN_SPREAD_TOO_WIDE)


@dataclass(frozen=True, slots=True)
class Faults:
    """What is said of one instrument's models.

    Attributes
    ----------
    failures : tuple of str
        A model never answered what can be traded on: the result says nothing about it.
    doubts : tuple of str
        It did sometimes.
    """

    failures: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def no_number_s(quotes: NDArray[Any], end_ns: int) -> float:
    """Return for how long the model's last answer was no number."""
    return _seconds(quotes, end_ns, Reason.NOT_FINITE)


def _seconds(quotes: NDArray[Any], end_ns: int, reason: Reason) -> float:
    spans = np.diff(np.append(quotes["now_ns"], end_ns))
    return float(spans[quotes["reason"] == reason].sum()) / _S


def faults_of(one: Any, received_ns: NDArray[np.int64], models: Mapping[str, str]) -> Faults:
    """Return what the models of one instrument's run did wrong.

    Parameters
    ----------
    one : InstrumentResult
    received_ns : ndarray, shape (n,)
        Of the tape's events.
    models
        What is said of the functions at `model` and `fair_value`; no `fair_value` where the
        prices are the blend's.
    """
    failures, doubts = [], []
    q = one.quotes
    is_of_use = bool(np.isin(q["reason"], _USABLE).any())
    for reason, (what, remedy) in _ANSWERS.items():
        rows = q[q["reason"] == reason]
        if not rows.size:
            continue
        who = f"{one.symbol}: the model {models['model']}"
        since = _since(received_ns, int(rows[0]["now_ns"]))
        if models["model"] in MODELS:
            remedy = _OF_A_PARAMETER
        if is_of_use:
            seconds = _seconds(q, int(one.run[0]["now_ns"]), reason)
            times = "once" if rows.size == 1 else f"{rows.size} times"
            doubts.append(
                f"{who} answered {what} ({reason.name}) {times}, {seconds:.1f} s in all, {since}: "
                f"nothing is quoted then; {remedy}"
            )
        else:
            failures.append(
                f"{who} never answered what can be quoted, but {what} ({reason.name}), {since}: "
                f"{remedy}"
            )
    if "fair_value" in models:
        _judge_prices(one, received_ns, models["fair_value"], failures, doubts)
    return Faults(tuple(failures), tuple(doubts))


def _since(received_ns: NDArray[np.int64], now_ns: int) -> str:
    row = int(np.searchsorted(received_ns, now_ns, "right")) - 1
    return f"first at event {row} of the tape, received_ns {now_ns}"


def _judge_prices(
    one: Any, received_ns: NDArray[np.int64], name: str, failures: list[str], doubts: list[str]
) -> None:
    """Add what is said of a fair value of one's own, by the samples of two-sided books."""
    s = one.samples[(one.samples["bid_lots"] > 0) & (one.samples["ask_lots"] > 0)]
    without = s[s["flags"] & PricingFlag.NO_FAIR_VALUE > 0]
    if not without.size:
        return
    since = _since(received_ns, int(without[0]["now_ns"]))
    who = f"{one.symbol}: the fair value {name}"
    if without.size < s.size:
        doubts.append(
            f"{who} had no price in {without.size} of {s.size} samples (no number, or it refused), "
            f"{since}: nothing is quoted then"
        )
    else:
        failures.append(
            f"{who} never had a price (no number, or it refused), {since}: set "
            'out[0]["fair_value_ticks"] to a number and answer 0'
        )
