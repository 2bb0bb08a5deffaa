"""What outlives a restart: one small file an instrument, replaced whole, checked when read."""

import hashlib
import os
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import Market
from mmquant.state import PRICING_MEMORY, PRICING_SHAPE

__all__ = ["Memory"]

_SUMS = ("volatility", "order_flow", "trade_flow", "realised")
_CHECKED_FROM = PRICING_MEMORY.fields["symbol"][1]  # type: ignore[index]
_LAYOUT = hashlib.sha256(str(PRICING_MEMORY.descr).encode()).hexdigest()[:32]


class Memory:
    """The stored estimates of all instruments.

    Parameters
    ----------
    folder
        Made where it does not exist.
    params : ndarray of PRICING_PARAMS, shape (1,)
    max_age_ns
        By the market's clock; 0: nothing is stored and nothing used.
    """

    def __init__(self, folder: Path, params: NDArray[Any], max_age_ns: int) -> None:
        self.folder = folder
        self.max_age_ns = max_age_ns
        self.settings = np.zeros(1, PRICING_SHAPE)
        for name in PRICING_SHAPE.names or ():
            self.settings[0][name] = params[0][name]

    def path(self, instrument: NDArray[Any]) -> Path:
        """Return the file of an INSTRUMENT record of shape (1,)."""
        row = instrument[0]
        symbol = quote(row["symbol"].decode(), safe="")  # of a name without ASCII too
        return self.folder / f"{symbol}-{Market(int(row['market'])).name.lower()}.state"

    def save(self, instrument: NDArray[Any], state: NDArray[Any]) -> None:
        """Store the estimates of a PRICING_STATE, if they have seen anything.

        A reader finds the file before or the one after, never half of one.

        Raises
        ------
        OSError
            The folder or the file cannot be written.
        """
        if self.max_age_ns == 0 or state[0]["volatility"][0]["samples"] == 0:
            return
        record = np.zeros(1, PRICING_MEMORY)
        row, rules = record[0], instrument[0]
        row["layout"] = _LAYOUT.encode()
        row["settings"] = self.settings
        for name in ("symbol", "market", "tick_size_e8", "lot_size_e8"):
            row[name] = rules[name]
        row["now_ns"] = state[0]["inputs"][0]["now_ns"]
        for name in _SUMS:
            row[name] = state[0][name]
        row["checksum"] = zlib.crc32(record.tobytes()[_CHECKED_FROM:])
        path = self.path(instrument)
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(record.tobytes())
        os.replace(unfinished, path)

    def read(self, instrument: NDArray[Any]) -> bytes:
        """Return what is stored, nothing where there is no file; raises OSError."""
        try:
            return self.path(instrument).read_bytes()
        except FileNotFoundError:
            return b""

    def restore(
        self, instrument: NDArray[Any], data: bytes, state: NDArray[Any], now_ns: int
    ) -> str:
        """Put the stored estimates into a PRICING_STATE; return "" or why they are not used.

        The order flow goes on as a sum: the book before the restart is not compared with the
        first one behind it. How the volatility takes the time between is its gap rule's affair.

        Parameters
        ----------
        instrument : ndarray of INSTRUMENT, shape (1,)
        data : bytes
            What `read` returned.
        state : ndarray of PRICING_STATE, shape (1,)
            Changed where the answer is "".
        now_ns : int
            The market's time.
        """
        path = self.path(instrument)
        if self.max_age_ns == 0:
            return "warm_start.max_age_s is 0"
        if not data:
            return f"nothing could be read from {path}"
        if len(data) != PRICING_MEMORY.itemsize:
            return f"{path} has {len(data)} bytes, not {PRICING_MEMORY.itemsize}"
        record = np.frombuffer(bytearray(data), PRICING_MEMORY)
        why = self._why_not(record, instrument[0], now_ns)
        if why:
            return f"{path} {why}"
        for name in _SUMS:
            state[0][name] = record[0][name]
        state[0]["order_flow"]["follows"] = 0
        state[0]["restored_ns"] = record[0]["volatility"][0]["observed_ns"]
        return ""

    def _why_not(self, record: NDArray[Any], rules: Any, now_ns: int) -> str:
        row = record[0]
        if row["layout"].decode(errors="replace") != _LAYOUT:
            return "is of another version"
        if row["checksum"] != zlib.crc32(record.tobytes()[_CHECKED_FROM:]):
            return "is damaged"
        for name in ("symbol", "market", "tick_size_e8", "lot_size_e8"):
            if row[name] != rules[name]:
                return f"has another {name}: {_plain(row[name])}, not {_plain(rules[name])}"
        others = self._other_settings(row["settings"][0])
        if others:
            return f"is of other settings: {', '.join(others)}"
        age_ns = now_ns - int(row["now_ns"])
        if age_ns < 0:
            return f"is {-age_ns / 1e9:.1f} s ahead of the market's clock"
        if age_ns > self.max_age_ns:
            return f"is {age_ns / 1e9:.1f} s old, at most {self.max_age_ns / 1e9:g} s are allowed"
        return ""

    def _other_settings(self, stored: Any) -> list[str]:
        """Return which settings differ, by the keys and in the units of pricing.toml."""
        others = []
        for name in PRICING_SHAPE.names or ():
            then, now = stored[name].item(), self.settings[0][name].item()
            if then == now:
                continue
            key = name
            if name.endswith("_ns"):
                key, then, now = f"{name.removesuffix('_ns')}_s", then / 1e9, now / 1e9
            others.append(f"{key} was {then:.15g}, is {now:.15g}")
        return others


def _plain(value: Any) -> str:
    """Return what a field holds, as whoever reads the log writes it."""
    plain = value.item()
    return plain.decode(errors="replace") if isinstance(plain, bytes) else str(plain)
