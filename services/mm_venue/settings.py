"""What can be set: the same names as the keys of config/venue.toml."""

import math
from dataclasses import dataclass
from pathlib import Path

from mmquant.codes import Market

__all__ = ["VenueSettings"]


@dataclass(frozen=True, slots=True)
class VenueSettings:
    """Settings of the offline venue; config/venue.toml explains each.

    Raises
    ------
    ValueError
        A value out of its range.
    """

    host: str = "127.0.0.1"
    port: int = 9443
    market: str = "usdm"
    symbols: tuple[str, ...] = ("BTCUSDT",)
    seed: int = 1
    replay: tuple[str, ...] = ()
    speed: str = "1"
    time_scale: float = 1.0
    tls_cert: str = ""
    tls_key: str = ""
    faults: str = ""
    fault_seed: int = 1
    fault_rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be 0 to 65535, got {self.port}: 0 picks a free one")
        if self.market not in ("spot", "usdm"):
            raise ValueError(f"market must be spot or usdm, got {self.market!r}: choose one")
        if not self.symbols or len(set(self.symbols)) < len(self.symbols):
            raise ValueError(f"symbols must be one or more, none twice, got {self.symbols}")
        for symbol in self.symbols:
            if not (symbol.isalnum() and symbol == symbol.upper()):
                raise ValueError(
                    f"symbols must be capital letters and digits, got {symbol!r}: e.g. BTCUSDT"
                )
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed must be 0 to 2**64 - 1, got {self.seed}: choose within it")
        if not 0 <= self.fault_seed < 1 << 64:
            raise ValueError(
                f"fault_seed must be 0 to 2**64 - 1, got {self.fault_seed}: choose within it"
            )
        if not 0 <= self.fault_rate <= 100:
            raise ValueError(
                f"fault_rate must be 0 to 100 a second, got {self.fault_rate}: 0 is none"
            )
        if not 1 <= self.time_scale <= 1e6:
            raise ValueError(f"time_scale must be 1 to 1000000, got {self.time_scale}: 1 is real")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key must be given both, or neither")
        if self.speed != "max":
            try:
                good = 0.01 <= float(self.speed) <= 10_000
            except ValueError:
                good = False
            if not good:
                raise ValueError(
                    f"speed must be max or 0.01 to 10000, got {self.speed!r}: 1 is real time"
                )

        if self.speed == "max" and not self.replay:
            raise ValueError(
                "speed must be a number for the synthetic market, got 'max': it has no end"
            )

    @property
    def speed_factor(self) -> float:
        """The speed as a number, infinity for max."""
        return math.inf if self.speed == "max" else float(self.speed)

    @property
    def market_code(self) -> Market:
        """The market as a code."""
        return Market[self.market.upper()]

    @property
    def replay_paths(self) -> list[Path]:
        """The capture's files in order; none means the synthetic market."""
        return [Path(path) for path in self.replay]
