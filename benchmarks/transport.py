"""What the way costs: Aeron over shared memory against UDP, on loopback and over a veth pair.

"spy" is shared memory between two services of one machine where several machines are configured.

    python -m benchmarks.transport

One run measures all ways in turn, several times over, and prints the best throughput and the
median of the round trips of each, and the ratio to `aeron:ipc`. Publisher and echo are processes
of their own. The veth pair joins two network namespaces and needs root; without it is left out.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mm_runtime.config import load
from mm_runtime.driver import Driver
from mm_runtime.settings import AeronmdSettings, RuntimeSettings
from mm_runtime.transport import Publisher, Subscriber, Transport

from mmquant.codes import Stream, Template
from mmquant.records import LEVEL
from mmquant.wire import Inbox, MessageBuffer

ROOT = Path(__file__).parents[1]
HOSTS = ("10.78.0.1", "10.78.0.2")
ROUND_TRIPS = 2_000
PATIENCE_S = 30.0
_LEVELS_A_SIDE = 50  # of a usual book delta
_MESSAGES = {"request": 50_000, "book delta": 20_000}


def make_message(kind: str) -> MessageBuffer:
    """Return a request (framed as any 33 to 64 bytes), or a delta of 50 levels a side."""
    if kind == "request":
        return MessageBuffer(Template.REQUEST)
    message = MessageBuffer(Template.BOOK_DELTA, (_LEVELS_A_SIDE, _LEVELS_A_SIDE))
    for side in (0, 1):
        message.set_group(side, np.ones(_LEVELS_A_SIDE, LEVEL))
    return message


def send(publisher: Publisher, message: MessageBuffer) -> None:
    """Offer until taken: here, unlike in a service, waiting is what is measured."""
    while not publisher.offer(message):
        time.sleep(0)


def run_echo(settings: RuntimeSettings) -> None:
    """Send back the first message of each burst that is marked, and every lone one."""
    transport = Transport(settings)
    publisher = transport.publisher(Stream.QUOTES, queue_limit=0)
    inbox, reply = Inbox(), MessageBuffer(Template.REQUEST)

    def answer() -> None:
        if inbox.words[2]:  # now_ns is set where an answer is wanted
            reply.words[1] = inbox.words[1]
            send(publisher, reply)

    handlers = {Template.REQUEST: answer, Template.BOOK_DELTA: answer}
    subscriber = transport.subscriber(Stream.MARKET_DATA, inbox, handlers)
    print("up", flush=True)
    while True:
        if subscriber.poll(256) == 0:
            time.sleep(0)
        transport.check()


class Bench:
    """The near end: sends to the echo and waits for its answers."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self.transport = Transport(settings)
        self.publisher: Publisher = self.transport.publisher(Stream.MARKET_DATA, queue_limit=0)
        self._inbox = Inbox()
        self._answered = 0
        self._answers: Subscriber = self.transport.subscriber(
            Stream.QUOTES, self._inbox, {Template.REQUEST: self._on_answer}
        )
        self._await(lambda: self._is_answered(make_message("request"), 1), 0.1)

    def throughput(self, kind: str) -> float:
        """Return messages a second, from the first offer to the answer to the last."""
        message, count = make_message(kind), _MESSAGES[kind]
        start_s = time.perf_counter()
        message.words[2] = 0
        for _ in range(count - 1):
            send(self.publisher, message)
        message.words[1], message.words[2] = count, 1
        send(self.publisher, message)
        self._await(lambda: self._poll() == count, 0.0)
        return count / (time.perf_counter() - start_s)

    def round_trip_us(self) -> float:
        """Return the median time from an offer to its answer."""
        message, times = make_message("request"), np.zeros(ROUND_TRIPS)
        for i in range(ROUND_TRIPS):
            message.words[1], message.words[2] = i + 1, 1
            start_s = time.perf_counter()
            send(self.publisher, message)
            while self._poll() != i + 1:
                time.sleep(0)
            times[i] = time.perf_counter() - start_s
        return float(np.median(times)) * 1e6

    def _is_answered(self, message: MessageBuffer, number: int) -> bool:
        message.words[1], message.words[2] = number, 1
        send(self.publisher, message)
        return self._poll() == number

    def _poll(self) -> int:
        self._answers.poll(256)
        return self._answered

    def _on_answer(self) -> None:
        self._answered = int(self._inbox.words[1])

    def _await(self, done: Callable[[], bool], pause_s: float) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {PATIENCE_S:g} s")
            time.sleep(pause_s)


def run_near(settings: RuntimeSettings) -> None:
    """Measure once and print the figures."""
    bench = Bench(settings)
    figures = {kind: bench.throughput(kind) for kind in _MESSAGES}
    print(json.dumps(figures | {"round trip us": bench.round_trip_us()}), flush=True)
    bench.transport.close()


def run_driver(settings: RuntimeSettings) -> None:
    """Run a media driver until stdin ends."""
    driver = Driver(settings.aeron_directory(), AeronmdSettings())
    print("up", flush=True)
    sys.stdin.read()
    driver.close()


ROLES = {"driver": run_driver, "echo": run_echo, "near": run_near}


@dataclass(frozen=True)
class Way:
    """Where near end and echo are: their machines by index, and how to enter their namespaces."""

    machines: tuple[str, ...]
    places: tuple[int, int]
    enters: list[list[str]] = field(default_factory=lambda: [[], []])


def command(role: str, enter: list[str]) -> list[str]:
    """Return the command of one of this benchmark's processes."""
    return [*enter, sys.executable, "-m", "benchmarks.transport", "--role", role]


@contextmanager
def running(role: str, enter: list[str], environment: dict[str, str]) -> Iterator[None]:
    """Run one of this benchmark's processes for a while."""
    with subprocess.Popen(
        command(role, enter),
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield
        finally:
            process.stdin.close()
            if role == "echo":
                process.terminate()
            process.wait(5)


def measure(way: Way) -> dict[str, float]:
    """Return the figures of one way."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
        ends: list[tuple[list[str], dict[str, str]]] = []
        for enter, place in zip(way.enters, way.places, strict=True):
            environment = {"MM_RUNTIME__AERON__DIRECTORY": f"{folder}/{place}"}
            if way.machines:
                environment["MM_RUNTIME__AERON__MACHINES"] = json.dumps(way.machines)
                environment["MM_RUNTIME__AERON__MACHINE"] = way.machines[place]
            if place == len(ends):  # the first there
                stack.enter_context(running("driver", enter, environment))
            ends.append((enter, environment))
        stack.enter_context(running("echo", *ends[1]))
        done = subprocess.run(
            command("near", ends[0][0]),
            env={**os.environ, **ends[0][1]},
            stdout=subprocess.PIPE,
            check=True,
            cwd=ROOT,
        )
        figures: dict[str, float] = json.loads(done.stdout)
        return figures


@contextmanager
def veth_pair() -> Iterator[list[list[str]]]:
    """Yield the commands that enter two namespaces joined by a cable."""
    names = [f"mmq-bench-{os.getpid()}-{i}" for i in range(2)]
    with ExitStack() as stack:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=True)
        link = ["ip", "link", "add", "mmq0", "netns", names[0], "type", "veth"]
        subprocess.run([*link, "peer", "name", "mmq0", "netns", names[1]], check=True)
        for name, host in zip(names, HOSTS, strict=True):
            address = ["address", "add", f"{host}/24", "dev", "mmq0"]
            subprocess.run(["ip", "-n", name, *address], check=True)
            for device in ("lo", "mmq0"):
                subprocess.run(["ip", "-n", name, "link", "set", device, "up"], check=True)
        yield [["ip", "netns", "exec", name] for name in names]


def main() -> None:
    """Measure every way `--repeats` times, in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=ROLES, help="used by the benchmark itself")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.role:
        ROLES[arguments.role](load("runtime", RuntimeSettings, ROOT / "config"))
        return
    local = ("127.0.0.1:47410", "127.0.0.1:47420")
    ways = {"ipc": Way((), (0, 0)), "spy": Way(local, (0, 0)), "udp loopback": Way(local, (0, 1))}
    with ExitStack() as stack:
        if os.geteuid() == 0 and shutil.which("ip"):
            enters = stack.enter_context(veth_pair())
            machines = (f"{HOSTS[0]}:40100", f"{HOSTS[1]}:40100")
            ways["udp veth"] = Way(machines, (0, 1), enters)
        else:
            print("no root or no `ip`: the veth pair is left out")
        rounds = [{w: measure(ways[w]) for w in ways} for _ in range(arguments.repeats)]
    show(rounds)


def show(rounds: list[dict[str, dict[str, float]]]) -> None:
    """Print the best throughput, the least median round trip, and the ratios to ipc."""
    print(f"{'':14}{'request msg/s':>14}{'delta msg/s':>14}{'round trip us':>15}   ratios to ipc")
    base = np.zeros(3)
    for way in rounds[0]:
        rows = [[each[way][kind] for kind in (*_MESSAGES, "round trip us")] for each in rounds]
        table = np.array(rows)
        best = np.array([*table[:, :2].max(axis=0), table[:, 2].min()])
        base = best if way == "ipc" else base
        ratios = "  ".join(f"{ratio:.3g}" for ratio in best / base)
        print(f"{way:14}{best[0]:14,.0f}{best[1]:14,.0f}{best[2]:15.1f}   {ratios}")


if __name__ == "__main__":
    main()
