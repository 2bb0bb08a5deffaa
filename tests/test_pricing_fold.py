"""The pricing folded over messages is the library's vectorised functions, bit for bit."""

import gzip
import json
import os

import numpy as np
import pandas as pd
import pytest
from test_pricing_kernel import PARAMS, S, Service

import mmquant
from mmquant.kernels.pricing import NEED_SNAPSHOT, PUBLISH
from mmquant.settings_rules import SIGNAL_DRIFT
from mmquant.state import REALISED

pytestmark = pytest.mark.kernels

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
MESSAGES = 300 if INTERPRETED else 4_000
FIELDS = {**PARAMS, "jump_sigmas": 6.0, "order_flow_half_life_ns": 2 * S}
FACTORS = dict(zip(SIGNAL_DRIFT, (0.3, -0.7, 0.01, -0.003, 0.9, 0.011, -1.7), strict=True))
FIELDS |= {"realised_window_ns": 10 * S, "signal_drift_ticks_per_s": list(FACTORS.values())}


def invented(n):
    """Return update ids, times and touches that always change, with gaps and jumps."""
    rng = np.random.default_rng(3)
    now_ns, bid, rows = S, 1000, []
    for update_id in range(11, 11 + n):
        now_ns += int(rng.choice([S // 50, S // 3, S, 7 * S], p=[0.5, 0.3, 0.19, 0.01]))
        bid += int(rng.choice([0, 1, -1, 60, -60], p=[0.3, 0.34, 0.34, 0.01, 0.01]))
        ask = bid + int(rng.integers(1, 4))
        rows.append((now_ns, update_id, bid, update_id, ask, int(rng.integers(1, 50))))
    return rows


def captured(path, n):
    """Return the same of the first `n` best bids and offers of a USD-M capture."""
    rows = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            received_ns, text = line.split(" ", 1)
            message = json.loads(text)
            if message.get("stream", "").endswith("@bookTicker"):
                data = message["data"]
                bid, ask = (round(float(data[key]) * 10) for key in "ba")
                lots = (round(float(data[key]) * 1000) for key in "BA")
                bid_lots, ask_lots = lots
                rows.append((int(received_ns), data["u"], bid, bid_lots, ask, ask_lots))
            if len(rows) == n:
                return rows
    return rows


def fold(rows):
    """Step through best bids and offers; return the pricing messages and which they answer."""
    service = Service(FIELDS)
    first = rows[0]
    service.snapshot(first[0], 1, 10, [(first[2] - 100, 1)], [(first[4] + 300, 1)])
    out, at = [], []
    for i, (now_ns, update_id, *touch) in enumerate(rows):
        answer = service.best(now_ns, 1, update_id, touch)
        assert answer != NEED_SNAPSHOT
        if answer == PUBLISH:
            out.append(service.out[0].copy())
            at.append(i)
    return pd.DataFrame(np.array(out)), np.array(at)


def assert_windows(out, times, touches):
    """Hold the realised measures against those of arrays: each from the mid on that closed it."""
    mids = mmquant.mid(touches[0], touches[2])
    mids[0] = (2.0 * touches[0, 0] + 200.0 + touches[2, 0] - touches[0, 0]) / 2  # the snapshot's
    spans = {"window_ns": FIELDS["realised_window_ns"], "max_gap_ns": FIELDS["max_gap_ns"]}
    windows = mmquant.realised_windows(mids, times, **spans)
    last = np.flatnonzero(np.diff(out["realised_end_ns"], append=-1))
    published = out.iloc[last][out["realised_end_ns"].iloc[last].to_numpy() > 0]
    # Interpreted, the part of a recording is shorter than a window.
    assert len(windows) > 1 or times[-1] - times[0] < 2 * spans["window_ns"]
    assert published["realised_end_ns"].tolist() == windows["end_ns"].tolist()
    assert published["realised_samples"].tolist() == windows["samples"].tolist()
    for name in REALISED.names[3:]:
        assert published[name].tolist() == windows[name].tolist(), name


def assert_is_the_library(rows):
    out, at = fold(rows)
    table = np.array(rows, np.int64)
    times, touches = table[:, 0].copy(), table[:, 2:].T.copy()
    names = ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
    assert out[list(names)].to_numpy().T.tolist() == touches[:, at].tolist()
    kept = ("volatility_half_life_ns", "drift_half_life_ns", "warmup_ns", "max_gap_ns")
    estimate = mmquant.Volatility(*(FIELDS[name] for name in kept), jump_sigmas=6)
    estimate.update((2.0 * touches[0, 0] + 200.0 + touches[2, 0] - touches[0, 0]) / 2, times[0])
    path = estimate.path(mmquant.mid(touches[0], touches[2]), times)
    for name in ("volatility_ticks_per_sqrt_s", "drift_ticks_per_s"):
        known = np.nan_to_num(getattr(path, name)[at])  # 0.0 in messages where nothing is known
        assert out[name].tolist() == known.tolist(), name
    assert out["ewma_drift_ticks_per_s"].tolist() == out["drift_ticks_per_s"].tolist()
    signals = out.assign(microprice_minus_mid_ticks=out["microprice_ticks"] - out["mid_ticks"])
    drift = mmquant.signal_drift({name: (signals[name], FACTORS[name]) for name in FACTORS})
    assert out["signal_drift_ticks_per_s"].tolist() == drift.tolist()
    assert_windows(out, times, touches)
    assert out["microprice_ticks"].tolist() == mmquant.microprice(*touches)[at].tolist()
    assert out["vamp_ticks"].tolist() == mmquant.vamp(*touches)[at].tolist()
    flow = mmquant.decayed_order_flow(*touches, times, half_life_ns=2 * S)[at]
    first_lots = out["order_flow_lots"].iloc[0]  # against the snapshot, which the arrays lack
    ages = (out["now_ns"] - out["now_ns"].iloc[0]) / (2 * S)
    expected = flow + first_lots * 2.0**-ages
    assert out["order_flow_lots"].tolist() == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-6)
    touch_lots = out["touch_flow_lots"].tolist()  # one level is what the books above have
    assert touch_lots == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-6)
    assert out["touch_imbalance"].tolist() == mmquant.imbalance(touches[1], touches[3])[at].tolist()
    blend = mmquant.blend({"mid": (out["mid_ticks"], 0.5), "micro": (out["microprice_ticks"], 0.5)})
    assert out["fair_value_ticks"].tolist() == blend.tolist()
    return out


def test_step_folded_equals_the_library():
    out = assert_is_the_library(invented(400))
    assert len(out) == 400
    assert out["jumps"].iloc[-1] > 0
    assert out["gaps"].iloc[-1] > 0


def test_step_folded_over_a_real_capture_equals_the_library(captures):
    out = assert_is_the_library(captured(captures / "usdm_btcusdt_20240808.gz", MESSAGES))
    assert len(out) > 0.9 * MESSAGES
    assert (out["volatility_ticks_per_sqrt_s"].iloc[-100:] > 0).all()
