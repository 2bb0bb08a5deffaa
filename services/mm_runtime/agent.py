"""An agent does a bounded amount of work a turn; one runner drives any agent.

The agent owns no thread and never sleeps: `do_work` answers how much it did, and the idle
strategy, chosen by configuration, decides how to wait when that was nothing.
"""

import logging
from collections.abc import Callable
from typing import Protocol

__all__ = ["Agent", "CannotStart", "Idle", "Terminated", "run"]

log = logging.getLogger(__name__)


class Terminated(Exception):
    """Raised by an agent that has finished; any other exception is a fault."""


class CannotStart(Exception):
    """The agent cannot do its job until somebody changes something: starting anew is no help."""


class Agent(Protocol):
    """Something that is driven: by `run`, by a test, or together with others in one process."""

    def on_start(self) -> None:
        """Acquire what the work needs; called once, before the first `do_work`."""
        ...

    def do_work(self) -> int:
        """Do what can be done now without waiting; return how many things were done."""
        ...

    def on_close(self) -> None:
        """Release everything; called once, whatever happened before."""
        ...


class Idle(Protocol):
    """How to wait between turns: told how much the last turn did."""

    def idle(self, work_count: int) -> None:
        """Wait a little if `work_count` is 0, else start over with short waits."""
        ...


def run(agent: Agent, idle: Idle, is_running: Callable[[], bool]) -> None:
    """Drive `agent` until it terminates or `is_running` says no; always close it.

    A fault in `do_work` propagates after the agent was closed: a service that is in an unknown
    state must not go on, and its supervisor starts it anew (start and recovery are one path).
    """
    try:
        agent.on_start()
        while is_running():
            idle.idle(agent.do_work())
    except Terminated as end:
        log.info("finished: %s", end)
    finally:
        agent.on_close()
