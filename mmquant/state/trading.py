"""Sizes that orders, quotes and accounts share."""

__all__ = ["MAX_EVENTS", "MAX_GONE", "MAX_LEVELS", "MAX_MARKOUTS", "MAX_ORDERS", "NEVER_NS"]

MAX_LEVELS = 16  # a side
MAX_ORDERS = 64  # own orders alive at once
MAX_GONE = 64  # cancelled or amended ones that what the venue did before may still fill
# One call opens, amends, fills (with a report) and cancels each order that it found, enters
# 2 * MAX_LEVELS new ones, lets takers empty MAX_LEVELS levels a side, two events each, and fills
# (with a report) each order that is gone.
MAX_EVENTS = 6 * MAX_ORDERS + 2 * 2 * MAX_LEVELS + 2 * 2 * MAX_LEVELS + 2 * MAX_GONE
MAX_MARKOUTS = 1024  # fills that wait for their markout; a power of two
NEVER_NS = 2**63 - 1
