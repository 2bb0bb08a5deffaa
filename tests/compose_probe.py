"""Runs in a container beside the services: prints every quote and position, a JSON line each."""

import json
import sys
import time
from pathlib import Path

from mm_runtime.config import load
from mm_runtime.settings import RuntimeSettings
from mm_runtime.transport import DriverLost, Transport

from mmquant.codes import Reason, Stream, Template
from mmquant.wire import Inbox


def main() -> None:
    """Print until the reader goes away."""
    settings = load("runtime", RuntimeSettings, Path("/etc/mmquant"))
    inbox = Inbox()

    def say(**what: object) -> None:
        sys.stdout.write(json.dumps({"at_ns": time.time_ns(), **what}) + "\n")
        sys.stdout.flush()

    def on_quotes() -> None:
        row = inbox.block(Template.QUOTES)[0]
        levels = [len(inbox.group(Template.QUOTES, side)) for side in (0, 1)]
        say(kind="quotes", levels=levels, reason=Reason(int(row["reason"])).name)

    def on_position() -> None:
        row = inbox.block(Template.POSITION)[0]
        say(kind="position", lots=int(row["position_lots"]), fills=int(row["fills"]))

    while True:
        try:
            transport = Transport(settings)
            subscribers = [
                transport.subscriber(Stream.QUOTES, inbox, {Template.QUOTES: on_quotes}),
                transport.subscriber(Stream.POSITIONS, inbox, {Template.POSITION: on_position}),
            ]
            say(kind="connected")
            while True:
                transport.check()
                if not sum(subscriber.poll(64) for subscriber in subscribers):
                    time.sleep(0.001)
        except DriverLost:
            time.sleep(0.05)


if __name__ == "__main__":
    main()
