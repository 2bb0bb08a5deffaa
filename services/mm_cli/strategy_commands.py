"""The commands about the strategy: why, kill, arm, restart."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

ConfigDir = Annotated[Path | None, typer.Option(help="Folder of the .toml files.")]


def register(app: typer.Typer, config_of: Callable[[Path | None], Path]) -> None:
    """Add the commands to `app`; `config_of` says where the settings are."""

    @app.command()
    def why(
        as_json: Annotated[bool, typer.Option("--json", help="Print all parts as JSON.")] = False,
        config_dir: ConfigDir = None,
    ) -> None:
        """Say how the present quotes came about, or why there are none."""
        from mm_runtime.config import load
        from mm_runtime.settings import RuntimeSettings

        from mm_cli.why import print_why

        print_why(load("runtime", RuntimeSettings, config_of(config_dir)), as_json)

    @app.command()
    def kill(
        text: Annotated[str, typer.Option("--text", help="Why, for the log.")] = "mm kill",
        config_dir: ConfigDir = None,
    ) -> None:
        """Pull all quotes at once, and quote nothing until `mm arm`, restarts included."""
        from mm_cli.control import kill as halt

        print(halt(config_of(config_dir), text))

    @app.command()
    def arm(config_dir: ConfigDir = None) -> None:
        """Quote again after `mm kill` or a loss that halted; the session begins anew."""
        from mm_cli.control import arm as take_back

        print(take_back(config_of(config_dir)))

    @app.command()
    def restart(
        service: Annotated[str, typer.Argument(help="For example mm_strategy.")],
        config_dir: ConfigDir = None,
    ) -> None:
        """Let a running service take its edited .toml; a wrong one is refused, and it goes on."""
        from mm_runtime.health import SERVICES

        from mm_cli.control import restart as take
        from mm_cli.processes import CannotContinue

        if service not in SERVICES:
            raise CannotContinue(f"{service} is none of {', '.join(SERVICES)}")
        take(config_of(config_dir), service, print)
