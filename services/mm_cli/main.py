"""The `mm` command: demo, run, record, soak, chaos, health, warm, why, kill, arm, restart."""

import json
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from mm_runtime.config import ConfigError

from mm_cli.outputs import check_writable, in_command_words, json_text
from mm_cli.processes import CannotContinue
from mm_cli.research import add_research_commands
from mm_cli.settings_folder import settings_folder
from mm_cli.strategy_commands import register

if TYPE_CHECKING:
    from mm_cli.launcher import Plan

__all__ = ["app", "main"]

app = typer.Typer(
    help="mmquant: market making on paper, live.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


# What a demo or a replay leaves is thrown away by the next one: it need not survive a power cut.
_SCRATCH = {"MM_SIMULATOR__LEDGER__SYNCHRONOUS": "NORMAL"}
# The demo's narrow quotes lose steadily in fees: over an hour that is more than a session may.
_LOSING = {
    **_SCRATCH,
    "MM_STRATEGY__GATES__MAX_SESSION_LOSS": "1000000",
    "MM_STRATEGY__GATES__MAX_DRAWDOWN": "1000000",
}
# Short waits after a failure, and cheap snapshots, so that many recoveries fit into the time; half
# of the silences last longer than the idle watchdog waits.
_STORMY = {
    **_SCRATCH,
    "MM_COLLECTOR__CONNECTION__BACKOFF_MAX_MS": "500",
    "MM_COLLECTOR__CONNECTION__IDLE_TIMEOUT_MS": "1500",
    "MM_COLLECTOR__DEPTH__SNAPSHOT_LIMIT": "500",
    "MM_COLLECTOR__SYNC__AUDIT_INTERVAL_S": "1",
}
_STORMY_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class MarketName(StrEnum):
    """A market of the venue."""

    SPOT = "spot"
    USDM = "usdm"


ConfigDir = Annotated[Path | None, typer.Option(help="Folder of the .toml files.")]
Duration = Annotated[float | None, typer.Option(help="End by itself after so many seconds.", min=1)]
RecordDir = Annotated[
    Path | None, typer.Option("--record", help="Record the session here, for `mm verify-session`.")
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the summary here as JSON.")]


@app.command()
def demo(
    duration: Duration = None,
    json_file: JsonFile = None,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market.", min=0)] = 1,
    record: RecordDir = None,
    config_dir: ConfigDir = None,
) -> None:
    """Run the whole system on a synthetic market: no network, no key, no data needed."""
    from mm_cli.launcher import Plan, VenuePlan

    config = settings_folder(config_dir)
    plan = Plan("demo", True, config, VenuePlan(seed=seed), _SCRATCH, duration, record)
    _run(plan, "demo on a synthetic market", json_file)


@app.command()
def run(
    replay: Annotated[
        list[Path] | None,
        typer.Option(help="A capture to play (repeat for more); lines of `<ns> <json>`, .gz too."),
    ] = None,
    speed: Annotated[str, typer.Option(help="Of the replay: 1, 10, ... or max.")] = "1",
    venue: Annotated[str | None, typer.Option(help="A live venue: binance.")] = None,
    market: Annotated[MarketName | None, typer.Option(help="Default: collector.toml's.")] = None,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Default: as in collector.toml; repeat for more.")
    ] = None,
    duration: Duration = None,
    json_file: JsonFile = None,
    record: RecordDir = None,
    config_dir: ConfigDir = None,
    files: Annotated[
        list[Path] | None, typer.Argument(help="More captures, played after --replay's.")
    ] = None,
) -> None:
    """Trade on paper: a recorded capture (--replay) or a live venue (--venue binance)."""
    captures = tuple(replay or ()) + tuple(files or ())
    if bool(captures) is bool(venue):
        raise typer.BadParameter("give either --replay FILE... or --venue binance")
    if captures:
        plan = _replay_plan(captures, speed, duration, settings_folder(config_dir), record)
        _run(plan, f"replay of {', '.join(path.name for path in captures)}", json_file)
        return
    if venue != "binance":
        raise typer.BadParameter(f"--venue must be binance, got {venue}")
    from mm_cli.launcher import Plan
    from mm_cli.venue_check import check_venue

    environment = {}
    if market is not None:
        environment["MM_COLLECTOR__MARKET"] = market.value
    if symbol:
        environment["MM_COLLECTOR__SYMBOLS"] = json.dumps([name.upper() for name in symbol])
    config = settings_folder(config_dir)
    check_venue(config, environment, print)
    plan = Plan("binance", False, config, None, environment, duration, record)
    _run(plan, "on Binance, on paper", json_file)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(help="How long.", min=0.1)] = 60.0,
    json_file: JsonFile = None,
    seed: Annotated[int, typer.Option(help="Seed of market, faults and kills.", min=0)] = 1,
    fault_interval: Annotated[
        float, typer.Option(help="Mean seconds between two faults; a kill each 30.", min=0.1)
    ] = 10.0,
    config_dir: ConfigDir = None,
) -> None:
    """Run the demo under random faults and kills; fail where it grows, loses or stops."""
    _check_json(json_file)
    from mm_cli.launcher import Plan, VenuePlan
    from mm_cli.proof import run_soak
    from mm_cli.soak import SoakPlan

    plan = Plan("soak", True, settings_folder(config_dir), VenuePlan(seed=seed), _LOSING)
    soak_plan = SoakPlan(minutes * 60.0, seed, fault_interval)
    raise typer.Exit(run_soak(plan, soak_plan, json_file))


@app.command()
def chaos(
    seconds: Annotated[float, typer.Option(help="How long faults come.", min=1)] = 60.0,
    seed: Annotated[int, typer.Option(help="Seed of market and faults.", min=0)] = 1,
    market: Annotated[MarketName, typer.Option(help="Of the venue.")] = MarketName.USDM,
    json_file: JsonFile = None,
    config_dir: ConfigDir = None,
) -> None:
    """Run the demo through a storm of faults; fail where a book or a quote was ever wrong."""
    _check_json(json_file)
    from mm_cli.launcher import Plan, VenuePlan
    from mm_cli.proof import run_chaos

    venue = VenuePlan(seed=seed, market=market.value, symbols=_STORMY_SYMBOLS)
    plan = Plan("chaos", True, settings_folder(config_dir), venue, _STORMY)
    raise typer.Exit(run_chaos(plan, seconds, json_file))


@app.command()
def health(
    service: Annotated[
        str | None, typer.Argument(help="Default: every service but mm_recorder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is known.")] = False,
    config_dir: ConfigDir = None,
) -> None:
    """Ask the running services whether they are healthy; exit code 0 if all of them are."""
    from mm_runtime.config import load
    from mm_runtime.health import OPTIONAL, SERVICES, report
    from mm_runtime.settings import RuntimeSettings

    known = (*SERVICES, *OPTIONAL)
    if service is not None and service not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)}, got {service}")
    settings = load("runtime", RuntimeSettings, settings_folder(config_dir))
    asked = SERVICES if service is None else (service,)
    raise typer.Exit(report(asked, settings, as_json))


@app.command()
def record(
    market: Annotated[MarketName | None, typer.Option(help="Default: collector.toml's.")] = None,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Default: as in collector.toml; repeat for more.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Folder of the files. Default: as in collector.toml.")
    ] = None,
    duration: Duration = None,
    json_file: JsonFile = None,
    config_dir: ConfigDir = None,
) -> None:
    """Record what the venue sends to hourly files, without the rest of the system."""
    _check_json(json_file)
    from mm_cli.record import record_streams

    environment = {"MM_COLLECTOR__RECORD__ENABLED": "true"}
    if market is not None:
        environment["MM_COLLECTOR__MARKET"] = market.value
    if symbol:
        environment["MM_COLLECTOR__SYMBOLS"] = json.dumps([name.upper() for name in symbol])
    if directory is not None:
        environment["MM_COLLECTOR__RECORD__DIRECTORY"] = str(directory)
    record_streams(settings_folder(config_dir), environment, duration, print, json_file)


@app.command("convert")
def convert_files(
    files: Annotated[list[str], typer.Argument(help="Files to read, then where to write.")],
    json_file: JsonFile = None,
    source_format: Annotated[
        str | None, typer.Option("--format", help="Of the source; default: told by its content.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Where the source does not name it.")] = None,
    market: Annotated[MarketName | None, typer.Option(help="The same.")] = None,
    tick_size: Annotated[str | None, typer.Option(help="Default: as seen.")] = None,
    lot_size: Annotated[str | None, typer.Option(help="Default: as seen.")] = None,
    stamp_unit: Annotated[str, typer.Option(help="Of a recording: ns, us, ms or s.")] = "ns",
    repair: Annotated[
        list[str] | None, typer.Option(help="order, clock or duplicates; repeat for more.")
    ] = None,
) -> None:
    """Convert market data: IN... OUT, where OUT is name.tape, name.npz or a Parquet folder."""
    from mm_cli.convert import Conversion, convert

    if len(files) < 2:
        raise typer.BadParameter("give the files to read and, last, where to write")
    plan = Conversion(
        sources=tuple(files[:-1]),
        target=files[-1],
        format=source_format,
        symbol=symbol,
        market=None if market is None else market.value,
        tick_size=tick_size,
        lot_size=lot_size,
        stamp_unit=stamp_unit,
        repair=tuple(repair or ()),
    )
    try:
        lines = convert(plan, json_file)
    except (ValueError, OSError, ImportError) as error:  # it says what of which file
        raise CannotContinue(in_command_words(str(error), "")) from None
    print("\n".join(lines))


@app.command()
def warm() -> None:
    """Compile every kernel now: no service has to when it starts, and no notebook."""
    import mmquant
    from mm_cli.warm import warm_all

    mmquant.warm()
    print(warm_all())


add_research_commands(app)


register(app, settings_folder)


def _replay_plan(
    captures: tuple[Path, ...],
    speed: str,
    duration: float | None,
    config: Path,
    record: Path | None = None,
) -> "Plan":
    from mm_cli.launcher import Plan, VenuePlan

    # The replay's clock is the venue's, and what the pipeline cannot take at once must wait.
    environment = {
        "MM_COLLECTOR__PUBLISH__TIME_SOURCE": "venue",
        "MM_RUNTIME__AERON__WHEN_BLOCKED": "wait",
        **_SCRATCH,
    }
    if speed == "max":
        # Throughput counts, not latency: longer sleeps leave the processors to those who work.
        environment["MM_RUNTIME__IDLE__MAX_PARK_US"] = "500"
    return Plan("replay", True, config, VenuePlan(captures, speed), environment, duration, record)


def _check_json(json_file: Path | None) -> None:
    """Refuse a file that could not be written at the end, before anything starts."""
    try:
        check_writable("--json", json_file)
    except ValueError as error:
        raise CannotContinue(str(error)) from None


def _run(plan: "Plan", title: str, json_file: Path | None) -> None:
    _check_json(json_file)
    from mm_runtime.logs import configure_logging

    from mm_cli.launcher import Launcher, raise_on_terminate
    from mm_cli.warm import ensure_warm

    raise_on_terminate()
    ensure_warm(print)
    with Launcher(plan) as launcher:
        configure_logging("mm_launcher", launcher.settings.logs, to_stdout=False)
        from rich.console import Console

        from mm_cli.view import LiveView

        console = Console()
        try:
            with LiveView(title, console) as view:
                launcher.run(view.draw)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not leave a mess
    from mm_cli.report import summarise, summary_lines

    summary = summarise(launcher)
    for text in summary_lines(summary):
        console.print(text, highlight=False, soft_wrap=True)
    if json_file is not None:
        json_file.write_text(json_text(summary))


def main() -> None:
    """Run `mm`; known problems are one line on stderr and exit code 2."""
    try:
        app()
    except (CannotContinue, ConfigError) as error:
        print(f"mm: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
