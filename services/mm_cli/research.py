"""The researcher's commands of `mm`: verify-session."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mm_cli.verify import ServiceResult, SessionResult

__all__ = ["add_research_commands"]

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result here as JSON.")]


def add_research_commands(app: typer.Typer) -> None:
    """Register the commands with `mm`."""
    app.command("verify-session")(verify_session)


def verify_session(
    directory: Annotated[Path, typer.Argument(help="What --record was given.")],
    json_file: JsonFile = None,
) -> None:
    """Compute a recorded session once more and compare every byte; exit code 0 if all are equal."""
    from mm_runtime.session_file import SessionError
    from rich.console import Console
    from rich.status import Status

    from mm_cli import verify

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
    if json_file is not None:
        json_file.write_text(json.dumps(result.as_json(), indent=2, default=str) + "\n")
    raise typer.Exit(0 if result.is_equal else 1)


def _session_lines(result: "SessionResult") -> list[str]:
    heard = ", ".join(f"{count} {name}" for name, count in sorted(result.messages.items()))
    lines = [f"recorded         {heard}"]
    for service in result.services:
        lines += _service_lines(service)
    lines += [f"PROBLEM          {problem}" for problem in result.problems]
    compared = sum(sum(service.compared.values()) for service in result.services)
    if not compared:
        lines.append("NOT VERIFIED     nothing could be compared")
    elif result.is_equal:
        lines.append(f"EQUAL            all {compared} messages are the same, byte for byte")
    else:
        lines.append("DIFFERENT        the session does not compute to what was recorded")
    return lines


def _service_lines(service: "ServiceResult") -> list[str]:
    compared = ", ".join(f"{n} {name}" for name, n in service.compared.items()) or "nothing"
    lines = [
        f"{service.service:16} {service.turns} turns, {service.inputs} inputs "
        f"({service.inputs_checked} as recorded), ended {service.ended}; compared {compared}"
    ]
    for counts, what in (
        (service.unrecorded, "computed, not recorded (replaced, or before the recorder listened)"),
        (service.beyond, "recorded, after the end of the journal (killed)"),
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
