"""config/<name>.toml and the environment -> one typed, checked settings object, or one clear line.

An environment variable `MM_<NAME>__<SECTION>__<KEY>=value` stands above the file. Its value is
TOML (`5`, `true`, `["BTCUSDT"]`); what is not TOML, or is meant for a text key, is plain text.
"""

import difflib
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

__all__ = ["ConfigError", "load", "parse", "read_text"]

_MOST_SHOWN = 80
_EXPECTED = re.compile(r"Expected `(?P<kind>\w+)`(?:, got .*| (?P<rule>.+))?$")
_AT_PATH = re.compile(r"(?P<message>.*) - at `\$\.?(?P<path>[^`]*)`$", re.DOTALL)
_POSITION = re.compile(r"(?P<what>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)$")
_KINDS = {
    "array": "an array",
    "bool": "true or false",
    "float": "a number",
    "int": "an integer",
    "object": "a table",
    "str": "a string in quotes",
}


class ConfigError(ValueError):
    """A configuration that cannot be used: one line with source, key, rule and received value."""


def load[T](
    name: str, struct_type: type[T], config_dir: Path | str, environ: Mapping[str, str] = os.environ
) -> T:
    """Return the settings of `<config_dir>/<name>.toml`, the environment's overrides applied.

    Parameters
    ----------
    name : str
        Name of the file without its ending, and of the overrides in upper case.
    struct_type : type
        A `msgspec.Struct` (or a dataclass); its types are the rules.
    config_dir : Path
    environ : mapping, optional
        The environment.

    Raises
    ------
    ConfigError
        If the file is missing or is not TOML, or a key is unknown or breaks its rule.
    """
    path = Path(config_dir) / f"{name}.toml"
    return parse(name, struct_type, path, read_text(path), environ)


def parse[T](
    name: str, struct_type: type[T], path: Path, text: str, environ: Mapping[str, str] = os.environ
) -> T:
    """Return the settings of a file that has been read already; see load."""
    data = _toml(path, text)
    schema = inspect.type_info(struct_type)
    sources: dict[str, str] = {}
    for variable, keys in _overrides(name, environ):
        _override(data, keys, _parse(environ[variable], _type_at(schema, keys)))
        sources[".".join(keys)] = variable
    problem = _first_problem(data, schema, "")
    if problem is not None:
        raise ConfigError(_line(path, sources, *problem))
    try:
        return msgspec.convert(data, struct_type)
    except msgspec.ValidationError as error:
        key_path, rule = _translate(error, data, schema)
        raise ConfigError(_line(path, sources, key_path, rule)) from None


def read_text(path: Path) -> str:
    """Return the text of a file of settings; ConfigError where it cannot be had."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        where = path.parent.resolve()
        raise ConfigError(f"{path}: not found, {path.name} is looked for in {where}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: must be UTF-8 text, byte {error.start} is not") from None


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _POSITION.match(str(error))
        if match is not None:
            position, what = f"line {match['line']}, column {match['column']}", match["what"]
        else:  # at the end of the document
            lines = text.split("\n")
            position, what = f"line {len(lines)}, column {len(lines[-1]) + 1}", str(error)
        raise ConfigError(f"{path}: {position}: not TOML: {what}") from None


def _overrides(name: str, environ: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    prefix = f"MM_{name.upper()}__"
    for variable in sorted(environ):
        if variable.startswith(prefix):
            yield variable, variable.removeprefix(prefix).lower().split("__")


def _type_at(schema: inspect.Type | None, keys: list[str]) -> inspect.Type | None:
    for key in keys:
        schema = _fields(schema).get(key)
    return schema


def _fields(schema: inspect.Type | None) -> dict[str, inspect.Type]:
    if isinstance(schema, inspect.StructType | inspect.DataclassType):
        return {field.encode_name: field.type for field in schema.fields}
    return {}


def _parse(text: str, expected: inspect.Type | None) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = document["value"]
    is_text = isinstance(expected, inspect.StrType) or (
        isinstance(expected, inspect.LiteralType) and isinstance(expected.values[0], str)
    )
    if set(document) != {"value"} or (is_text and not isinstance(value, str)):
        return text
    return value


def _override(data: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = data.get(key)
        if not isinstance(inner, dict):
            inner = data[key] = {}
        data = inner
    data[keys[-1]] = value


def _first_problem(value: Any, schema: inspect.Type, path: str) -> tuple[str, str] | None:
    """Find what msgspec does not say well or lets pass: unknown keys, NaN and infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return path, f"must be a finite number, got {value}"
    if isinstance(value, list):
        for place, inner in enumerate(value):
            if isinstance(inner, float) and not math.isfinite(inner):
                return f"{path}[{place}]", f"must be a finite number, got {inner}"
    fields = _fields(schema)
    if not isinstance(value, dict) or not fields:
        return None
    for key, inner in value.items():
        inner_path = f"{path}.{key}" if path else key
        if key not in fields:
            nearest = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
            return inner_path, f"unknown key, the nearest valid one is {nearest[0]!r}"
        problem = _first_problem(inner, fields[key], inner_path)
        if problem is not None:
            return problem
    return None


def _translate(
    error: msgspec.ValidationError, data: dict[str, Any], schema: inspect.Type
) -> tuple[str, str]:
    """Return the key path and the rule with the received value."""
    match = _AT_PATH.match(str(error))
    message, path = (match["message"], match["path"]) if match else (str(error), "")
    if isinstance(error.__cause__, ValueError):  # a rule between fields: "key: rule, got value"
        key, _, rule = message.partition(": ")
        return (f"{path}.{key}" if path else key), rule
    if message.startswith("Object missing required field"):
        key = message.split("`")[1]
        return (f"{path}.{key}" if path else key), "is missing, a value must be given"
    steps = [step for step in re.split(r"[.\[\]]+", path) if step]
    received: Any = data
    expected: inspect.Type | None = schema
    for step in steps:
        received = received[int(step)] if isinstance(received, list) else received[step]
        expected = _fields(expected).get(step)
    if isinstance(expected, inspect.LiteralType):
        rule = "must be one of " + ", ".join(repr(choice) for choice in expected.values)
    else:
        rule = _rule(message)
    return path, f"{rule}, got {_short(received)}"


def _rule(message: str) -> str:
    match = _EXPECTED.match(message)
    if match is None:
        return message
    rule = match["rule"]
    if rule is None:
        return f"must be {_KINDS.get(match['kind'], match['kind'])}"
    if rule.startswith("of length"):
        return f"must be {_KINDS[match['kind']]} {rule}"
    return f"must be {rule}" if rule[0] in "<>" else f"must be {_KINDS[match['kind']]} {rule}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _line(path: Path, sources: dict[str, str], key_path: str, rule: str) -> str:
    section = key_path.rpartition(".")[0]
    for override, variable in sources.items():
        inside = key_path == override or re.match(re.escape(override) + r"[.\[]", key_path)
        around = override.startswith(f"{key_path}.")
        parent, _, key = override.rpartition(".")
        named = parent == section and re.search(rf"\b{re.escape(key)}\b", rule) is not None
        if inside or around or named:
            return f"{variable}: {key_path}: {rule}"
    return f"{path}: {key_path}: {rule}"
