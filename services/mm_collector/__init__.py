"""mm_collector: Binance's streams -> book deltas, snapshots, best bid and offer, trades."""
