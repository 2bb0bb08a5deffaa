"""A recording on disk -> lines with their times, and what a capture holds."""

import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from mmquant.codes import Market
from mmquant.decimals import to_e8
from mmquant.tape.errors import CaptureError, unreadable

__all__ = [
    "STAMP_DIGITS",
    "CaptureInfo",
    "CaptureReader",
    "read_capture",
    "read_chunks",
    "scan_capture",
]

CHUNK_BYTES = 1 << 16
PROBLEMS_KEPT = 100
STAMP_DIGITS = 19  # the most an int64 of nanoseconds has
SAMPLE_FRAMES = 3000
GZIP_MAGIC = b"\x1f\x8b"

_STREAM = b'{"stream":"'
_SNAPSHOT = b'{"lastUpdateId":'


class CaptureReader:
    """Iterator of (local_ns, raw JSON bytes) over the lines of several files in order.

    A line without its time is counted in `malformed` and described in `problems` (the first
    100). A file cut short raises CaptureError, once all its complete lines have been read.

    Parameters
    ----------
    paths : sequence of paths
        Files of lines `<local ns> <json>`, plain or gzip (told by content, not by name).

    Attributes
    ----------
    lines : int
        Good lines yielded so far.
    malformed : int
        Lines left out so far.
    problems : list of str
        File, line number and what was wrong.
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        self.paths = [Path(path) for path in paths]
        self.lines = 0
        self.malformed = 0
        self.problems: list[str] = []
        self._iterator = self._read()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self

    def __next__(self) -> tuple[int, bytes]:
        return next(self._iterator)

    def _read(self) -> Iterator[tuple[int, bytes]]:
        for path in self.paths:
            for number, line in enumerate(_lines(path), start=1):
                stamp, space, payload = line.partition(b" ")
                if not space or not payload or not stamp.isdigit() or len(stamp) > STAMP_DIGITS:
                    self._report(path, number, line)
                    continue
                self.lines += 1
                yield int(stamp), payload

    def _report(self, path: Path, number: int, line: bytes) -> None:
        self.malformed += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(
                f"{path}, line {number}: no `<ns> ` before the payload: {line[:60]!r}"
            )


def read_capture(paths: Sequence[Path | str]) -> CaptureReader:
    """Return an iterator of (local_ns, raw JSON bytes) over `paths`, see CaptureReader.

    Raises
    ------
    CaptureError
        While iterating: a file that is missing, cut short or corrupt.
    """
    return CaptureReader(paths)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file without their ends; the last may lack one unless it was cut."""
    number = 0
    rest = b""
    try:
        for chunk in read_chunks(path):
            *whole, rest = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
            for line in whole:
                number += 1
                yield line.removesuffix(b"\r")
    except (EOFError, zlib.error, OSError) as error:
        raise CaptureError(unreadable(error), path, number + 1) from error
    if rest:
        yield rest


def read_chunks(path: Path, on_read: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """Yield a file's bytes, unpacked; unlike gzip.open, everything before a cut comes out.

    Parameters
    ----------
    path : Path
        Plain or gzip, told by its first bytes.
    on_read : callable, optional
        Told how many bytes of the file were read.

    Raises
    ------
    EOFError
        At the end of a gzip file that was cut short.
    OSError, zlib.error
        A file that is missing or corrupt.
    """

    def read() -> bytes:
        data = file.read(CHUNK_BYTES)
        if on_read is not None:
            on_read(len(data))
        return data

    with path.open("rb") as file:
        data = read()
        if not data.startswith(GZIP_MAGIC):
            while data:
                yield data
                data = read()
            return
        unpacker = zlib.decompressobj(wbits=31)
        while data:
            yield unpacker.decompress(data)
            data = unpacker.unused_data
            if unpacker.eof and data:
                unpacker = zlib.decompressobj(wbits=31)
            else:
                data = read()
                if unpacker.eof and data:
                    unpacker = zlib.decompressobj(wbits=31)
        if not unpacker.eof:
            raise EOFError("the gzip file is cut short")


@dataclass(frozen=True, slots=True)
class CaptureInfo:
    """What a capture holds.

    Tick and lot size are the greatest common divisors of the prices and quantities seen, in
    units of 1e-8: exact, but a multiple of the true size where too little was seen.
    """

    market: Market
    symbol: str
    streams: Mapping[str, int]  # combined-stream name -> frames
    snapshots: int
    tick_size_e8: int
    lot_size_e8: int
    price_decimals: int
    qty_decimals: int
    first_ns: int
    last_ns: int
    lines: int
    malformed: int
    truncated: str | None  # what the CaptureError says where a file is cut short

    @property
    def has_snapshot(self) -> bool:
        """Whether a REST snapshot is among the lines."""
        return self.snapshots > 0


@dataclass(slots=True)
class _Sample:
    """What the parsed frames said: every different price and quantity, markets, symbols."""

    prices: set[str] = field(default_factory=set)
    quantities: set[str] = field(default_factory=set)
    markets: set[Market] = field(default_factory=set)
    symbols: set[str] = field(default_factory=set)

    def learn(self, payload: bytes) -> None:
        """Take in one depth frame or snapshot; one that does not parse teaches nothing.

        Counting such frames is up to whoever plays them: here they only must not stop the scan.
        """
        try:
            message = json.loads(payload)
            data = message.get("data", message)
            levels = [
                (str(price), str(qty))
                for key in ("b", "a", "bids", "asks")
                for price, qty in data.get(key, ())
                if to_e8(price) >= 0 and to_e8(qty) >= 0
            ]
        except (ValueError, TypeError, AttributeError):
            return
        self.prices.update(price for price, _ in levels)
        self.quantities.update(qty for _, qty in levels)
        if data.get("e") == "depthUpdate":
            self.symbols.add(str(data.get("s")))
            self.markets.add(Market.USDM if "pu" in data else Market.SPOT)


def _decimals(texts: Iterable[str]) -> int:
    return max((len(text.partition(".")[2]) for text in texts), default=0)


def scan_capture(paths: Sequence[Path | str], sample_frames: int = SAMPLE_FRAMES) -> CaptureInfo:
    """Read a capture once and tell what it holds.

    Parameters
    ----------
    paths : sequence of paths
        As for `read_capture`.
    sample_frames : int
        Frames parsed for the market, the symbol and the sizes (snapshots always are, all lines
        are counted).

    Raises
    ------
    CaptureError
        No readable line, no depth frame in the sample, or more than one symbol or market.
    """
    reader = read_capture(paths)
    sample = _Sample()
    streams: Counter[bytes] = Counter()
    snapshots = first_ns = last_ns = 0
    truncated = None
    try:
        for local_ns, payload in reader:
            first_ns = first_ns or local_ns
            last_ns = local_ns
            if payload.startswith(_STREAM):
                name = payload[len(_STREAM) : payload.find(b'"', len(_STREAM))]
                streams[name] += 1
                if reader.lines <= sample_frames and b"@depth" in name:
                    sample.learn(payload)
            elif payload.startswith(_SNAPSHOT):
                snapshots += 1
                sample.learn(payload)
    except CaptureError as error:
        truncated = str(error)
    where = ", ".join(str(path) for path in reader.paths)
    if not reader.lines:
        raise CaptureError(truncated or "no line `<ns> <json>` in it", where, 1)
    named = {name.partition(b"@")[0].decode(errors="replace").upper() for name in streams}
    symbols = sample.symbols | named
    if len(sample.markets) != 1 or len(symbols) != 1:
        raise CaptureError(
            f"need depth frames of one symbol and one market, found symbols {sorted(symbols)} and "
            f"markets {sorted(market.name for market in sample.markets)}",
            where,
            reader.lines,
        )
    return CaptureInfo(
        market=sample.markets.pop(),
        symbol=symbols.pop(),
        streams=MappingProxyType(
            {name.decode(errors="replace"): n for name, n in sorted(streams.items())}
        ),
        snapshots=snapshots,
        tick_size_e8=math.gcd(*map(to_e8, sample.prices)) or 1,
        lot_size_e8=math.gcd(*map(to_e8, sample.quantities)) or 1,
        price_decimals=_decimals(sample.prices),
        qty_decimals=_decimals(sample.quantities),
        first_ns=first_ns,
        last_ns=last_ns,
        lines=reader.lines,
        malformed=reader.malformed,
        truncated=truncated,
    )
