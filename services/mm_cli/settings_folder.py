"""Where the .toml files are: the folder given, ./config, or the ones that mmquant ships."""

from pathlib import Path

__all__ = ["settings_folder", "shipped_folder"]


def settings_folder(given: Path | None) -> Path:
    """Return the folder of the settings for a command that was given one, or none."""
    if given is not None:
        return given
    here = Path("config")
    return here if here.is_dir() else shipped_folder()


def shipped_folder() -> Path:
    """Return the folder with the defaults: in the installed package, or in the repository."""
    installed = Path(__file__).parent / "config"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "config"
