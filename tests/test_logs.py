"""Hourly logs: lines, rotation by the record's time, retention, and disks that refuse."""

import errno
import json
import logging
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import pytest
from mm_runtime import logs
from mm_runtime.config import ConfigError
from mm_runtime.logs import HourlyFileHandler, LineFormatter, configure_logging
from mm_runtime.settings import LogSettings

FIVE = 1_795_366_800.0  # 2026-11-22T17:00:00Z
HOUR = 3600.0


def record_at(seconds: float, text: str = "hello", *args: object) -> logging.LogRecord:
    record = logging.LogRecord("mm_test.part", logging.INFO, __file__, 1, text, args, None)
    record.created = seconds
    return record


def handler_of(directory: Path, **limits: int) -> HourlyFileHandler:
    settings = LogSettings(directory=str(directory), **limits)
    handler = HourlyFileHandler("mm_test", settings, echoes=True)
    handler.setFormatter(LineFormatter("mm_test", as_json=False))
    return handler


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.handlers.clear()
    yield root
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    root.handlers.extend(handlers)


def test_a_plain_line_has_time_level_service_and_message():
    line = LineFormatter("mm_collector", as_json=False).format(record_at(FIVE + 0.123, "up %d", 3))
    assert line == "2026-11-22T17:00:00.123Z INFO mm_collector up 3"


def test_a_json_line_has_the_same_fields():
    line = LineFormatter("mm_test", as_json=True).format(record_at(FIVE, 'say "%s"', "a\nb"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-11-22T17:00:00.000Z",
        "level": "INFO",
        "service": "mm_test",
        "logger": "mm_test.part",
        "message": 'say "a\nb"',
    }


def test_a_message_cannot_forge_a_second_line():
    line = LineFormatter("mm_test", as_json=False).format(record_at(FIVE, "a\r\nb"))
    assert line.endswith(r"a\r\nb")


def test_a_traceback_follows_its_line():
    try:
        raise KeyError("lost")
    except KeyError as error:
        record = record_at(FIVE, "fault")
        record.exc_info = (KeyError, error, error.__traceback__)
    plain = LineFormatter("mm_test", as_json=False).format(record)
    assert plain.splitlines()[0].endswith("mm_test fault")
    assert plain.splitlines()[-1] == "KeyError: 'lost'"
    fields = json.loads(LineFormatter("mm_test", as_json=True).format(record))
    assert "KeyError: 'lost'" in fields["exception"]


def test_arguments_that_do_not_fit_the_text_are_logged_and_not_raised():
    line = LineFormatter("mm_test", as_json=False).format(record_at(FIVE, "%d lots", "three"))
    assert "%d lots ('three',)" in line


def test_the_file_changes_at_the_hour_of_the_record_and_bears_it(tmp_path):
    handler = handler_of(tmp_path / "logs")
    for seconds in (FIVE - 0.001, FIVE, FIVE + HOUR - 0.001, FIVE + 7 * HOUR):
        handler.emit(record_at(seconds))
    handler.close()
    assert names_in(tmp_path / "logs") == [
        "mm_test.log.2026-11-22-16",
        "mm_test.log.2026-11-22-17",
        "mm_test.log.2026-11-23-00",
    ]
    lines = (tmp_path / "logs" / "mm_test.log.2026-11-22-17").read_text().splitlines()
    assert [line.split()[0] for line in lines] == [
        "2026-11-22T17:00:00.000Z",
        "2026-11-22T17:59:59.999Z",
    ]


def test_a_restart_appends(tmp_path):
    for text in ("first life", "second life"):
        handler = handler_of(tmp_path)
        handler.emit(record_at(FIVE, text))
        handler.close()
    text = (tmp_path / "mm_test.log.2026-11-22-17").read_text()
    assert re.findall("first life|second life", text) == ["first life", "second life"]


def test_a_line_is_in_the_file_when_the_call_returns(tmp_path):
    handler = handler_of(tmp_path)
    handler.emit(record_at(FIVE, "é \udcff"))
    assert (tmp_path / "mm_test.log.2026-11-22-17").read_text().endswith("é \\udcff\n")
    handler.close()


def test_only_the_newest_files_of_this_service_are_kept(tmp_path):
    foreign = ["mm_test.log.notes", "mm_test2.log.2020-01-01-00", "mm_other.log.2020-01-01-00"]
    for name in [*foreign, "mm_test.log.2020-01-01-00"]:
        (tmp_path / name).touch()
    handler = handler_of(tmp_path, keep_files=3)
    for hour in range(5):
        handler.emit(record_at(FIVE + hour * HOUR))
    handler.close()
    kept = [f"mm_test.log.2026-11-22-{hour}" for hour in (19, 20, 21)]
    assert names_in(tmp_path) == sorted([*foreign, *kept])


def test_a_folder_that_cannot_be_made_degrades_to_stderr_with_one_warning(tmp_path, capsys):
    blocker = tmp_path / "logs"
    blocker.write_text("a file where the folder should be")
    handler = handler_of(blocker)
    handler.emit(record_at(FIVE, "one"))
    handler.emit(record_at(FIVE + 1, "two"))
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[-1] for line in said[1:]] == ["one", "two"]
    assert said[0].startswith(f"mm_test: cannot log to {blocker}, tried again every 60 s")
    blocker.unlink()
    handler.emit(record_at(FIVE + 59, "three"))
    assert not blocker.exists(), "tried again within the minute"
    handler.emit(record_at(FIVE + 120, "four"))
    handler.close()
    assert names_in(blocker) == ["mm_test.log.2026-11-22-17"]
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == f"mm_test: logs to {blocker} again"
    assert not [line for line in said if line.endswith("four")]


@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_a_folder_that_goes_away_is_made_anew_and_no_line_is_lost(tmp_path, how):
    logs_dir = tmp_path / "logs"
    handler = handler_of(logs_dir)
    handler.emit(record_at(FIVE, "one"))
    if how == "removed":
        shutil.rmtree(logs_dir)
    else:
        logs_dir.rename(tmp_path / "kept")
    handler.emit(record_at(FIVE + 1, "two"))
    handler.close()
    assert (logs_dir / "mm_test.log.2026-11-22-17").read_text().endswith("two\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to any folder")
def test_a_read_only_folder_degrades(tmp_path, capsys):
    tmp_path.chmod(0o500)
    handler = handler_of(tmp_path)
    handler.emit(record_at(FIVE, "one"))
    handler.close()
    assert "Permission denied" in capsys.readouterr().err


def test_a_read_only_disk_degrades(capsys):
    handler = handler_of(Path("/proc/logs"))  # the one file system that refuses even root
    handler.emit(record_at(FIVE, "one"))
    handler.close()
    said = capsys.readouterr().err.splitlines()
    assert "cannot log to /proc/logs" in said[0]
    assert said[1].endswith("one")


def test_the_oldest_files_go_when_all_together_are_too_big(tmp_path):
    handler = handler_of(tmp_path, max_megabytes=1)
    for hour in range(5):
        handler.emit(record_at(FIVE + hour * HOUR, "x" * 400_000))
    handler.close()
    assert names_in(tmp_path) == ["mm_test.log.2026-11-22-20", "mm_test.log.2026-11-22-21"]


def test_an_hour_that_alone_is_too_big_goes_to_the_console(tmp_path, capsys):
    handler = handler_of(tmp_path, max_megabytes=1)
    for second in range(5):
        handler.emit(record_at(FIVE + second, "x" * 400_000))
    said = capsys.readouterr().err.splitlines()
    assert "this hour has more than max_megabytes (1 MB)" in said[0]
    assert len(said) == 1 + 3, "said once, then the lines themselves"
    handler.emit(record_at(FIVE + HOUR, "the next hour"))
    handler.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000
    assert "the next hour" in (tmp_path / "mm_test.log.2026-11-22-18").read_text()


def test_a_restart_counts_what_lies_there_already(tmp_path):
    (tmp_path / "mm_test.log.2026-11-22-16").write_bytes(b"x" * 900_000)
    (tmp_path / "mm_test.log.2026-11-22-17").write_bytes(b"x" * 900_000)
    handler = handler_of(tmp_path, max_megabytes=1)
    handler.emit(record_at(FIVE, "one"))
    handler.close()
    assert names_in(tmp_path) == ["mm_test.log.2026-11-22-17"]
    assert (tmp_path / "mm_test.log.2026-11-22-17").read_bytes().endswith(b"one\n")


def test_a_disk_that_fills_up_degrades_and_loses_no_line(tmp_path, capsys, monkeypatch):
    class FullDisk(logs.FileIO):
        left = 30

        def write(self, data: bytes) -> int:
            if not self.left:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = super().write(data[: self.left])
            self.left -= taken
            return taken

    with monkeypatch.context() as patch:
        patch.setattr(logs, "FileIO", FullDisk)
        handler = handler_of(tmp_path)
        handler.emit(record_at(FIVE, "one"))
        handler.emit(record_at(FIVE, "two"))
    said = capsys.readouterr().err.splitlines()
    assert "No space left" in said[0]
    assert [line.split()[-1] for line in said[1:]] == ["one", "two"]
    handler.emit(record_at(FIVE + HOUR, "three"))
    handler.close()
    assert "three" in (tmp_path / "mm_test.log.2026-11-22-18").read_text()


def test_a_really_full_device_degrades(tmp_path, capsys):
    (tmp_path / "mm_test.log.2026-11-22-17").symlink_to("/dev/full")
    handler = handler_of(tmp_path)
    handler.emit(record_at(FIVE, "one"))
    handler.close()
    assert capsys.readouterr().err.splitlines()[-1].endswith("one")


def test_old_files_that_cannot_be_deleted_do_not_stop_the_logging(tmp_path, capsys):
    (tmp_path / "mm_test.log.2020-01-01-00").mkdir()
    handler = handler_of(tmp_path, keep_files=1)
    handler.emit(record_at(FIVE, "one"))
    handler.close()
    assert "one" in (tmp_path / "mm_test.log.2026-11-22-17").read_text()
    assert "cannot delete old logs" in capsys.readouterr().err


def test_a_lost_stderr_is_survived(tmp_path, monkeypatch):
    (tmp_path / "logs").touch()
    handler = handler_of(tmp_path / "logs")
    monkeypatch.setattr("sys.stderr", None)
    handler.emit(record_at(FIVE))
    (tmp_path / "logs").unlink()
    handler.emit(record_at(FIVE + HOUR, "the next hour is written again"))
    handler.close()
    (path,) = (tmp_path / "logs").iterdir()
    assert "the next hour is written again" in path.read_text()


@pytest.mark.parametrize("to_stdout", [True, False])
def test_configured_logging_writes_the_file_and_stdout_if_asked(
    tmp_path, capsys, root_logger, to_stdout
):
    settings = LogSettings(directory=str(tmp_path), level="warning")
    configure_logging("mm_test", settings, to_stdout, {})
    configure_logging("mm_test", settings, to_stdout, {})
    logging.getLogger("mm_test.part").warning("said once")
    logging.getLogger("mm_test.part").info("not said")
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("mm_test.log.")
    assert len(path.read_text().splitlines()) == 1
    said = capsys.readouterr()
    assert said.out.count("said once") == int(to_stdout)
    assert not said.err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "WARNING"),
        ({"MM_LOG": ""}, "WARNING"),
        ({"MM_LOG": "debug"}, "DEBUG"),
        ({"MM_LOG": "ERROR"}, "ERROR"),
    ],
)
def test_the_level_is_the_environments_before_the_files(tmp_path, root_logger, given, expected):
    configure_logging(
        "mm_test", LogSettings(directory=str(tmp_path), level="warning"), False, given
    )
    assert logging.getLevelName(root_logger.level) == expected


def test_a_level_that_does_not_exist_is_refused_in_one_line(tmp_path, root_logger):
    settings = LogSettings(directory=str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        configure_logging("mm_test", settings, False, {"MM_LOG": "loud"})
    expected = "MM_LOG: must be one of 'debug', 'info', 'warning', 'error', got 'loud'"
    assert str(caught.value) == expected


def test_the_console_hears_a_line_once_where_the_file_fails(tmp_path, capsys, root_logger):
    (tmp_path / "logs").touch()
    configure_logging("mm_test", LogSettings(directory=str(tmp_path / "logs")), True, {})
    logging.getLogger("x").info("said once")
    said = capsys.readouterr()
    assert said.out.count("said once") == 1
    assert "cannot log to" in said.err
    assert "said once" not in said.err


@contextmanager
def pipe_as_stdout(monkeypatch) -> Iterator[BufferedReader]:
    """Put a pipe in the place of stdout and give the end that is read."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    with os.fdopen(write, "w") as writer, os.fdopen(read, "rb") as reader:
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", writer)
            yield reader


@pytest.mark.parametrize("length", [50, 10_000])
def test_a_console_that_nobody_reads_holds_nobody_up(tmp_path, monkeypatch, root_logger, length):
    configure_logging("mm_test", LogSettings(directory=str(tmp_path)), True, {})
    log = logging.getLogger("x")
    lines = 1_000_000 // length

    def write():
        for number in range(lines):
            log.info("%07d %s", number, "x" * length)

    with pipe_as_stdout(monkeypatch) as pipe:
        writing = threading.Thread(target=write, daemon=True)
        writing.start()
        writing.join(30)  # a limit for a test that hangs
        assert not writing.is_alive()
        unread = pipe.read().splitlines()
        log.info("heard again")
        notice, heard = pipe.read().splitlines()[-2:]
    missing = int(re.fullmatch(rb"\((\d+) lines are missing here: .+\)", notice)[1])
    assert sum(len(line) > length for line in unread) + missing == lines
    assert heard.endswith(b"heard again")
    (path,) = tmp_path.iterdir()
    assert len(path.read_text().splitlines()) == lines + 1, "the file has them all"
