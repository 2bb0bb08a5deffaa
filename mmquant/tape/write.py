"""A tape -> a file or folder, by the name it is to have."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmquant.tape import native

if TYPE_CHECKING:
    from mmquant.tape.core import Tape

__all__ = ["check_out", "check_target", "save"]

_FOLDERS = (native.SUFFIX, ".parquet", ".pq")


def save(tape: "Tape", path: Path | str, **options: Any) -> None:
    """Write a tape; see `Tape.save`."""
    check_target(path)
    text = str(path)
    if not len(tape) and not text.rstrip("/").endswith(native.SUFFIX):
        raise ValueError(
            f"a tape without events can be written as *{native.SUFFIX} alone, got {text}: the "
            f"other formats have no place for what else it holds"
        )
    if "://" not in text and text.rstrip("/").endswith(native.SUFFIX):
        native.save(tape, Path(path), **options)
    elif text.endswith(".npz"):
        from mmquant.tape import npz

        npz.save(tape, Path(path), **options)
    else:
        from mmquant.tape import parquet

        parquet.save(tape, text, **options)


def check_target(path: Path | str) -> None:
    """Refuse a place where no tape can be written, before there is one: nothing is left there.

    Raises
    ------
    ValueError
        A name that is another format's.
    OSError
        A local place that is missing, taken by something else or not writable.
    """
    text = str(path)
    target = Path(path)
    is_file = text.endswith(".npz")
    is_taken = target.is_dir() and "://" not in text
    if target.suffix[1:].isalpha() and not is_file and target.suffix not in _FOLDERS:
        if not is_taken:
            raise ValueError(
                f"a tape is written as name.tape, name.npz or a Parquet folder, got {text!r}: its "
                f"name ends as another format's does, choose one of these"
            )
    if "://" in text:
        return
    if is_file and is_taken:
        raise IsADirectoryError(f"{text} is a folder, an .npz is a file: choose another name")
    folder = target.parent if is_file else target
    if not is_file and target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{text} is a file, what is written there a folder: move it away")
    if is_file and not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to write {target.name} into: make it")
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        raise type(error)(
            f"{text} cannot be written ({error.strerror}): choose a folder that can be"
        ) from None
    finally:
        if probe.exists():
            probe.unlink()
        for one in made:
            if one.exists():
                one.rmdir()


def check_out(path: Path | str) -> None:
    """Refuse a place where no tape can be written while it is read; see `check_target`.

    Raises
    ------
    ValueError
        An address, another format's name, or a folder that holds Parquet: what is read, perhaps.
    """
    text = str(path)
    is_other = Path(path).suffix in (".npz", ".parquet", ".pq")
    head, colon, _ = text.partition(":/")  # a Path makes `s3:/b` of an address
    if is_other or (colon and len(head) > 1 and head.isalnum()):
        raise ValueError(
            f"out must be a local folder for a tape, such as name.tape, got {text!r}: choose such "
            f"a name, or read it without out, then tape.save({text!r})"
        )
    if any(Path(path).glob("symbol=*")):
        raise ValueError(
            f"out must be a folder of its own, got {text!r}, which holds Parquet: choose another"
        )
    check_target(path)
