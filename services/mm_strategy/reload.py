"""strategy.toml as it is edited: requests to take it anew, and the last one that was right."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import orjson
from mm_runtime.config import ConfigError, load, parse, read_text
from mm_runtime.settings import StrategySettings

__all__ = ["ANSWER_FILE", "REQUEST_FILE", "LastGood", "ReloadRequests"]

REQUEST_FILE = "mm_strategy.restart"
ANSWER_FILE = "mm_strategy.restarted.json"
_LOOK_NS = 20_000_000


class ReloadRequests:
    """Looks for a request now and then, and answers it, one from before its start as well.

    Parameters
    ----------
    directory
        The service's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._request = directory / REQUEST_FILE
        self._answer = directory / ANSWER_FILE
        self._next_look_ns = 0

    def is_there(self, now_ns: int) -> bool:
        """Return whether somebody asked since the last time; the request is taken away."""
        if now_ns < self._next_look_ns:
            return False
        self._next_look_ns = now_ns + _LOOK_NS
        try:
            self._request.unlink()
        except OSError:
            return False
        return True

    def answer(self, taken: bool, text: str) -> None:
        """Say what became of it."""
        part = self._answer.with_suffix(".part")
        part.write_bytes(orjson.dumps({"taken": taken, "text": text, "at_ns": time.time_ns()}))
        part.replace(self._answer)


class LastGood:
    """strategy.toml, and a copy of the last one that was right, for a start with a wrong one.

    With the copy lie the files of a model of one's own, as they were then.

    Parameters
    ----------
    config_dir
        Where strategy.toml is.
    directory
        The service's state directory.

    Attributes
    ----------
    refused
        What is wrong with the file where the copy had to be taken, "" where it was not.
    folder
        Where a model of one's own is looked for: beside the file, or with the copy.
    """

    def __init__(self, config_dir: Path, directory: Path) -> None:
        self.config_dir = config_dir
        self.folder = config_dir
        self.refused = ""
        self._text = ""
        self._copies = directory / "last_good"

    def read(self) -> StrategySettings:
        """Return the settings of the file as it is now; ConfigError where it is wrong."""
        path = self.config_dir / "strategy.toml"
        text = read_text(path)
        settings = parse("strategy", StrategySettings, path, text)
        self._text = text
        return settings

    def read_or_recall(self) -> StrategySettings:
        """Return the settings of the file, or where it is wrong of the copy, if there is one."""
        self.refused = ""
        self.folder = self.config_dir
        try:
            return self.read()
        except ConfigError as error:
            return self.recall(str(error))

    def recall(self, wrong: str) -> StrategySettings:
        """Return the settings of the copy, for a file that is wrong as `wrong` says.

        Raises
        ------
        ConfigError
            There is no copy, or it has been taken already and is what is wrong.
        """
        if self.refused or not (self._copies / "strategy.toml").exists():
            raise ConfigError(wrong)
        settings = load("strategy", StrategySettings, self._copies)
        self.refused = wrong
        modules = self._copies / "modules"
        self.folder = modules if modules.is_dir() else self.config_dir
        return settings

    def forget(self) -> None:
        """Know that what was read last has proved wrong: it is not kept."""
        self._text = ""

    def keep(self, modules: Mapping[str, bytes]) -> None:
        """Keep the file as it was read last, for its settings have proved right.

        Parameters
        ----------
        modules
            The files of its model, if that is one of somebody's own.
        """
        self.refused = ""
        self.folder = self.config_dir
        if not self._text:
            return
        self._copies.mkdir(parents=True, exist_ok=True)
        part, modules_part = self._copies / "strategy.part", self._copies / "modules.part"
        part.write_text(self._text, encoding="utf-8")
        shutil.rmtree(modules_part, ignore_errors=True)
        for name, content in modules.items():
            path = modules_part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        shutil.rmtree(self._copies / "modules", ignore_errors=True)
        if modules:
            modules_part.replace(self._copies / "modules")
        part.replace(self._copies / "strategy.toml")
