"""State of an account."""

from mmquant.records import record
from mmquant.state.trading import MAX_MARKOUTS

__all__ = ["ACCOUNT"]

ACCOUNT = record(
    [
        ("now_ns", "<i8"),
        ("position_lots", "<i8"),
        ("cost_half_tick_lots", "<i8"),  # what the open position cost (negative when short)
        ("cash_half_tick_lots", "<i8"),
        ("mark_half_ticks", "<i8"),
        ("spread_half_tick_lots", "<i8"),
        ("adverse_selection_half_tick_lots", "<i8"),
        ("inventory_half_tick_lots", "<i8"),
        ("fees_micro_tick_lots", "<i8"),
        ("fills", "<i8"),
        ("last_fill_id", "<i8"),
        ("markouts", "<i8"),
        ("markouts_dropped", "<i8"),  # fills that will never have one
        ("waiting_first", "<i8"),
        ("waiting", "<i8"),
        ("waiting_due_ns", "<i8", (MAX_MARKOUTS,)),
        ("waiting_signed_lots", "<i8", (MAX_MARKOUTS,)),
        ("waiting_mark_half_ticks", "<i8", (MAX_MARKOUTS,)),
    ],
    24696,
)
