"""Ports for tests that serve something."""

import random
import socket
from contextlib import ExitStack

ROLES = 8


def free_base_port() -> int:
    """Return a base port above which the port of every role is free at this moment."""
    while True:
        base = random.randrange(20_000, 60_000)
        try:
            with ExitStack() as stack:
                for role in range(1, ROLES):
                    stack.enter_context(socket.create_server(("127.0.0.1", base + role)))
        except OSError:
            continue
        return base
