"""Sizes that orders, quotes and accounts share."""

__all__ = ["MAX_EVENTS", "MAX_LEVELS", "MAX_MARKOUTS", "MAX_ORDERS", "NEVER_NS"]

MAX_LEVELS = 16  # a side
MAX_ORDERS = 64  # own orders alive at once
# One call ends at most MAX_ORDERS orders that it found (opened, filled, reported, cancelled)
# and enters 2 * MAX_LEVELS new ones.
MAX_EVENTS = 4 * MAX_ORDERS + 2 * 2 * MAX_LEVELS
MAX_MARKOUTS = 1024  # fills that wait for their markout; a power of two
NEVER_NS = 2**63 - 1
