"""A tape -> a file or folder, by the name it is to have."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmquant.tape import native

if TYPE_CHECKING:
    from mmquant.tape.core import Tape

__all__ = ["save"]


def save(tape: "Tape", path: Path | str, **options: Any) -> None:
    """Write a tape; see `Tape.save`."""
    text = str(path)
    if "://" not in text and text.rstrip("/").endswith(native.SUFFIX):
        native.save(tape, Path(path), **options)
    elif text.endswith(".npz"):
        from mmquant.tape import npz

        npz.save(tape, Path(path), **options)
    else:
        from mmquant.tape import parquet

        parquet.save(tape, text, **options)
