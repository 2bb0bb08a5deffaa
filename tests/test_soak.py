"""The soak: its arithmetic on made-up series, its verdict on made-up reports, and a short run."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mm_cli.footprint import Footprint, read_process
from mm_cli.launcher import SERVICES
from mm_cli.soak_report import GROWTH_LIMIT_KIB, verdict, warmup_s
from mm_cli.trend import fit_trend

ROOT = Path(__file__).parents[1]
STREAMS = [str(stream) for stream in range(10, 18)]


def minutes(count, step_s=5.0):
    return np.arange(0.0, 60.0 * count, step_s)


def test_a_line_has_its_slope_and_no_error():
    t = minutes(10)
    trend = fit_trend([(t, 1000 + 3.0 * t / 60)])
    assert trend.slope_per_min == pytest.approx(3.0)
    assert trend.standard_error_per_min == pytest.approx(0.0, abs=1e-9)
    assert trend.growth == pytest.approx(3.0 * trend.span_min)


def test_slope_and_standard_error_are_those_of_numpy_s_fit():
    t = minutes(20)
    y = 500 + 2.0 * t / 60 + np.random.default_rng(1).normal(0, 40, len(t))
    trend = fit_trend([(t, y)])
    (slope, _), covariance = np.polyfit(t / 60, y, 1, cov=True)
    assert trend.slope_per_min == pytest.approx(slope)
    assert trend.standard_error_per_min == pytest.approx(np.sqrt(covariance[0, 0]))


def test_restarts_move_the_level_and_not_the_slope():
    t = minutes(10)
    lives = [(t, 1000 + 5.0 * t / 60), (t + 600, 9000 + 5.0 * t / 60), (t + 1200, 10 * t / 120)]
    trend = fit_trend(lives)
    assert trend.slope_per_min == pytest.approx(5.0)
    assert (trend.pieces, trend.samples) == (3, 3 * len(t))
    assert trend.span_min == pytest.approx(3 * t[-1] / 60)


def test_too_little_has_no_trend():
    assert fit_trend([]) is None
    assert fit_trend([(minutes(1)[:9], minutes(1)[:9])]) is None


def test_flat_is_within_the_noise_or_little_in_all():
    t = minutes(60)
    noise = np.random.default_rng(2).normal(0, 300, len(t))
    assert fit_trend([(t, 60_000 + noise)]).is_flat(GROWTH_LIMIT_KIB)
    leak = fit_trend([(t, 60_000 + noise + 50.0 * t / 60)])
    assert leak.growth > GROWTH_LIMIT_KIB
    assert not leak.is_flat(GROWTH_LIMIT_KIB)
    step = np.where(t > 1800, 1024.0, 0.0)  # one arena more, half way
    assert fit_trend([(t, 60_000 + step)]).is_flat(GROWTH_LIMIT_KIB)
    assert fit_trend([(t, 60_000 - 50.0 * t / 60)]).is_flat(GROWTH_LIMIT_KIB)


def test_a_life_ends_with_the_process_or_the_driver_and_begins_with_a_warm_up():
    one = Footprint()
    own = os.getpid()
    for at_s, driver in ((0.0, 1), (5.0, 1), (10.0, 1), (15.0, 2), (20.0, 2)):
        one.take(at_s, own, driver)
    assert one.life == [1, 1, 1, 2, 2]
    assert [times for times, _ in one.lives(one.resident_kib, 5.0)] == [[5.0, 10.0], [20.0]]
    assert all(p <= r for p, r in zip(one.private_kib, one.resident_kib, strict=True))
    one.take(25.0, 2**30, 2)  # no such process: no sample
    assert len(one.at_s) == 5


def test_a_process_is_read_from_the_kernel():
    resident, private, handles = read_process(os.getpid())
    assert resident >= private > 1000
    with (ROOT / "README.md").open():
        assert read_process(os.getpid())[2] == handles + 1


def test_the_warm_up_is_a_quarter_or_ten_minutes():
    assert warmup_s(60) == 15
    assert warmup_s(3600) == 600


def good_report():
    memory = {
        "flat": True,
        "slope_kib_per_min": 1.0,
        "standard_error_kib_per_min": 0.1,
        "growth_kib": 55.0,
    }
    return {
        "failure": "",
        "memory": {"mm_pricing": memory, "mm_venue": memory},
        "handles": {"mm_pricing": {"flat": True, "growth": 0.0}},
        "restarts": {"mm_pricing": {"injected": 2, "not_injected": 0}},
        "streams": dict.fromkeys(STREAMS, 100),
        "lost": dict.fromkeys(STREAMS, 0),
        "conflated": dict.fromkeys(STREAMS, 0),
        "faults": {"injected": 3},
        "book_checks": {"compared": 10, "mismatches": 0},
        "shm_bytes": 1 << 20,
        "seconds_since_quotes_at_end": 0.4,
    }


def changed(*path, value):
    report = good_report()
    place = report
    for key in path[:-1]:
        place[key] = copy.deepcopy(place[key])
        place = place[key]
    place[path[-1]] = value
    return report


def test_a_good_report_passes():
    assert verdict(good_report()) == []
    assert verdict(changed("memory", "mm_venue", "flat", value=False)) == []
    conflated = changed("lost", "15", value=2)
    conflated["conflated"]["15"] = 2
    assert verdict(conflated) == []


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("failure",), "mm_pricing: cannot start", "mm_pricing: cannot start"),
        (("memory", "mm_pricing", "flat"), False, "mm_pricing: private memory grows by 1.0 KiB"),
        (("handles", "mm_pricing", "flat"), False, "mm_pricing: open handles grow"),
        (("restarts", "mm_pricing", "not_injected"), 1, "mm_pricing: 1 restarts"),
        (("lost", "10"), 3, "stream 10: 3 messages lost"),
        (("streams", "16"), 0, "stream 16: nothing heard"),
        (("faults", "injected"), 0, "no fault took effect"),
        (("book_checks", "compared"), 0, "no touch of the book was compared"),
        (("book_checks", "mismatches"), 1, "1 wrong touches"),
        (("shm_bytes",), 1 << 30, "of shared memory in use"),
        (("seconds_since_quotes_at_end",), 7.25, "no quotes for 7.2 s at the end"),
    ],
)
def test_each_rule_fails_by_itself(path, value, reason):
    (only,) = verdict(changed(*path, value=value))
    assert reason in only


@pytest.fixture
def environment(tmp_path):
    """Give the run folders and ports of its own."""
    return os.environ | {
        "MM_RUNTIME__AERON__DIRECTORY": f"/dev/shm/mmquant-soak-{os.getpid()}",
        "MM_RUNTIME__STATE_DIRECTORY": str(tmp_path / "var"),
        "MM_RUNTIME__LOGS__DIRECTORY": str(tmp_path / "logs"),
        "MM_RUNTIME__METRICS__ENABLED": "false",
    }


@pytest.mark.long
def test_a_short_soak_kills_hurts_and_reports(environment, tmp_path):
    out = tmp_path / "soak.json"
    command = [sys.executable, "-m", "mm_cli.main", "soak", "--minutes", "0.34"]
    command += ["--fault-interval", "0.3", "--json", str(out)]  # a kill after 9 s
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    report = json.loads(out.read_text())
    assert report["complete"]
    assert report["verdict"] == {"passed": True, "reasons": []}, done.stdout
    assert done.returncode == 0, done.stderr
    assert report["faults"]["injected"] >= 10
    (kill,) = report["kills"]
    assert report["restarts"][kill["service"]]["injected"] == 1
    assert all(row["not_injected"] == 0 for row in report["restarts"].values())
    assert report["lost"] == dict.fromkeys(STREAMS, 0)
    assert all(report["streams"][stream] > 0 for stream in STREAMS)
    assert report["orders"] > 0
    for name in ("aeronmd", "mm_venue", *SERVICES):
        assert len(report["series"][name]["at_s"]) >= 3
        assert report["memory"][name]["resident_max_kib"] > 10_000
        assert report["handles"][name]["max"] > 3
    assert report["longest_without_quotes"]["seconds"] > 0
    assert "verdict          PASSED" in done.stdout
    assert not Path(environment["MM_RUNTIME__AERON__DIRECTORY"]).exists()
