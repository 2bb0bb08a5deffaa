"""The command: `python -m mm_venue` serves the offline venue until it is told to stop."""

import argparse
import asyncio
import gc
import logging
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mm_runtime.config import load
from mm_runtime.logs import configure_logging
from mm_runtime.process import die_with_launcher
from mm_runtime.settings import LogSettings, RuntimeSettings

from mm_venue.instrument import default_instrument
from mm_venue.schedule import planned_faults
from mm_venue.server import PortInUseError, Venue
from mm_venue.settings import VenueSettings
from mm_venue.source import Source

__all__ = ["main", "make_source"]

log = logging.getLogger("mm_venue")

EXIT_REFUSED = 2


def make_source(settings: VenueSettings) -> Source:
    """Return the captures where files are given, else the synthetic market.

    Raises
    ------
    mmquant.tape.CaptureError
        A capture that cannot be played.
    """
    # Imported where needed: a replay starts without numba, a synthetic market without a scan.
    if settings.replay:
        from mm_venue.replays import open_captures

        return open_captures(settings.replay_paths, settings.speed_factor)
    from mm_venue.synthetic import SyntheticSource

    market = settings.market_code
    instruments = [default_instrument(symbol, market) for symbol in settings.symbols]
    return SyntheticSource(settings.seed, instruments, time.time_ns(), settings.speed_factor)


def _settings(arguments: Sequence[str] | None) -> tuple[VenueSettings, LogSettings | None]:
    """Return the venue's settings, and where it logs: nowhere without a folder of settings."""
    parser = argparse.ArgumentParser(
        prog="mm_venue", description="An offline Binance.", argument_default=argparse.SUPPRESS
    )
    parser.add_argument("--config-dir", type=Path, help="folder of .toml; else defaults")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="0 picks a free port")
    parser.add_argument("--market", choices=("spot", "usdm"))
    parser.add_argument("--symbol", help="of the synthetic market")
    parser.add_argument("--symbols", help="of the synthetic market, with commas between")
    parser.add_argument("--seed", type=int, help="of the synthetic market")
    parser.add_argument(
        "--replay", nargs="+", metavar="FILE", help="captures, several symbols at once"
    )
    parser.add_argument("--speed", help="1, 10, ...; of a replay also max")
    parser.add_argument("--faults", metavar="FILE", help="faults to come, JSON lines")
    parser.add_argument("--fault-seed", type=int, help="of random faults")
    parser.add_argument("--fault-rate", type=float, help="random faults a second; 0 for none")
    parser.add_argument("--time-scale", type=float, help="divides pings and 24 hours")
    parser.add_argument("--tls-cert", metavar="FILE", help="serve wss:// and https://")
    parser.add_argument("--tls-key", metavar="FILE")
    given = vars(parser.parse_args(arguments))
    config_dir = given.pop("config_dir", None)
    settings, logs = VenueSettings(), None
    if config_dir is not None:
        settings = load("venue", VenueSettings, config_dir)
        logs = load("runtime", RuntimeSettings, config_dir).logs
    if "replay" in given:
        given["replay"] = tuple(given["replay"])
    if "symbol" in given or "symbols" in given:
        names = [given.pop(key) for key in ("symbol", "symbols") if key in given]
        given["symbols"] = tuple(dict.fromkeys(",".join(names).split(",")))
    return replace(settings, **given), logs


def _announce(host: str, port: int) -> None:
    print(f"mm_venue listening on {host}:{port}", flush=True)
    log.info("listening on %s:%d", host, port)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    die_with_launcher()
    try:
        settings, logs = _settings(arguments)
        if logs is not None:
            configure_logging("mm_venue", logs, to_stdout=True)
        gc.disable()
        source = make_source(settings)
        # What the imports made stays for good: collecting it would cost half a second at the end.
        gc.freeze()
        gc.enable()
        asyncio.run(_serve(source, settings))
    except (ValueError, PortInUseError) as problem:
        print(f"mm_venue: {problem}", file=sys.stderr)
        return EXIT_REFUSED
    log.info("stopped")
    return 0


async def _serve(source: Source, settings: VenueSettings) -> None:
    faults = planned_faults(
        settings.faults,
        settings.fault_seed,
        settings.fault_rate,
        source.market,
        tuple(source.listings),
    )
    venue = Venue(source, settings.time_scale, faults)
    await venue.run(settings.host, settings.port, _announce, _tls(settings))


def _tls(settings: VenueSettings) -> ssl.SSLContext | None:
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as problem:
        raise ValueError(f"tls_cert and tls_key must be files of PEM: {problem}") from None
    return context


if __name__ == "__main__":
    sys.exit(main())
