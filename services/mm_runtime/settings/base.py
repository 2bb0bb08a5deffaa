"""What all settings share: the base struct, and types with their ranges."""

from typing import Annotated

from msgspec import Meta, Struct

from mmquant.settings_rules import RANGES

__all__ = ["Settings", "Text", "TimeoutMs", "within"]

Text = Annotated[str, Meta(min_length=1)]
TimeoutMs = Annotated[int, Meta(ge=100, le=600_000)]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings: immutable, by name only, no unknown key."""


def within(file: str, key: str) -> Meta:
    """Return the range of a number that a backtest reads, too: the library's."""
    span = RANGES[file][key]
    if span.is_open:
        return Meta(gt=span.least, le=span.most)
    return Meta(ge=span.least, le=span.most)
