"""Health: a service stepped by hand over a real driver, asked over HTTP as a container is."""

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from aeronmd import service as service_module
from aeronmd.service import DriverService
from mm_pricing.service import Pricing
from mm_runtime import health, metrics_server
from mm_runtime.clock import SystemClock
from mm_runtime.driver import Driver
from mm_runtime.health_rules import assess
from mm_runtime.health_watch import Watch
from mm_runtime.metrics_server import MetricsEndpoint
from mm_runtime.service import Service
from mm_runtime.settings import (
    AeronmdSettings,
    AeronSettings,
    HealthSettings,
    MetricsSettings,
    PricingSettings,
    RuntimeSettings,
)
from mm_runtime.transport import Transport
from ports import free_base_port

from mmquant.codes import BookState, Reason, Role, ServiceState, Stream, Template
from mmquant.wire import MessageBuffer

ROOT = Path(__file__).parents[1]
S = 1_000_000_000


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.ns = 1_000 * S

    def now_ns(self):
        return self.ns


class Bare(Service):
    """A service that publishes nowhere: only the rules are looked at."""

    role = Role.MM_COLLECTOR
    must_be_ready = True

    def duty(self, now_ns):
        return 0

    def _publish_state(self, *_):
        pass


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def bare(clock):
    service = Bare(RuntimeSettings(), clock)
    service.turns = 1
    return service


def why(service, watch=None):
    return "; ".join(assess(service, watch or Watch(service)).complaints)


def test_a_service_that_must_be_ready_is_unhealthy_until_it_was(bare):
    bare.set_state(ServiceState.DEGRADED, Reason.BOOK_NOT_LIVE, "not LIVE: BTCUSDT")
    assert why(bare) == "not READY yet, DEGRADED BOOK_NOT_LIVE: not LIVE: BTCUSDT"
    bare.set_state(ServiceState.READY, Reason.NONE)
    assert why(bare) == ""


def test_an_outage_is_no_illness_within_the_grace_and_one_beyond(bare, clock):
    bare.set_state(ServiceState.READY, Reason.NONE)
    clock.ns += 100 * S
    bare.set_state(ServiceState.DEGRADED, Reason.CONNECTION_LOST, "refused")
    clock.ns += 10 * S
    bare.set_state(ServiceState.DEGRADED, Reason.BOOK_NOT_LIVE, "not LIVE: BTCUSDT")
    clock.ns += 20 * S
    assert why(bare) == ""
    clock.ns += 1
    assert why(bare).startswith("not READY for 30.0 s, allowed are 30 s, DEGRADED BOOK_NOT_LIVE")
    bare.set_state(ServiceState.READY, Reason.NONE)
    assert why(bare) == ""


def test_a_halt_by_design_is_reported_and_no_illness(bare, clock):
    bare.set_state(ServiceState.HALTED, Reason.INVENTORY_LIMIT, "by hand")
    clock.ns += 3600 * S
    judged = assess(bare, Watch(bare))
    assert judged.healthy
    assert judged.as_dict()["state"] == "HALTED"
    assert judged.as_dict()["text"] == "by hand"
    assert judged.as_dict()["state_s"] == 3600


def test_a_loop_that_stands_still_is_seen_from_outside(bare):
    now_s = [0.0]
    watch = Watch(bare, lambda: now_s[0])
    bare.set_state(ServiceState.READY, Reason.NONE)
    bare.turns = 0
    assert why(bare, watch) == "its loop has not started yet"
    bare.turns = 5
    watch.look()
    now_s[0] = 0.9
    assert why(bare, watch) == ""
    now_s[0] = 1.2
    assert why(bare, watch) == "its loop has stood still for 1.2 s"
    assert watch.longest_turn_s() == 1.2
    bare.turns = 6
    assert why(bare, watch) == ""


def test_the_longest_turn_is_forgotten_after_two_windows(bare):
    now_s = [0.0]
    watch = Watch(bare, lambda: now_s[0])
    watch.look()
    bare.longest_turn_ns = 3 * S
    for now_s[0], expected in ((1.0, 3.0), (15.0, 3.0), (29.0, 3.0), (31.0, 0.0)):
        bare.turns += 1
        watch.look()
        assert watch.longest_turn_s() == expected, now_s


@pytest.fixture
def settings(tmp_path):
    directory = f"/dev/shm/mmquant-health-{os.getpid()}"
    return RuntimeSettings(
        state_directory=str(tmp_path),
        aeron=AeronSettings(directory=directory),
        metrics=MetricsSettings(base_port=free_base_port()),
        health=HealthSettings(turn_timeout_ms=500, input_timeout_ms=1_000),
    )


@pytest.fixture
def driver(settings):
    driver = Driver(settings.aeron_directory(), AeronmdSettings())
    yield driver
    driver.close()


class CollectorVoice:
    """What pricing needs to hear."""

    def __init__(self, settings):
        self.transport = Transport(settings)
        self.heartbeats = self.transport.publisher(Stream.HEARTBEATS, 10)
        self.market_data = self.transport.publisher(Stream.MARKET_DATA, 10)

    def beat(self, state=ServiceState.READY):
        message = MessageBuffer(Template.HEARTBEAT, (0,))
        message.block["role"], message.block["state"] = Role.MM_COLLECTOR, state
        self.heartbeats.offer(message)

    def book(self):
        message = MessageBuffer(Template.BOOK_SNAPSHOT, (1, 1))
        row = message.block[0]
        row["instrument_id"], row["epoch"], row["book_state"] = 1, 7, BookState.LIVE
        message.group(0, 1)[0], message.group(1, 1)[0] = (100, 1), (101, 1)
        self.market_data.offer(message)


def get(settings, role, path="/health"):
    port = settings.metrics.base_port + role
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def wait_for_server(settings, role):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            return get(settings, role)
        except urllib.error.URLError:
            time.sleep(0.02)
    raise AssertionError("no server")


def test_pricing_is_healthy_while_it_turns_and_hears_what_it_needs(settings, driver):
    pricing, voice = Pricing(settings, PricingSettings(), SystemClock()), CollectorVoice(settings)
    MetricsEndpoint(settings.metrics).show(pricing)
    status, text = wait_for_server(settings, Role.MM_PRICING)
    assert (status, json.loads(text)["why"].split(";")[0]) == (503, "its loop has not started yet")

    def turn_for(seconds, speaks=("beat", "book")):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for what in speaks:
                getattr(voice, what)()
            pricing.do_work()
            time.sleep(0.01)
        status, text = get(settings, Role.MM_PRICING)
        return status, json.loads(text)["why"]

    pricing.on_start()
    try:
        assert turn_for(0.1, ()) == (
            503,
            "nothing heard on heartbeat.mm_collector yet; nothing heard on stream.market_data yet",
        )
        assert turn_for(0.3) == (200, "")
        status, why_not = turn_for(1.3, ("beat",))
        assert status == 503
        assert why_not.startswith("stream.market_data is silent for 1.")
        assert turn_for(0.3) == (200, "")
        status, why_not = turn_for(1.3, ("book",))
        assert status == 503
        assert why_not.startswith("heartbeat.mm_collector is silent for 1.")
        voice.beat(ServiceState.STOPPED)
        assert turn_for(0.1, ("book",)) == (503, "nothing heard on heartbeat.mm_collector yet")
        assert turn_for(0.3) == (200, "")
        time.sleep(0.9)  # the loop stands still, and nobody but the other thread can tell
        status, text = get(settings, Role.MM_PRICING)
        assert status == 503
        assert "its loop has stood still for" in json.loads(text)["why"]
        assert get(settings, Role.MM_PRICING, "/nothing")[0] == 404
    finally:
        pricing.on_close()
        voice.transport.close()


def test_the_driver_is_healthy_while_it_lives(settings):
    service = DriverService(settings, AeronmdSettings(), SystemClock())
    service.on_start()
    service.do_work()
    watch = Watch(service)
    assert why(service, watch) == ""
    service.on_close()
    assert why(service, watch).startswith("no media driver is alive in ")


@pytest.mark.parametrize("what_is_small", ["the limit", "the file system"])
def test_nearly_all_of_the_shared_memory_is_reported_and_taken_back(
    settings, monkeypatch, what_is_small
):
    service = DriverService(settings, AeronmdSettings(), SystemClock())
    service.on_start()
    used = service_module.shared_memory_bytes(settings.aeron_directory())

    def state_with(size):
        with monkeypatch.context() as patch:
            if what_is_small == "the limit":
                service.config = AeronmdSettings(shared_memory_limit_bytes=size)
            else:
                fake = SimpleNamespace(f_frsize=1, f_blocks=size)
                patch.setattr(service_module.os, "statvfs", lambda folder: fake)
            service._next_measure_ns = 0
            service.do_work()
        limit = {sample.metric: sample.value for sample in service.samples()}
        assert limit["shared_memory_limit_bytes"] == size
        return service.state, service.reason

    try:
        assert state_with(round(used / 0.95)) == (ServiceState.DEGRADED, Reason.OVERFLOW)
        assert state_with(round(used / 0.85)) == (ServiceState.READY, Reason.NONE)
    finally:
        service.on_close()


def test_a_port_that_is_taken_is_said_once_and_taken_over_when_it_is_free(
    settings, bare, monkeypatch, caplog
):
    monkeypatch.setattr(metrics_server, "_RETRY_S", 0.05)
    port = settings.metrics.base_port + Role.MM_COLLECTOR
    with socket.create_server(("127.0.0.1", port)):
        MetricsEndpoint(settings.metrics).show(Bare(settings, bare.clock))
        time.sleep(0.3)
    assert wait_for_server(settings, Role.MM_COLLECTOR)[0] == 503
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "metrics.base_port" in warnings[0]
    assert "Address already in use" in warnings[0]


def test_more_requests_than_slots_are_turned_away_and_the_rest_still_served(settings, bare):
    service = Bare(settings, bare.clock)
    MetricsEndpoint(settings.metrics).show(service)
    wait_for_server(settings, Role.MM_COLLECTOR)
    results = []

    def ask():
        try:
            results.append(get(settings, Role.MM_COLLECTOR, "/metrics")[0])
        except OSError:
            results.append(0)

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 30
    assert set(results) <= {0, 200}
    assert get(settings, Role.MM_COLLECTOR, "/metrics")[0] == 200


def run_check(environment, *arguments):
    command = [sys.executable, *arguments, "--config-dir", str(ROOT / "config")]
    environ = {**os.environ, **environment}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def as_environment(settings):
    return {
        "MM_RUNTIME__AERON__DIRECTORY": settings.aeron.directory,
        "MM_RUNTIME__METRICS__BASE_PORT": str(settings.metrics.base_port),
    }


def test_the_check_answers_with_its_exit_code_and_one_line(settings, bare):
    environment = as_environment(settings)
    check = ("-m", "mm_runtime.health", "mm_collector")
    done = run_check(environment, *check)
    assert (done.returncode, done.stderr) == (1, "")
    port = settings.metrics.base_port + Role.MM_COLLECTOR
    assert done.stdout.startswith(f"mm_collector: unhealthy: no answer on 127.0.0.1:{port}: ")
    service = Bare(settings, bare.clock)
    service.turns = 1
    service.set_state(ServiceState.READY, Reason.NONE, "all books LIVE")
    MetricsEndpoint(settings.metrics).show(service)
    wait_for_server(settings, Role.MM_COLLECTOR)
    service.turns = 2
    stop = threading.Event()

    def turn():
        while not stop.wait(0.01):
            service.turns += 1

    turning = threading.Thread(target=turn)
    turning.start()
    try:
        done = run_check(environment, *check)
        assert done.stdout == "mm_collector: healthy (READY NONE for 0 s: all books LIVE)\n"
        assert done.returncode == 0
        done = run_check(environment, "-m", "mm_cli.main", "health", "mm_collector", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)[0]["healthy"] is True
        done = run_check(environment, "-m", "mm_cli.main", "health")
        assert done.returncode == 1
        assert [line.split(":")[0] for line in done.stdout.splitlines()] == list(health.SERVICES)
        done = run_check(environment, "-m", "mm_cli.main", "health", "mm_recorder")
        assert done.returncode == 1
        assert done.stdout.startswith("mm_recorder: unhealthy: no answer on ")
        done = run_check(environment, "-m", "mm_cli.main", "health", "mm_trader")
        assert done.returncode == 2
        done = run_check({**environment, "MM_RUNTIME__AERON__DIRECTORY": "/dev/shm/x"}, *check)
        assert done.returncode == 1
        assert "of another run (aeron.directory " in done.stdout
    finally:
        stop.set()
        turning.join()
    done = run_check({**environment, "MM_RUNTIME__METRICS__ENABLED": "false"}, *check)
    assert done.returncode == 1
    assert "metrics.enabled is false" in done.stdout


def test_the_check_is_cheap():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "import sys, mm_runtime.health; print('numba' in sys.modules, 'numpy' in sys.modules)"
    runs = 5
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout == "False False\n"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, not the clock: other tests run on this machine, too.
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent / runs < 0.3


def test_a_service_that_is_built_anew_is_the_one_that_is_shown(settings, bare):
    endpoint = MetricsEndpoint(settings.metrics)
    endpoint.show(Bare(settings, bare.clock))
    assert json.loads(wait_for_server(settings, Role.MM_COLLECTOR)[1])["state"] == "STARTING"
    again = Bare(settings, bare.clock)
    again.set_state(ServiceState.READY, Reason.NONE, "all books LIVE")
    endpoint.show(again)
    assert json.loads(wait_for_server(settings, Role.MM_COLLECTOR)[1])["state"] == "READY"
