"""The pricing folded over messages is the library's vectorised functions, bit for bit."""

import numpy as np
import pandas as pd
import pytest
from test_pricing_kernel import PARAMS, S, Service

import mmquant
from mmquant.kernels.pricing import PUBLISH

pytestmark = pytest.mark.kernels


def test_step_folded_equals_the_library():
    rng = np.random.default_rng(3)
    params = {**PARAMS, "jump_sigmas": 6.0, "order_flow_half_life_ns": 2 * S}
    service = Service(params)
    service.snapshot(S, 1, 10, [(900, 1)], [(1300, 1)])
    now_ns, bid, rows = S, 1000, []
    for update_id in range(11, 411):
        now_ns += int(rng.choice([S // 50, S // 3, S, 7 * S], p=[0.5, 0.3, 0.19, 0.01]))
        bid += int(rng.choice([0, 1, -1, 60, -60], p=[0.3, 0.34, 0.34, 0.01, 0.01]))
        touch = (bid, update_id, bid + int(rng.integers(1, 4)), int(rng.integers(1, 50)))
        assert service.best(now_ns, 1, update_id, touch) == PUBLISH
        rows.append(service.out[0].copy())
    out = pd.DataFrame(np.array(rows))
    touches = [out[name] for name in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")]
    names = ("volatility_half_life_ns", "drift_half_life_ns", "warmup_ns", "max_gap_ns")
    estimate = mmquant.Volatility(*(params[name] for name in names), jump_sigmas=6)
    estimate.update(1100.0, S)
    path = estimate.path(mmquant.mid(touches[0], touches[2]), out["now_ns"].to_numpy())
    assert out["jumps"].iloc[-1] > 0
    assert out["gaps"].iloc[-1] > 0
    for name in ("volatility_ticks_per_sqrt_s", "drift_ticks_per_s"):
        assert out[name].tolist() == getattr(path, name).tolist()
    assert out["microprice_ticks"].tolist() == mmquant.microprice(*touches).tolist()
    assert out["vamp_ticks"].tolist() == mmquant.vamp(*touches).tolist()
    flow = mmquant.decayed_order_flow(*touches, out["now_ns"].to_numpy(), half_life_ns=2 * S)
    first_lots = out["order_flow_lots"].iloc[0]  # against the snapshot, which the arrays lack
    ages = (out["now_ns"] - out["now_ns"].iloc[0]) / (2 * S)
    expected = flow + first_lots * 2.0**-ages
    assert out["order_flow_lots"].tolist() == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-9)
    blend = mmquant.blend({"mid": (out["mid_ticks"], 0.5), "micro": (out["microprice_ticks"], 0.5)})
    assert out["fair_value_ticks"].tolist() == blend.tolist()
