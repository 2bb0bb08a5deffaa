"""tasks -> outcomes: by copies of this process, which have its memory already.

Each has a pipe of its own, so that of one that dies it is known what it was doing.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

__all__ = ["WorkerLost", "run_forked"]


class WorkerLost(RuntimeError):
    """A process was killed, or ended by itself, in the middle of a task."""

    def __init__(self, task: Any, exit_code: int | None) -> None:
        super().__init__(f"a process ended with code {exit_code} while it did {task}")
        self.task = task
        self.exit_code = exit_code


def run_forked[T, R](do: Callable[[T], R], tasks: Sequence[T], count: int) -> Iterator[R]:
    """Do the tasks in `count` copies of this process; yield the outcomes as they come.

    Raises
    ------
    WorkerLost
        With the task that cost a process its life.
    Exception
        What `do` raises.
    """
    context = multiprocessing.get_context("fork")
    left = deque(tasks)
    workers: dict[Any, tuple[Any, T]] = {}
    try:
        for _ in range(min(count, len(tasks))):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(do, there, [*workers, here]))
            process.daemon = True
            process.start()
            there.close()
            workers[here] = process, left.popleft()
            here.send(workers[here][1])
        at_work = set(workers)
        while at_work:
            for ready in wait(list(at_work)):
                connection: Any = ready
                process, task = workers[connection]
                try:
                    outcome, error = connection.recv()
                except (EOFError, ConnectionError):
                    process.join()
                    raise WorkerLost(task, process.exitcode) from None
                if error is not None:
                    raise error
                if left:
                    workers[connection] = process, left.popleft()
                    connection.send(workers[connection][1])
                else:
                    at_work.remove(connection)
                yield outcome
    finally:
        for connection, (process, _) in workers.items():
            connection.close()
            process.terminate()
            process.join()


def _serve(do: Callable[[Any], Any], pipe: Any, others: Sequence[Any]) -> None:
    """Do what comes through the pipe, until nobody is at its other end."""
    for other in others:  # inherited: with these open no end would ever be noticed
        other.close()
    try:
        while True:
            pipe.send(_answer(do, pipe.recv()))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return  # who asked has gone, or is told of the interrupt as well


def _answer(do: Callable[[Any], Any], task: Any) -> tuple[Any, Exception | None]:
    try:
        return do(task), None
    except Exception as error:  # the caller raises it
        return None, _sendable(error)


def _sendable(error: Exception) -> Exception:
    """Return an error that comes through a pipe as what it is, or as its words."""
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))  # as the pipe does
    except Exception:  # whatever its own reduction raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
