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
        ("funding_micro_tick_lots", "<i8"),  # received, negative where paid
        ("turnover_tick_lots", "<i8"),  # price times lots of all fills
        # Fees paid in another asset than the profit's, and what they were worth when paid.
        ("base_fees_micro_lots", "<i8"),
        ("base_fees_micro_tick_lots", "<i8"),
        ("other_fees_e8", "<i8"),
        ("other_fees_micro_tick_lots", "<i8"),
        # What kind of account it is; all zero is a linear contract with fees in its quote asset.
        ("fee_asset", "<i8"),
        ("inverse_scale", "<i8"),
        ("other_price_micro_tick_lots", "<i8"),  # of one whole unit of the fees' asset
        ("quote_worth_per_half_tick", "<f8"),  # inverse: POSITION's quote_worth at a mark of 1
    ],
    24776,
)
