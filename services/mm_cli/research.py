"""The researcher's commands of `mm`: init, backtest, report, sweep, verify-session."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_cli.outputs import check_writable, in_command_words, json_text
from mm_cli.settings_folder import settings_folder, shipped_folder

if TYPE_CHECKING:
    from rich.progress import Progress

    from mm_cli.verify import ServiceResult, SessionResult
    from mmquant.backtest_result import Result

__all__ = ["add_research_commands"]

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result here as JSON.")]


def add_research_commands(app: typer.Typer) -> None:
    """Register the commands with `mm`."""
    for command in (init, backtest, report, sweep):
        app.command(command.__name__)(command)
    app.command("verify-session")(verify_session)


Folder = Annotated[
    Path | None,
    typer.Argument(help="Folder with strategy.toml and the others; without it, the services' own."),
]
# As text: a Path makes `s3:/b` of an address.
Tapes = Annotated[
    list[str] | None,
    typer.Option(
        "--tape",
        help="Recording (several times), tape or fsspec address; without it, a synthetic one.",
    ),
]
Seconds = Annotated[float, typer.Option(help="Length of a synthetic tape.")]
Seed = Annotated[int, typer.Option(help="Seed of a synthetic tape.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="A key: strategy.requote_ticks=4, several times.")
]
WithBracket = Annotated[
    bool, typer.Option("--bracket", help="Also the profit of these quotes under other fill models.")
]


def init(
    folder: Annotated[Path, typer.Argument(help="A new folder, such as my-strategy.")],
) -> None:
    """Write a starting folder: settings with comments and a model of your own that backtests."""
    from mm_cli.backtests import init_folder

    with _told():
        written = init_folder(folder, shipped_folder())
    for path in written:
        typer.echo(path)
    typer.echo(f"next: mm backtest {folder}")


def backtest(
    folder: Folder = None,
    tape: Tapes = None,
    seconds: Seconds = 120.0,
    seed: Seed = 1,
    changes: Changes = None,
    bracket: WithBracket = False,
    json_file: JsonFile = None,
) -> None:
    """Trade a tape with the functions that trade live, and say what came of it.

    Exit code 1 where the model never answered what can be traded on.
    """
    _fail(_backtest(folder, tape, seconds, seed, changes, bracket, json_file).failures())


def report(
    folder: Folder = None,
    tape: Tapes = None,
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    seconds: Seconds = 120.0,
    seed: Seed = 1,
    changes: Changes = None,
    bracket: WithBracket = False,
    json_file: JsonFile = None,
) -> None:
    """Backtest, and write the result as one page with plots that needs nothing else."""
    with _told():
        check_writable("--output", output)
    result = _backtest(folder, tape, seconds, seed, changes, bracket, json_file)
    with _told():
        typer.echo(f"report {result.report(output)}")
    _fail(result.failures())


def sweep(
    folder: Folder = None,
    vary: Annotated[
        list[str] | None, typer.Option(help="strategy.requote_ticks=1,4,8, several times.")
    ] = None,
    tape: Tapes = None,
    seconds: Seconds = 120.0,
    seed: Seed = 1,
    changes: Changes = None,
    processes: Annotated[int | None, typer.Option(help="All cores when left out.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Append to this file, and go on from it.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Backtest every combination of some keys' values, on all cores.

    The table has what is varied and the main numbers, as many as fit; --json has all of them.
    """
    from mm_cli.backtests import run_sweep, tape_of
    from mm_cli.sweep_table import failure_of, lines_of

    with _told(), _bar() as bar:
        check_writable("--json", json_file)
        check_writable("--results", results)
        task = bar.add_task("sweep", total=None)
        table, said = run_sweep(
            settings_folder(folder),
            tape_of(tape or [], seconds, seed),
            vary or [],
            changes or [],
            results,
            processes,
            lambda done, of: bar.update(task, completed=done, total=of),
        )
    for line in said:
        typer.echo(f"mm: {line}", err=True)
    width = shutil.get_terminal_size().columns
    typer.echo("\n".join(lines_of(table, width, is_kept=json_file is not None)))
    _write(json_file, json_text(table.to_dict(orient="records"), default=str))
    _fail(failure_of(table))


def _backtest(
    folder: Path | None,
    tape: list[str] | None,
    seconds: float,
    seed: int,
    changes: list[str] | None,
    bracket: bool,
    json_file: Path | None,
) -> "Result":
    from mm_cli.backtests import as_json, run_backtest, tape_of

    with _told(), _bar() as bar:
        check_writable("--json", json_file)
        task = bar.add_task("backtest", total=1.0)
        result = run_backtest(
            settings_folder(folder),
            tape_of(tape or [], seconds, seed),
            changes or [],
            lambda share: bar.update(task, completed=share),
            bracket=bracket,
        )
        bar.update(task, completed=1.0)
    typer.echo(result.summary())
    _write(json_file, as_json(result))
    return result


def _write(json_file: Path | None, text: str) -> None:
    if json_file is not None:
        with _told():
            json_file.write_text(text)


def _bar() -> "Progress":
    """Return a bar for a terminal: elsewhere it would stand as a line before what is said."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal)


@contextmanager
def _told() -> Iterator[None]:
    """Say what the user can put right without a traceback; exit code 2."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        typer.echo(f"mm: {in_command_words(str(error))}", err=True)
        raise typer.Exit(2) from None


def _fail(failures: Sequence[str]) -> None:
    """Say why the result is worth nothing, with exit code 1; do nothing where it is worth it."""
    for line in failures:
        typer.echo(f"mm: {line}", err=True)
    if failures:
        raise typer.Exit(1)


def verify_session(
    directory: Annotated[Path, typer.Argument(help="What --record was given.")],
    json_file: JsonFile = None,
) -> None:
    """Compute a recorded session once more and compare every byte; exit code 0 if all are equal."""
    from mm_runtime.session_file import SessionError
    from rich.console import Console
    from rich.status import Status

    from mm_cli import verify

    with _told():
        check_writable("--json", json_file)
    console = Console()
    try:
        with Status(f"reading {directory}", console=console) as status:
            result = verify.verify_session(
                directory, lambda turns, name: status.update(f"{name}: {turns} turns")
            )
    except (SessionError, OSError) as error:
        typer.echo(f"mm: {error}", err=True)
        raise typer.Exit(2) from None
    for line in _session_lines(result):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    _write(json_file, json_text(result.as_json(), default=str))
    raise typer.Exit(0 if result.verdict == "EQUAL" else 1)


def _session_lines(result: "SessionResult") -> list[str]:
    heard = ", ".join(f"{count} {name}" for name, count in sorted(result.messages.items()))
    lines = [f"recorded         {heard}"]
    for service in result.services:
        lines += _service_lines(service)
    lines += [f"OTHER VERSION    {text}" for text in result.other_versions]
    lines += [f"PROBLEM          {problem}" for problem in result.problems]
    lines += [f"NOT VERIFIED     {text}" for text in result.unverified]
    words = {
        "NOT VERIFIED": "nothing could be compared",
        "EQUAL": f"all {result.compared} messages are the same, byte for byte",
        "INCOMPLETE": f"{result.compared} messages were compared and are the same, byte for byte; "
        "what was not compared stands above",
        "DIFFERENT": "the session does not compute to what was recorded",
        "OTHER VERSION": "the session was recorded by another version and does not compute to what "
        "was recorded: verify it with that version",
    }
    return [*lines, f"{result.verdict:16} {words[result.verdict]}"]


def _service_lines(service: "ServiceResult") -> list[str]:
    compared = ", ".join(f"{n} {name}" for name, n in service.compared.items()) or "nothing"
    lines = [
        f"{service.service:16} {service.turns} turns, {service.inputs} inputs "
        f"({service.inputs_checked} as recorded), ended {service.ended}; compared {compared}"
    ]
    for counts, what in (
        (service.unrecorded, "computed, not recorded (replaced, or before the recorder listened)"),
        (service.beyond, "recorded, after the end of the journal (killed)"),
        (service.unheard, "consumed, never heard by the recorder"),
    ):
        if counts:
            text = ", ".join(f"{n} {name}" for name, n in counts.items())
            lines.append(f"{'':16} {text}: {what}")
    if service.problem:
        lines.append(f"{'':16} PROBLEM: {service.problem}")
    if service.difference is not None:
        first = service.difference
        lines.append(
            f"{'':16} FIRST DIFFERENCE: {first.stream} message {first.seq}, turn {first.turn}"
        )
        for name in dict.fromkeys([*first.recorded, *first.computed]):
            recorded, computed = (m.get(name) for m in (first.recorded, first.computed))
            mark = "  <--" if name in first.fields else ""
            lines.append(f"{'':18} {name:28} recorded {recorded!s:24} computed {computed}{mark}")
    return lines
