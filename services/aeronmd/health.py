"""Answers whether the media driver is alive: exit code 0, or 1 and a line that says why."""

import argparse
import sys
from pathlib import Path

from mm_runtime.config import ConfigError, load
from mm_runtime.settings import RuntimeSettings
from mm_runtime.transport import is_driver_alive


def main() -> int:
    """Check the driver's heartbeat in the configured directory."""
    parser = argparse.ArgumentParser(prog="aeronmd.health", description=__doc__)
    parser.add_argument("--config-dir", type=Path, default=Path("config"))
    arguments = parser.parse_args()
    try:
        settings = load("runtime", RuntimeSettings, arguments.config_dir)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    directory = settings.aeron_directory()
    if is_driver_alive(directory, settings.aeron.driver_timeout_ms):
        return 0
    print(f"no media driver is alive in {directory}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
