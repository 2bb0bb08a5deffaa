"""Does the venue know what the configuration names? Asked before any service starts."""

import os
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http import HTTPStatus
from pathlib import Path

from mm_collector.budget import Budget
from mm_collector.connection import Refused, open_connection
from mm_collector.instruments import Instruments
from mm_collector.rest import Reply, Rest
from mm_collector.venue import RULES, VenueRules, nearest_host
from mm_runtime.agent import CannotStart
from mm_runtime.config import load
from mm_runtime.settings import CollectorSettings

from mm_cli.processes import CannotContinue
from mmquant.codes import Market

__all__ = ["check_venue"]

_MINUTE_NS = 60_000_000_000


def check_venue(
    config_dir: Path, environment: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Ask the venue for the configured symbols, and for a connection to its streams.

    Parameters
    ----------
    config_dir
        Folder of the .toml files.
    environment
        Configuration overrides.
    say
        Told what could not be asked now: time may mend that, and the collector goes on asking.

    Raises
    ------
    ConfigError, CannotContinue
        The configuration is wrong, or does not fit the venue.
    """
    config = load("collector", CollectorSettings, config_dir, {**os.environ, **environment})
    rules = RULES[Market[config.market.upper()]]
    for check in (_check_symbols, _check_streams):
        trouble = check(config, rules)
        if trouble:
            say(f"{trouble}. The services start all the same: mm_collector tries again")


def _check_symbols(config: CollectorSettings, rules: VenueRules) -> str:
    """Return why the venue could not be asked, "" where it knows every symbol."""
    url = config.endpoints.rest_url or rules.rest_url
    rest = Rest(url, Budget(rules.weight_per_minute, _MINUTE_NS), _at_once)
    wanted = Instruments(config, rules, rest, random.Random(0))
    obstacle = ""
    try:
        while not (wanted.are_complete or wanted.trouble or obstacle):
            wanted.poll(time.time_ns())
            obstacle = rest.obstacle(rules.exchange_info_weight, time.time_ns())
    except CannotStart as error:
        raise CannotContinue(str(error)) from None
    if wanted.near:
        raise CannotContinue(f"endpoints.rest_url: {wanted.trouble}")
    return wanted.trouble or ("" if wanted.are_complete else f"{url}: {obstacle}")


def _check_streams(config: CollectorSettings, rules: VenueRules) -> str:
    """Return why there is no connection, "" where there is one."""
    url = (config.endpoints.ws_url or rules.ws_url).rstrip("/")
    timeout_s = config.connection.connect_timeout_ms / 1_000
    try:
        open_connection(f"{url}{rules.stream_path}", timeout_s).close()
    except Refused as refusal:
        if refusal.status == HTTPStatus.NOT_FOUND:
            raise CannotContinue(
                f"endpoints.ws_url: {url} has no {config.market} streams (HTTP 404); the "
                f"{config.market} address is {rules.ws_url}"
            ) from None
        return f"streams: {url}: {refusal}"
    except OSError as error:
        text, near = f"streams: {url}: {error.strerror or error}", nearest_host(url)
        if near:
            raise CannotContinue(f"endpoints.ws_url: {text}; did you mean {near}?") from None
        return text
    return ""


def _at_once(call: Callable[[], Reply], _name: str) -> Future[Reply]:
    """Make a request here: the launcher must have no second thread when it forks."""
    asked: Future[Reply] = Future()
    asked.set_result(call())
    return asked
