"""recorder.toml: the recorder of sessions."""

from typing import Annotated

from msgspec import Meta

from mm_runtime.settings.base import Settings

__all__ = ["RecorderSettings"]


class RecorderSettings(Settings, frozen=True):
    """The recorder of sessions: config/recorder.toml."""

    max_queue_megabytes: Annotated[int, Meta(ge=1, le=4_096)] = 256
