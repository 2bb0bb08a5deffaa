"""Why nothing, or nothing of a side, may be quoted: each cause by a formula of its own."""

import math

from reason_latches import worth

from mmquant.codes import BookState, PricingFlag, QuoteClamp, Reason

__all__ = ["OF_THE_GATES", "causes_of", "causes_of_gates", "faults_of_orders", "is_caused"]

MS = 1_000_000
MILLION = 1_000_000
# Models of the tests by what comes of them.
FAILING = {"own_models:blind": Reason.NOT_FINITE, "own_models:broken": Reason.INTERNAL_ERROR}
MOVES = QuoteClamp.POST_ONLY | QuoteClamp.HELD


def lots(quantity, instrument):
    """Return a quantity of strategy.toml in lots."""
    return round(float(quantity) * 10**8 / instrument["lot_size_e8"])


def causes_of_time(desk, now_ns, gates):
    """Return what the stamps on the message's way give cause to."""
    p = desk.pricing
    hops = [(p["sent_ns"], desk.heard_ns)]
    if p["frame_ns"]:
        hops.append((p["collector_sent_ns"], p["received_ns"]))
    late_ns = [came - sent for sent, came in hops if sent and came]
    skew_ns = max([desk.book_ns - now_ns, *(-each for each in late_ns)])
    return {
        Reason.CLOCK_SKEW: skew_ns > gates["max_clock_skew_ms"] * MS,
        Reason.UPSTREAM_LAGS: any(each > gates["max_lag_ms"] * MS for each in late_ns),
    }


def causes_of_book(desk, now_ns, settings):
    """Return what the book and the estimates give cause to."""
    p = desk.pricing
    spread = p["ask_ticks"] - p["bid_ticks"]
    has_both = p["bid_ticks"] > 0 and p["ask_ticks"] > 0
    is_live = p["book_state"] == BookState.LIVE and p["flags"] & PricingFlag.LIVE
    volatility = p["volatility_ticks_per_sqrt_s"]
    numbers = (p["fair_value_ticks"], p["drift_ticks_per_s"], volatility)
    are_numbers = all(math.isfinite(number) for number in numbers) and volatility >= 0
    return {
        Reason.BOOK_NOT_LIVE: not is_live,
        Reason.BOOK_STALE: now_ns - desk.book_ns > settings["gates"]["max_book_age_ms"] * MS,
        Reason.NO_MARKET_DATA: not has_both,
        Reason.BOOK_CROSSED: has_both and spread <= 0,
        Reason.NOT_WARM: not p["flags"] & PricingFlag.WARM,
        Reason.NOT_FINITE: not are_numbers,
        Reason.NO_FAIR_VALUE: bool(p["flags"] & PricingFlag.NO_FAIR_VALUE),
        Reason.SPREAD_TOO_NARROW: 0 < spread < settings["min_spread_ticks"],
        Reason.SPREAD_TOO_WIDE: spread > settings["max_spread_ticks"],
    }


def causes_of_simulator(known, desk, gates):
    """Return what the simulator said, or did not, gives cause to."""
    left = worth(sum(desk.open_orders.values()), desk.instrument)
    return {
        Reason.NO_POSITION: desk.position_lots is None,
        Reason.SIMULATOR_LAGS: known.simulator_lag_ns > gates["max_simulator_lag_ms"] * MS,
        Reason.OPEN_ORDERS: len(desk.open_orders) > gates["max_open_orders"],
        Reason.OPEN_NOTIONAL: left > float(gates["max_open_notional"]),
    }


def causes_of_gates(known, desk, now_ns, settings):
    """Return why nothing may be quoted on what is known at a time."""
    bears = {Reason.UPSTREAM_SILENT: known.silent}
    if desk.instrument is None or desk.pricing is None:
        bears[Reason.NO_INSTRUMENT] = True
    else:
        bears |= causes_of_time(desk, now_ns, settings["gates"])
        bears |= causes_of_book(desk, now_ns, settings)
        bears |= causes_of_simulator(known, desk, settings["gates"])
    return {reason for reason, is_borne in bears.items() if is_borne}


def causes_of(known, desk, now_ns, settings):
    """Return every reason why nothing at all may be quoted at a time."""
    causes = causes_of_gates(known, desk, now_ns, settings) | {known.halt} - {Reason.NONE}
    failure = FAILING.get(settings["model"])
    return {failure} if failure and not causes else causes  # it is asked where all else is well


OF_THE_GATES = {  # of which one must hold where it is named; open orders also leave out a side
    Reason.UPSTREAM_SILENT,
    Reason.NO_INSTRUMENT,
    Reason.CLOCK_SKEW,
    Reason.UPSTREAM_LAGS,
    Reason.BOOK_NOT_LIVE,
    Reason.BOOK_STALE,
    Reason.NO_MARKET_DATA,
    Reason.BOOK_CROSSED,
    Reason.NOT_WARM,
    Reason.NOT_FINITE,
    Reason.NO_FAIR_VALUE,
    Reason.SPREAD_TOO_NARROW,
    Reason.SPREAD_TOO_WIDE,
    Reason.NO_POSITION,
    Reason.SIMULATOR_LAGS,
    Reason.INTERNAL_ERROR,
    Reason.KILLED,
    Reason.INSTRUMENT_CHANGED,
    Reason.SESSION_LOSS,
    Reason.DRAWDOWN,
}


def is_in_collar(desk, price_ticks, gates):
    """Tell whether a price is near enough to the mid and to the last trade."""
    ppm = max(1, round(gates["collar_bps"] * 100))
    mid_half_ticks = desk.pricing["bid_ticks"] + desk.pricing["ask_ticks"]
    middles = [mid_half_ticks] + [2 * desk.trade_ticks] * (desk.trade_ticks > 0)
    return all(abs(2 * price_ticks - at) * MILLION <= at * ppm for at in middles)


def room_lots(desk, side, settings):
    """Return how much a side may quote in all by the position limit."""
    if desk.latches.paused_by:
        return max(0, -side * desk.position_lots)
    limit = lots(settings["position_limit_qty"], desk.instrument)
    return max(0, limit - side * desk.position_lots)


def faults_of_orders(desk, orders, settings):
    """Return which limits of a side, or of our spread, the orders that are wanted break."""
    gates, faults = settings["gates"], set()
    for side, rows in zip((1, -1), orders, strict=True):
        in_all = sum(row["qty_lots"] for row in rows)
        if in_all > room_lots(desk, side, settings):
            faults.add(Reason.INVENTORY_LIMIT)
        if in_all > settings["levels"] * faded_lots(desk, side, settings):
            faults.add(Reason.INVENTORY_SOFT_LIMIT)
        if not all(is_in_collar(desk, row["price_ticks"], gates) for row in rows):
            faults.add(Reason.PRICE_COLLAR)
        tick_lots = sum(row["price_ticks"] * row["qty_lots"] for row in rows)
        if 2 * worth(tick_lots, desk.instrument) > float(gates["max_open_notional"]):
            faults.add(Reason.OPEN_NOTIONAL)
        if 2 * len(rows) > gates["max_open_orders"]:
            faults.add(Reason.OPEN_ORDERS)
    if all(orders):
        spread = orders[1][0]["price_ticks"] - orders[0][0]["price_ticks"]
        if spread < settings["min_own_spread_ticks"]:
            faults.add(Reason.OWN_SPREAD_TOO_NARROW)
        if spread > settings["max_own_spread_ticks"]:
            faults.add(Reason.OWN_SPREAD_TOO_WIDE)
    return faults


def faded_lots(desk, side, settings):
    """Return the most that an order of a side may have: less and less beyond the soft limit."""
    limit = lots(settings["position_limit_qty"], desk.instrument)
    soft = int(limit * settings["soft_limit"])
    largest = lots(settings["order_qty"], desk.instrument)
    beyond = side * desk.position_lots - soft
    if beyond <= 0 or soft == limit:
        return largest
    return largest * max(0.0, 1 - beyond / (limit - soft))


def wanted_ticks(row):
    """Return the best prices that the model wanted, rounded and kept from trading at once."""
    bid, ask = math.floor(row["model_bid_ticks"]), math.ceil(row["model_ask_ticks"])
    ask = max(ask, bid + 1)
    return min(bid, row["ask_ticks"] - 1), max(ask, row["bid_ticks"] + 1)


def is_caused(reason, side, desk, line, before):
    """Tell whether what leaves out a side is so, by quotes and those before; True: not judged."""
    settings, row = line.settings, line.row
    if reason is Reason.NONE:
        return True
    largest = lots(settings["order_qty"], desk.instrument)
    if reason is Reason.INVENTORY_LIMIT:
        return room_lots(desk, side, settings) < largest
    if reason is Reason.INVENTORY_SOFT_LIMIT:
        return faded_lots(desk, side, settings) < largest
    bid, ask = wanted_ticks(row)
    if reason is Reason.OWN_SPREAD_TOO_NARROW:
        return ask - bid < settings["min_own_spread_ticks"]
    if reason is Reason.OWN_SPREAD_TOO_WIDE:
        is_less = (row["bid_clamps"] | row["ask_clamps"]) & ~MOVES
        return is_less or ask - bid > settings["max_own_spread_ticks"]
    index = 0 if side > 0 else 1
    price = (bid, ask)[index]
    if row[("bid_clamps", "ask_clamps")[index]] & QuoteClamp.HELD and before.orders[index]:
        price = before.orders[index][0]["price_ticks"]
    if reason is Reason.PRICE_COLLAR:
        return not is_in_collar(desk, price, settings["gates"])
    if reason is Reason.OPEN_NOTIONAL:
        most = float(settings["gates"]["max_open_notional"])
        return 2 * worth(largest * price, desk.instrument) > most
    return True
