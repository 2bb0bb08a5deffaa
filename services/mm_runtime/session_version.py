"""Which version wrote a session: its number, and what its messages look like."""

from hashlib import sha256
from typing import Any

import mmquant
from mmquant.sbe_schema import schema_xml

__all__ = ["another_version", "own_version"]


def own_version() -> dict[str, str]:
    """Return what stands in the first record of a session's files: `version` and `messages`."""
    return {
        "version": mmquant.__version__,
        "messages": sha256(schema_xml().encode()).hexdigest()[:16],
    }


def another_version(opened: dict[str, Any]) -> str:
    """Return in words how the writer's version differs from this one, "" where it does not."""
    own = own_version()
    version, messages = opened.get("version"), opened.get("messages")
    if version is None:
        return "does not say by which version it was recorded"
    if version != own["version"]:
        alike = "the same" if messages == own["messages"] else "other"
        return f"was recorded by version {version}, with {alike} messages"
    if messages != own["messages"]:
        return f"was recorded by another build of version {version}, with other messages"
    return ""
