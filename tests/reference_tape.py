"""Slow twins of the tape's kernels: dicts, Decimal and patterns in place of bytes and columns."""

import json
import math
import re
from decimal import Decimal
from itertools import takewhile

from reference_book import IGNORED, OK, Book

from mmquant.codes import BookState, TapeKind, Template

# units


def units_of(rows, units):
    """Fold (instrument, [(price, quantity)]) rows into each instrument's divisors."""
    found = list(units)
    for instrument, levels in rows:
        for price, qty in levels:
            found[2 * instrument] = math.gcd(found[2 * instrument], price)
            found[2 * instrument + 1] = math.gcd(found[2 * instrument + 1], qty)
    return found


def divided(rows, units):
    """Return the first row that is no multiple, else -1, and all levels as they are then."""
    out, odd = [], -1
    for i, (instrument, levels) in enumerate(rows):
        price, qty = units[2 * instrument : 2 * instrument + 2]
        if odd < 0 and any(p % price or q % qty for p, q in levels):
            odd = i
        out += [(p // price, q // qty) if odd < 0 else (p, q) for p, q in levels]
    return odd, out


def first_jump(events, most, many):
    """Return the row and the level of the first price that is far off, or None."""
    watches, at = {}, 0
    for row, event in enumerate(events):
        _, _, _, bids, asks, instrument, flags = event
        if not flags & 1:
            watch = watches.setdefault(instrument, _Watch(most, many))
            found = watch.look(row, event, [*range(at, at + len(bids) + len(asks))])
            if found is not None:
                return found
        at += len(bids) + len(asks)
    return None


class _Watch:
    """What is known of one instrument's prices."""

    def __init__(self, most, many):
        self.most, self.many = most, many
        self.book, self.band, self.runs = Book(), None, {1: [], -1: []}

    def look(self, row, event, numbers):
        """Return (row, level) of a price that is far off, or None; take the event in."""
        _, kind, _, bids, asks, _, _ = event
        n = len(bids)
        sides = (
            (1, list(zip(bids, numbers[:n], strict=True))),
            (-1, list(zip(asks, numbers[n:], strict=True))),
        )
        before = touch(self.book)
        odd = None
        if kind in (TapeKind.TRADE, TapeKind.BBO, TapeKind.SNAPSHOT):
            odd = self.whole(sides)
            odd = None if odd is None else (row, odd)
        elif kind == TapeKind.DELTA and self.band is not None:
            odd = self.delta(row, sides)
        if odd is not None:
            return odd
        if kind == TapeKind.TRADE:
            ((price, _),) = bids + asks
            self.band = (price, price)
            return None
        book_step(self.book, event)
        after = touch(self.book)
        if kind == TapeKind.DELTA and self.band is not None:
            for (sign, levels), old, new in zip(sides, before, after, strict=True):
                own = [number for (p, q), number in levels if new and p == new[0] and q]
                if old and own and self.is_behind(sign, new[0], exact=True):
                    return row, own[0]
        if all(after) and after[0][0] < after[1][0] <= self.most * after[0][0]:
            self.band = (after[0][0], after[1][0])
        return None

    def is_behind(self, sign, price, exact=False):
        low, high = self.band
        if sign > 0:
            return price * self.most < low if exact else price < low // self.most
        return price > high * self.most

    def whole(self, sides):
        """Return a best price that is far off the band or the other side."""
        best = {}
        for sign, levels in sides:
            full = [(sign * p, -number) for (p, q), number in levels if q]
            if full:
                price, number = max(full)
                best[sign] = (sign * price, -number)
        for price, number in best.values():
            if self.band is not None and not (
                self.band[0] <= price * self.most and price <= self.most * self.band[1]
            ):
                return number
        prices = sorted(price for price, _ in best.values())
        return best[-1][1] if len(best) == 2 and prices[1] > self.most * prices[0] else None

    def delta(self, row, sides):
        """Return a level better than the other side by far, or the first of many far behind."""
        low, high = self.band[0] // self.most, self.band[1] * self.most
        for sign, levels in sides:
            for (price, lots), number in levels:
                if lots and (price > high if sign > 0 else price < low):
                    return row, number
        for sign, levels in sides:
            full = [(price, number) for (price, lots), number in levels if lots]
            if full and not all(self.is_behind(sign, price) for price, _ in full):
                self.runs[sign] = []
            elif full:
                self.runs[sign] = [*self.runs[sign], (row, full[0][1])]
            if len(self.runs[sign]) >= self.many:
                return self.runs[sign][0]
        return None


# tables

_FIELDS = (
    rb"(\d{1,18})(?=[,\r\n])",
    rb"(\d{1,10}|\d{1,10}\.\d{0,8}0*)(?=[,\r\n])",
    rb'((?!")[^,\r\n]*)',
    rb'((?!")[^,\r\n]*)',
)


def _value(what, text):
    if what == 0:
        return int(text)
    if what == 1:
        return int(Decimal(text.decode()).scaleb(8))
    return text[0] if text else 0


def csv_rows(data, columns, room):
    """Return how it ended (done, full, bad), the rows, where it stands, and the bad column."""
    at, rows = 0, []
    while at < len(data):
        if len(rows) == room:
            return "full", rows, at, None
        here, row = at, []
        for column, what in enumerate(columns):
            found = re.compile(_FIELDS[what]).match(data, here)
            if found is None:
                return "bad", rows, at, column
            row.append(_value(what, found[1]))
            here = found.end()
            if column < len(columns) - 1:
                if data[here] != ord(","):
                    return "bad", rows, at, column
                here += 1
        found = re.compile(rb"\r?\n").match(data, here)
        if found is None:
            return "bad", rows, at, len(columns)
        at = found.end()
        rows.append(row)
    return "done", rows, at, None


# hftbacktest's rows: (whom, side, code, venue time, time received, price, quantity)

EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
DEPTH, TRADE, CLEAR, SNAPSHOT, BBO = 1, 2, 3, 4, 5
VENUE_ONLY, LOCAL_ONLY, BARE = 8, 16, 32


def npz_pair(rows):
    """Return (row, flag) of those to keep; a row's number, negative, where it is for nobody."""
    for i, row in enumerate(rows):
        if row[0] == 0:
            return -1 - i
    gone, flags = set(), {}
    for i, row in enumerate(rows):
        flags[i] = {EXCH: VENUE_ONLY, LOCAL: LOCAL_ONLY}.get(row[0], 0)
    for i, row in enumerate(rows):
        if row[0] != LOCAL:
            continue
        for k, other in enumerate(rows):
            if other[0] == EXCH and k not in gone and other[1:] == row[1:]:
                gone.add(k)
                flags[i] = 0
                break
    return [(i, flags[i]) for i in range(len(rows)) if i not in gone]


def npz_merge(times, exch, local):
    """Return (row, whom) in the order of both; times are (venue, received) of each row."""
    exch, local, out = list(exch), list(local), []
    while exch or local:
        if exch and local and exch[0] == local[0]:
            out.append((exch.pop(0), EXCH | LOCAL))
            local.pop(0)
        elif not local or (exch and times[exch[0]] < times[local[0]]):
            out.append((exch.pop(0), EXCH))
        else:
            out.append((local.pop(0), LOCAL))
    return out


def npz_group(rows, flags):
    """Return (kind, flags, venue time, time received, bids, asks) of each event."""
    out, at = [], 0
    while at < len(rows):
        heads = [(*row[3:5], flag) for row, flag in zip(rows, flags, strict=True)]
        moment = heads[at]
        together = rows[at : at + len(list(takewhile(moment.__eq__, heads[at:])))]
        whole = _whole_book(together)
        if whole is not None:
            bids, asks, used = whole
            kind, flag = TapeKind.SNAPSHOT, flags[at]
        else:
            kind, flag, bids, asks, used = _plain(together, flags[at], not out)
        out.append((int(kind), flag, *moment[:2], bids, asks))
        at += used
    return out


def _run(rows, side, code):
    return list(takewhile(lambda row: (row[1], row[2]) == (side, code), rows))


def _prices(rows):
    return [row[5:7] for row in rows]


def _whole_book(rows):
    """Return bids, asks and rows used where both sides are cleared as far as they are given."""
    sides, rest = [], rows
    for side in (BUY, SELL):
        if not rest or rest[0][1:3] != (side, CLEAR):
            return None
        levels = _run(rest[1:], side, SNAPSHOT)
        if not levels or rest[0][5] != levels[-1][5]:
            return None
        sides.append(_prices(levels))
        rest = rest[1 + len(levels) :]
    return *sides, len(rows) - len(rest)


def _plain(rows, flag, is_first):
    side, code = rows[0][1:3]
    if side == 0:
        return TapeKind.CLEAR, flag, [], [], 1
    bids = _run(rows, BUY, code)
    asks = _run(rows[len(bids) :], SELL, code)
    if code == BBO:
        bids = bids[:1]
        asks = _run(rows[len(bids) :], SELL, code)[:1]
    if code in (TRADE, CLEAR):
        bids, asks = bids[:1], [] if bids else asks[:1]
    kinds = {DEPTH: TapeKind.DELTA, TRADE: TapeKind.TRADE, CLEAR: TapeKind.CLEAR}
    kinds[BBO] = TapeKind.BBO
    kind = kinds.get(code)
    if kind is None:
        flag |= BARE
        kind = TapeKind.SNAPSHOT if is_first and bids and asks else TapeKind.DELTA
    return kind, flag, _prices(bids), _prices(asks), len(bids) + len(asks)


# the book: events are (received, kind, update id, bids, asks, instrument, flags)


def book_step(book, event):
    """Bring one event into a reference_book.Book; return its code."""
    _, kind, update_id, bids, asks, _, flags = event
    if kind == TapeKind.TRADE or flags & 1:
        return IGNORED
    if kind in (TapeKind.DELTA, TapeKind.SNAPSHOT):
        code = book.apply(bids, asks, update_id, load=kind == TapeKind.SNAPSHOT)
        if kind == TapeKind.SNAPSHOT:
            book.book_state = BookState.LIVE
        return code
    if kind == TapeKind.BBO:
        return book.apply_bbo(update_id, bids[0] if bids else None, asks[0] if asks else None)
    if kind == TapeKind.GAP:
        book.synced, book.book_state = False, BookState.GAP
        return OK
    if not bids and not asks:
        book.clear()
        book.book_state = 0
        return OK
    code = OK
    for sign, side, limits in ((1, book.bids, bids), (-1, book.asks, asks)):
        code = OK if limits else code
        for tick in sorted(side, reverse=sign > 0):
            if limits and (tick - limits[0][0]) * sign >= 0:
                gone = [(tick, 0)]
                code = book.apply(*((gone, []) if sign > 0 else ([], gone)), update_id)
    return code


def touch(book):
    """Return bid, its lots, ask, its lots; None for a side without."""
    return book.best(1), book.best(-1)


def touches(events, instrument):
    """Return (row, code, bid, ask) after each event of an instrument's book."""
    book, out = Book(), []
    for row, event in enumerate(events):
        if event[5] == instrument and event[1] != TapeKind.TRADE and not event[6] & 1:
            code = book_step(book, event)
            out.append((row, code, *touch(book)))
    return out


def message(book, event, now_ns):
    """Return template, values, bids and asks of the message of an event, before it is applied."""
    _, kind, update_id, bids, asks, _, _ = event
    values = {"received_ns": now_ns, "sent_ns": now_ns}
    clears_all = kind == TapeKind.CLEAR and not bids and not asks
    if kind == TapeKind.TRADE:
        (price, qty), side = (bids or asks)[0], 1 if bids else -1
        values |= {"trade_id": update_id, "price_ticks": price, "qty_lots": qty, "aggressor": side}
        return Template.TRADE, values, None, None
    if kind == TapeKind.BBO:
        values["update_id"] = update_id
        for name, levels in (("bid", bids), ("ask", asks)):
            price, qty = levels[0] if levels else (0, 0)
            values |= {f"{name}_ticks": price, f"{name}_lots": qty}
        return Template.BEST_BID_OFFER, values, None, None
    if kind in (TapeKind.SNAPSHOT, TapeKind.GAP) or clears_all:
        is_gap = kind == TapeKind.GAP
        values["last_update_id"] = book.last_update_id if is_gap else update_id
        values["book_state"] = BookState.GAP if is_gap else BookState.LIVE
        values["known_high_ticks"] = 2**53
        return Template.BOOK_SNAPSHOT, values, bids, asks
    values |= {"first_update_id": book.last_update_id + 1, "last_update_id": update_id}
    values["previous_update_id"] = book.last_update_id
    if kind == TapeKind.CLEAR:
        bids, asks = (
            [(tick, 0) for tick, _ in levels if limit and (tick - limit[0][0]) * sign >= 0]
            for sign, levels, limit in ((1, book.top_bids(), bids), (-1, book.top_asks(), asks))
        )
    return Template.BOOK_DELTA, values, bids, asks


def bars(events, instrument, start_ns, step_ns, n):
    """Return each bar as a dict, from lists of what fell into it."""
    book, seen = Book(), [([], []) for _ in range(n)]
    for event in events:
        if event[5] != instrument or event[0] >= start_ns + n * step_ns:
            continue
        mids, trades = ([], []) if event[0] < start_ns else seen[(event[0] - start_ns) // step_ns]
        if event[1] == TapeKind.TRADE:
            if not event[6] & 1:
                trades.append((bool(event[3]), (event[3] or event[4])[0][1]))
        elif book_step(book, event) != IGNORED:
            bid, ask = touch(book)
            if bid and ask and bid[0] < ask[0]:
                mids.append((bid, ask))
    out, last = [], ((0, 0), (0, 0))
    for mids, trades in seen:
        halves = [bid[0] + ask[0] for bid, ask in mids] or [last[0][0] + last[1][0]]
        last = mids[-1] if mids else last
        buys, sells = (sum(lots for buy, lots in trades if buy is way) for way in (True, False))
        prices = (halves[0], max(halves), min(halves), halves[-1])
        out.append((*prices, *last[0], *last[1], buys, sells, len(trades), len(mids)))
    return out


def depths(events, instrument, times_ns, n):
    """Return the n best levels a side at each time, every time from the tape's beginning."""
    out = []
    for time_ns in times_ns:
        book = Book()
        for event in events:
            if event[0] <= time_ns and event[5] == instrument:
                book_step(book, event)
        sides = [book.view(1)[:n], book.view(-1)[:n]]
        out.append([list(level) for side in sides for level in side + [(0, 0)] * (n - len(side))])
    return out


# recordings of one symbol


def recording(lines, is_usdm):
    """Return (kind, update id, flags, bids, asks) of every row, by the venue's own rules."""
    reader = _Reader(is_usdm)
    for line in lines:
        found = re.fullmatch(rb"\d{1,19} (\{.*\})", line)
        if found is not None:
            frame = json.loads(found[1])
            reader.take(frame.get("data", frame))
    return reader.rows, reader.trade_gaps


def _levels(rows):
    return [tuple(int(Decimal(text) * 10**8) for text in row) for row in rows]


class _Reader:
    def __init__(self, is_usdm):
        self.is_usdm, self.rows, self.waiting = is_usdm, [], []
        self.known = None  # update id of a whole book
        self.is_new = False  # just loaded: the first event may overlap it
        self.last_trade, self.trade_gaps = 0, 0

    def take(self, frame):
        if "lastUpdateId" in frame:
            self.snapshot(frame)
        elif frame.get("e") == "depthUpdate":
            self.depth(frame, waited=False)
        elif frame.get("e") == "trade":
            self.trade(frame)
        else:
            sides = [_levels([[frame[p], frame[q]]]) for p, q in (("b", "B"), ("a", "A"))]
            sides = [[level for level in side if level[1]] for side in sides]
            self.put(TapeKind.BBO, frame["u"], 0, *sides)

    def put(self, kind, update_id, flags, bids=(), asks=()):
        self.rows.append((int(kind), update_id, flags, list(bids), list(asks)))

    def trade(self, frame):
        number, level = frame["t"], _levels([[frame["p"], frame["q"]]])
        is_old = 0 < self.last_trade >= number
        if not is_old:
            self.trade_gaps += number - self.last_trade - 1 if self.last_trade else 0
            self.last_trade = number
        sides = ([], level) if frame["m"] else (level, [])
        self.put(TapeKind.TRADE, number, int(is_old), *sides)

    def snapshot(self, frame):
        number = frame["lastUpdateId"]
        is_old = self.known is not None and number < self.known
        sides = _levels(frame["bids"]), _levels(frame["asks"])
        self.put(TapeKind.SNAPSHOT, number, int(is_old), *sides)
        if is_old:
            return
        self.known, self.is_new = number, True
        waiting, self.waiting = self.waiting, []
        for event in waiting:
            self.depth(event, waited=True)

    def depth(self, frame, waited):
        code = "waits" if self.known is None else self.judge(frame)
        sides = _levels(frame["b"]), _levels(frame["a"])
        if code == "fits":
            self.known, self.is_new = frame["u"], False
            self.put(TapeKind.DELTA, frame["u"], 2 * waited, *sides)
            return
        if code == "waits":
            if self.known is not None:
                self.put(TapeKind.GAP, frame["u"], 0)
            self.known = None
            self.waiting.append(frame)
        if not waited:
            self.put(TapeKind.DELTA, frame["u"], 1, *sides)

    def judge(self, frame):
        """Tell whether a depth event fits the book, is older than it, or must wait for another."""
        first, last, known = frame["U"], frame["u"], self.known
        if not self.is_usdm:
            return "old" if last <= known else "fits" if first <= known + 1 else "waits"
        if self.is_new:
            return "old" if last < known else "fits" if frame["pu"] <= known else "waits"
        return "old" if last <= known else "fits" if frame["pu"] == known else "waits"
