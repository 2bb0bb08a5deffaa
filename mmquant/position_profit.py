"""position message -> profit and where it came from, in the quote asset, for people."""

from typing import Any

__all__ = ["profit_of"]

_PARTS = ("spread", "adverse_selection", "inventory")
_E8 = 1e8
_MICRO = 1e6


def profit_of(position: Any, instrument: Any) -> dict[str, float]:
    """Return profit and its parts in the quote asset.

    Parameters
    ----------
    position : record of records.POSITION
    instrument : record of records.INSTRUMENT

    Returns
    -------
    dict
        total = spread + adverse_selection + inventory - fees + funding + fee_revaluation, as in
        `mmquant.Account.profit`; an inverse contract's coins count as what they are worth at the
        position's mark.
    """
    p = position
    unit = float(instrument["tick_size_e8"]) / _E8 * float(instrument["lot_size_e8"]) / _E8
    unit *= float(p["quote_worth"]) or 1.0  # 0: an older sender knew linear contracts alone
    parts = {name: int(p[f"{name}_half_tick_lots"]) / 2 * unit for name in _PARTS}
    fees = int(p["fees_micro_tick_lots"]) / _MICRO * unit
    funding = int(p["funding_micro_tick_lots"]) / _MICRO * unit
    lost = 2 * int(p["base_fees_micro_tick_lots"])
    lost -= int(p["base_fees_micro_lots"]) * int(p["mark_half_ticks"])
    revaluation = lost / 2 / _MICRO * unit
    gross = int(p["total_half_tick_lots"]) / 2 * unit
    total = gross - fees + funding + revaluation
    rest = {"fees": fees, "funding": funding, "fee_revaluation": revaluation}
    return {"total": total, **parts, **rest}
