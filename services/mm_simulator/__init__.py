"""mm_simulator: quotes and live market -> fills, position, profit; everything in a ledger first."""
