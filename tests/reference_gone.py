"""Slow obvious twin of gone orders: cancelled ones that a trade matched before may still fill."""

from mmquant.codes import OrderKind
from mmquant.state import MAX_GONE


class ReferenceGone:
    """The part of the reference simulator that keeps them, each as the order it was."""

    def __init__(self):
        self.gone = []

    def keep_gone(self, o, now):
        if o["kind"] in (OrderKind.POST_ONLY, OrderKind.LIMIT):  # others never rest
            o["gone_at"] = now
            self.gone.sort(key=lambda other: (other["gone_there"], other["place"]))
            self.gone = [*self.gone[-MAX_GONE + 1 :], o]

    def drop_gone(self, o):
        self.gone = [other for other in self.gone if other is not o]

    def still_there(self, at, now):
        """Return the orders that are gone by now and were not when a trade was matched."""
        self.gone = [o for o in self.gone if o["gone_there"] >= at]
        return [o for o in self.gone if o["gone_at"] < now]
