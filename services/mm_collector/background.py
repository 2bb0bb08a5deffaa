"""Blocking calls (name look-up, TLS, REST) in a daemon thread each; the agent polls the result."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

__all__ = ["in_background"]


def in_background[T](call: Callable[[], T], name: str) -> Future[T]:
    """Run `call` in a thread that cannot keep the process from ending."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # whatever it was, it belongs to whoever asks the future
            future.set_exception(error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
