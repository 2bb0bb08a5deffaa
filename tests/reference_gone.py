"""Slow obvious twin of gone orders: as they were before a cancellation or an amendment."""

from mmquant.codes import FillModel, OrderKind, OrderStatus
from mmquant.state import MAX_GONE


class ReferenceGone:
    """The part of the reference simulator that keeps them, each with the order that it was."""

    def __init__(self):
        self.gone = []
        self.newest = 0  # the venue's time of the newest book

    def keep_gone(self, o, now, there):
        if o["kind"] in (OrderKind.POST_ONLY, OrderKind.LIMIT):  # others never rest
            self.gone.sort(key=lambda other: (other["gone_there"], other["place"]))
            was = o | {"of": o, "gone_at": now, "gone_there": there}
            self.gone = [*self.gone[-MAX_GONE + 1 :], was]

    def still_there(self, at, now):
        """Return those that are gone by now and were at the venue at its time `at`."""
        if self.model == FillModel.FIFO_L3:
            return []
        found = [was for was in self.gone if was["there"] < at <= was["gone_there"]]
        return [was for was in found if at < was["gone_there"] or was["gone_at"] < now]

    def forget_gone(self, at):
        self.gone = [was for was in self.gone if was["gone_there"] >= at]

    def same_place(self, was):
        """Return what else stands for the same order in the same place."""
        others = [o for o in self.orders if o is was["of"]]
        others += [other for other in self.gone if other["of"] is was["of"] and other is not was]
        return [o for o in others if o["place"] == was["place"]]

    def fill_gone(self, was, qty, kind, ahead, trade_id, now):
        """Fill the order as it was: what was filled of it later had so much less left for it."""
        o = was["of"]
        for other in self.gone:
            if other["of"] is o and (other is was or other["gone_there"] >= was["gone_there"]):
                other["filled"] += qty
        is_full = was["filled"] == was["qty"]  # the order ended there
        most = was["qty"] if is_full else max(o["qty"], was["filled"])
        new = max(0, min(qty, most - o["filled"]))
        o["filled"] += new
        o["qty"] = o["filled"] if is_full else max(o["qty"], o["filled"])
        if is_full:
            self.gone = [other for other in self.gone if other["of"] is not o]
        if new > 0:
            self.account_fill(was, was["price"], new, kind, ahead, trade_id, now)
        if o["status"] == OrderStatus.OPEN and (new > 0 or is_full):
            self.update(o, now, self.filled_status(o))
        elif new > 0:
            self.update(o, now, o["status"], o["reason"])

    def filled_status(self, o):
        return OrderStatus.FILLED if o["filled"] == o["qty"] else OrderStatus.OPEN

    def queue(self, side, reached, gone=()):
        """Return the open orders of a side that satisfy `reached`, in the order they fill."""
        here = [o for o in self.orders if o["status"] == OrderStatus.OPEN]
        gone = sorted(gone, key=lambda was: was["gone_there"])  # the first to go was there
        here = [o for o in (*gone, *here) if o["side"] == side and reached(o["price"])]
        return sorted(here, key=lambda o: (-side * o["price"], o["place"]))
