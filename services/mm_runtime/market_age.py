"""How old market data is where it is handled."""

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import Template
from mmquant.kernels import wire

__all__ = ["SENT_WORDS", "age_ns"]

SENT_WORDS = {  # where a message says when it was sent
    Template.BOOK_DELTA: wire.DELTA_SENT_NS,
    Template.BOOK_SNAPSHOT: wire.SNAPSHOT_SENT_NS,
    Template.BEST_BID_OFFER: wire.BBO_SENT_NS,
    Template.TRADE: wire.TRADE_SENT_NS,
}


def age_ns(words: NDArray[np.int64], sent_word: int, now_ns: int) -> int:
    """Return the time since a message was sent, 0 where it does not say or the clocks differ."""
    sent_ns = int(words[sent_word])
    return max(0, now_ns - sent_ns) if sent_ns else 0
