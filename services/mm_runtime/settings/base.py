"""What all settings share: the base struct, and types with their ranges."""

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["HalfLifeS", "LatencyMs", "Settings", "Text", "TimeoutMs"]

Text = Annotated[str, Meta(min_length=1)]
TimeoutMs = Annotated[int, Meta(ge=100, le=600_000)]
HalfLifeS = Annotated[float, Meta(ge=0.01, le=86_400)]
LatencyMs = Annotated[float, Meta(ge=0, le=60_000)]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings: immutable, by name only, no unknown key."""
