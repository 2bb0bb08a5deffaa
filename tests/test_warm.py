"""Warming up compiles what the services call, once each, and they compile nothing more."""

import os
import subprocess
import sys

import pytest

# In a process of its own: other tests call the kernels with types of their own.
SCRIPT = """
from mm_cli.warm import warm_all
warm_all()
from mmquant.kernels import book, frame_book, frames, market, pricing, quoting, simulator
kernels = [
    book.book_follow, book.book_top, frame_book.frame_apply, frame_book.frame_parse_and_apply,
    frames.frame_parse, frames.snapshot_parse, frames.symbol_entry, market.market_run,
    pricing.pricing_refresh,
    pricing.pricing_step, quoting.strategy_step, simulator.simulator_cancel_all,
    simulator.simulator_on_quotes, simulator.simulator_on_touch, simulator.simulator_on_trade,
    simulator.simulator_position,
]
print(*(len(kernel.signatures) for kernel in kernels))
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_every_kernel_of_the_services_has_one_signature_once_warm():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {"1"}
