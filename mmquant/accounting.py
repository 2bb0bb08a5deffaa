"""fills + mids -> position, profit and where it came from.

To restore an account after a restart: `Account.restore(position, fills)` takes the last position
published and the fills recorded since, or all fills ever and no position.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import one_record, whole
from mmquant.codes import Side
from mmquant.kernels.accounting import (
    account_fill,
    account_from_position,
    account_mark,
    account_replay,
    account_to_position,
)
from mmquant.records import FILL, INSTRUMENT, POSITION
from mmquant.state import ACCOUNT

__all__ = ["Account"]

_MOST_NOTIONAL = 2**52
_MOST_FEES = 2**62
_MOST_PPM = 1_000_000


class Account:
    """Position and profit of one instrument, in exact integers.

    Parameters
    ----------
    horizon_ns : int
        Time after a fill at which its adverse selection is measured.

    Attributes
    ----------
    state : ndarray of state.ACCOUNT, shape (1,)
        What the kernels take.
    """

    def __init__(self, horizon_ns: int) -> None:
        self.horizon_ns = whole("horizon_ns", horizon_ns, 1)
        self.state: NDArray[Any] = np.zeros(1, ACCOUNT)

    @classmethod
    def restore(
        cls, horizon_ns: int, fills: NDArray[Any], position: NDArray[Any] | None = None
    ) -> "Account":
        """Return the account as it was before a restart.

        Position, total, spread and fees are exact. A replayed fill, and one that still waited
        for its markout, gets none: what it would have been stays in inventory.

        Parameters
        ----------
        horizon_ns : int
        fills : ndarray of records.FILL, shape (n,)
            In the order of their ids; those that `position` already contains are skipped.
        position : ndarray of records.POSITION, shape (1,), optional
            The last one published.

        Raises
        ------
        ValueError
            If a fill's recorded position is not the one its predecessors lead to.
        """
        account = cls(horizon_ns)
        if fills.dtype != FILL:
            raise TypeError(f"fills must be an array of records.FILL, got {fills.dtype}")
        if position is not None:
            account_from_position(one_record("position", position, POSITION), account.state)
        code = account_replay(account.state, np.array(fills, FILL))
        if code < 0:
            fill = fills[-1 - code]
            raise ValueError(
                f"fills must be complete and in order, got position_lots {fill['position_lots']} "
                f"after fill_id {fill['fill_id']} where the fills before it lead to "
                f"{account.position_lots}: restore from all fills"
            )
        return account

    def fill(
        self,
        side: int,
        price_ticks: int,
        qty_lots: int,
        fee_ppm: int,
        mark_half_ticks: int,
        now_ns: int,
    ) -> int:
        """Book one fill and return its fee in millionths of a tick-lot.

        Parameters
        ----------
        side : int
            codes.Side: 1 we bought, -1 we sold.
        price_ticks, qty_lots : int
        fee_ppm : int
            Fee in millionths of the notional, negative for a rebate.
        mark_half_ticks : int
            Best bid + best ask just before whatever filled us.
        now_ns : int

        Raises
        ------
        TypeError, ValueError
            Naming the field, the rule and the value received.
        OverflowError
            If the notional or the fees leave the range in which integers are exact.
        """
        if side not in (Side.BUY, Side.SELL):
            raise ValueError(f"side must be 1 (we bought) or -1 (we sold), got {side}")
        price = whole("price_ticks", price_ticks, 1)
        qty = whole("qty_lots", qty_lots, 1)
        ppm = whole("fee_ppm", fee_ppm, -_MOST_PPM, _MOST_PPM)
        mark = whole("mark_half_ticks", mark_half_ticks, 1)
        lots = qty + abs(self.position_lots)
        fees = abs(price * qty * ppm) + abs(int(self.state[0]["fees_micro_tick_lots"]))
        if lots * max(price, mark) > _MOST_NOTIONAL or fees > _MOST_FEES:
            raise OverflowError(
                f"price_ticks {price} times qty_lots {qty} is too large to count exactly: "
                "use a larger tick or lot"
            )
        now = whole("now_ns", now_ns, 0)
        return account_fill(self.state, int(side), price, qty, ppm, mark, now, self.horizon_ns)

    def mark(self, mark_half_ticks: int, now_ns: int) -> None:
        """Move the mark to `mark_half_ticks` (best bid + best ask)."""
        mark = whole("mark_half_ticks", mark_half_ticks, 1)
        account_mark(self.state, mark, whole("now_ns", now_ns, 0))

    @property
    def position_lots(self) -> int:
        """Lots held, negative when short."""
        return int(self.state[0]["position_lots"])

    @property
    def fills(self) -> int:
        """Number of fills so far."""
        return int(self.state[0]["fills"])

    def position(self, now_ns: int | None = None) -> NDArray[Any]:
        """Return the records.POSITION block at `now_ns` (by default the latest time seen)."""
        out = np.zeros(1, POSITION)
        now = int(self.state[0]["now_ns"]) if now_ns is None else whole("now_ns", now_ns, 0)
        account_to_position(self.state, 0, 0, 0, 0, now, out)
        return out

    def profit(self, instrument: NDArray[Any]) -> dict[str, float]:
        """Return the profit and where it came from, in the quote currency.

        Parameters
        ----------
        instrument : ndarray of records.INSTRUMENT, shape (1,)

        Returns
        -------
        dict
            total, spread, adverse_selection, inventory, fees;
            total = spread + adverse_selection + inventory - fees.
        """
        i = one_record("instrument", instrument, INSTRUMENT)[0]
        tick_lot = int(i["tick_size_e8"]) * int(i["lot_size_e8"]) * 1e-16
        s = self.state[0]
        parts = ("spread", "adverse_selection", "inventory")
        halves = {part: int(s[f"{part}_half_tick_lots"]) for part in parts}
        fees_micro = int(s["fees_micro_tick_lots"])
        total_micro = sum(halves.values()) * 500_000 - fees_micro
        return {
            "total": total_micro * 1e-6 * tick_lot,
            **{part: half * 0.5 * tick_lot for part, half in halves.items()},
            "fees": fees_micro * 1e-6 * tick_lot,
        }
