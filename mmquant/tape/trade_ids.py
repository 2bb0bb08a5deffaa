"""Trades of tables: those that came twice are flagged, ids that are missing are counted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import TapeKind
from mmquant.state import TAPE_AGGREGATE, TAPE_SKIP

__all__ = ["TradeIds", "skip_repeated"]

_PIECE = 1 << 20  # rows looked at together, so that a mapped tape is never read whole


class TradeIds:
    """What the events do not say of one file's trade ids.

    Attributes
    ----------
    is_aggregate : bool
        Whether its trades bear the last id they sum up, so that their own are kept here.
    own : list of ndarray of int64
        The aggregates' own ids, in the order of their levels.
    left_out : list of ndarray of int64
        Ids of trades that no event was made of: they are not missing.
    """

    def __init__(self) -> None:
        self.is_aggregate = False
        self.own: list[NDArray[np.int64]] = []
        self.left_out: list[NDArray[np.int64]] = []


def skip_repeated(
    events: NDArray[Any],
    levels: NDArray[Any],
    files: list[TradeIds],
    levels_of: list[int],
    is_consecutive: bool,
) -> int:
    """Flag trades that came before with TAPE_SKIP; return how many ids are missing.

    The same trade has the same id, price and quantity. Trades without an id are left alone. It
    takes 24 bytes of memory a trade.

    Parameters
    ----------
    events : ndarray of TAPE_EVENT
        In order; trades without an id have an `update_id` of 0.
    levels : ndarray of LEVEL
    files : list of TradeIds
        Of each file; the own ids are emptied.
    levels_of : list of int
        Each file's first level, and behind the last one.
    is_consecutive : bool
        Whether the venue numbers each instrument's trades one by one; else none is missing.
    """
    missing = 0
    for flag in (0, TAPE_AGGREGATE):
        rows = _trades(events, flag)
        if not rows.size:
            continue
        own_files = [one for one in files if one.is_aggregate == bool(flag)]
        left_out = [part for one in own_files for part in one.left_out]
        ids = _own_ids(events, rows, files, levels_of) if flag else events["update_id"][rows]
        missing += _skip(events, levels, rows, ids, left_out, is_consecutive)
    return missing


def _trades(events: NDArray[Any], flag: int) -> NDArray[np.int64]:
    """Return the rows of trades that have an id, aggregates or single ones."""
    rows = [np.zeros(0, np.int64)]
    for at in range(0, events.size, _PIECE):
        part = events[at : at + _PIECE]
        own = (part["kind"] == TapeKind.TRADE) & (part["update_id"] > 0)
        rows.append(at + np.flatnonzero(own & (part["flags"] & TAPE_AGGREGATE == flag)))
    return np.concatenate(rows)


def _own_ids(
    events: NDArray[Any], rows: NDArray[np.int64], files: list[TradeIds], levels_of: list[int]
) -> NDArray[np.int64]:
    """Return the aggregates' own ids: found by their levels, which no sorting moves."""
    by_level = np.zeros(levels_of[-1], np.int64)
    for one, at in zip(files, levels_of, strict=False):
        for part in one.own:
            by_level[at : at + part.size] = part
            at += part.size
        one.own.clear()
    ids: NDArray[np.int64] = by_level[events["first_level"][rows]]
    return ids


def _skip(
    events: NDArray[Any],
    levels: NDArray[Any],
    rows: NDArray[np.int64],
    ids: NDArray[np.int64],
    left_out: list[NDArray[np.int64]],
    is_consecutive: bool,
) -> int:
    order = None  # of the ids; mostly they ascend as they are
    if any((np.diff(ids[at : at + _PIECE + 1]) <= 0).any() for at in range(0, ids.size, _PIECE)):
        order = np.argsort(ids, kind="stable")
    repeated = 0
    for at in range(0, ids.size if order is not None else 0, _PIECE):
        assert order is not None
        part = order[at : at + _PIECE + 1]
        pair = np.flatnonzero(np.diff(ids[part]) == 0)
        before, again = rows[part[pair]], rows[part[pair + 1]]
        one, other = (levels[events["first_level"][which]] for which in (before, again))
        events["flags"][again[one == other]] |= TAPE_SKIP
        repeated += again.size
    if not is_consecutive:
        return 0
    low, high = int(ids.min()), int(ids.max())
    known = np.unique(np.concatenate([np.zeros(0, np.int64), *left_out]))
    known = known[(known > low) & (known < high)]
    at_ids = np.searchsorted(ids, known, sorter=order)
    found = ids[at_ids] if order is None else ids[order[at_ids]]
    return high - low + 1 - (ids.size - repeated) - int(np.count_nonzero(found != known))
