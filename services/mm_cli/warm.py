"""Fills the cache of compiled kernels, once for each version of the sources."""

import time
from collections.abc import Callable

from mmquant._cache import cache_dir

__all__ = ["ensure_warm", "warm_all"]

_MARK = "complete"


def ensure_warm(say: Callable[[str], None]) -> None:
    """Compile, if this version's kernels have never been compiled on this machine."""
    if not (cache_dir() / _MARK).exists():
        say("compiling the kernels, once; one to two minutes ...")
        say(warm_all())


def warm_all() -> str:
    """Call every kernel that the services call, as they call it; return what was done."""
    from mm_collector.feed import warm_up as warm_collector
    from mm_pricing.service import warm_up as warm_pricing
    from mm_pricing.service import warm_up_model
    from mm_simulator.service import warm_up as warm_simulator
    from mm_strategy.service import warm_up as warm_strategy

    from mmquant.market import SyntheticMarket

    started = time.perf_counter()
    services = (warm_collector, warm_pricing, warm_up_model, warm_strategy, warm_simulator)
    for warm_up in services:
        warm_up()
    SyntheticMarket(seed=1).run(until_ns=1_000_000_000)
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()
    return f"kernels are compiled ({time.perf_counter() - started:.1f} s), cached in {folder}"
