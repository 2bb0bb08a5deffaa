"""What the simulator's tests share: parameters, an instrument, a book, readable events."""

import numpy as np
from reference_simulator import ReferenceSimulator

from mmquant.codes import FillKind, FillModel, OrderStatus, Reason, Template
from mmquant.kernels.latency import note_feed
from mmquant.kernels.simulator import simulator_on_quotes
from mmquant.records import INSTRUMENT, LEVEL, QUOTES
from mmquant.simulator import Simulator, simulator_params
from mmquant.state import MAX_LEVELS

PARAMS = {
    "fill_model": FillModel.RISK_AVERSE,
    "entry_latency_ns": 10,
    "cancel_latency_ns": 5,
    "fill_probability_factor": 1.0,
    "maker_fee_ppm": 200,
    "taker_fee_ppm": 500,
    "markout_horizon_ns": 60,
}
BIDS = [(100, 40), (99, 60), (98, 80)]
ASKS = [(104, 40), (105, 60), (106, 80)]


def instrument_with(**changes):
    instrument = np.zeros(1, INSTRUMENT)
    for field, value in ({"instrument_id": 7, "tick_size_e8": 10**6, "lot_size_e8": 10**6}).items():
        instrument[0][field] = value
    for field, value in changes.items():
        instrument[0][field] = value
    return instrument


def venue(recorded=None, instrument=None, **changes):
    """Return a simulator that has seen BIDS and ASKS at time 0."""
    instrument = instrument_with() if instrument is None else instrument
    simulator = Simulator(simulator_params(**(PARAMS | changes)), instrument, 1, recorded)
    simulator.depth(BIDS, ASKS, 0, snapshot=True)
    return simulator


def statuses(events):
    updates = [e for e in events if e["template_id"] == Template.ORDER_UPDATE]
    return [(OrderStatus(e["status"]).name, Reason(e["reason"]).name) for e in updates]


def fills(events):
    """Return (kind, price, quantity) of each fill."""
    return [
        (FillKind(e["kind"]).name, int(e["price_ticks"]), int(e["qty_lots"]))
        for e in events
        if e["template_id"] == Template.FILL
    ]


def bare(simulator):
    """Return the bytes of everything but the clocks: a refused request must not change it."""
    s = simulator.state[0]
    orders = np.array(s["orders"][: int(s["count"])])
    names = [n for n in s.dtype.names if n not in ("orders", "now_ns", "heard_ns", "known_ns")]
    parts = [np.array(s[name]).tobytes() for name in names]
    return b"".join([orders.tobytes(), simulator.account.state.tobytes(), *parts])


def hear_feed(simulator, now, venue):
    """Let a message of the book tell how late it is; it changes no level."""
    if isinstance(simulator, ReferenceSimulator):
        made = simulator.hear_feed(now, venue)
    else:
        made = int(note_feed(simulator.state, now, venue))
    return simulator.depth([], [], now, venue_ns=made)


def quotes_by_who_heard(simulator, bids, asks, now, reason, heard):
    """Want these quotes, as one does who has heard all answers up to `heard`."""
    if isinstance(simulator, ReferenceSimulator):
        return simulator.quotes(bids, asks, now, reason, heard)
    quotes, levels = np.zeros(1, QUOTES), np.zeros(2 * MAX_LEVELS, LEVEL)
    quotes[0]["instrument_id"], quotes[0]["seq"] = 7, 1
    quotes[0]["reason"] = reason
    for first, ladder in ((0, bids), (MAX_LEVELS, asks)):
        levels[first : first + len(ladder)] = ladder
    s = simulator
    what = (s.instrument, s.book, s.recorded, quotes, levels, now, heard, s._events)
    return s._answer(simulator_on_quotes(*s._venue, *what))
