"""A client as naive as can be: the venue's own rules for a local book, a dict a side."""


class NaiveBook:
    """The official procedure, strings to floats, nothing clever."""

    def __init__(self, snapshot, usdm):
        self.usdm = usdm
        self.id = snapshot["lastUpdateId"]
        self.sides = {"b": {}, "a": {}}
        self.first = True
        for side, name in (("b", "bids"), ("a", "asks")):
            self.set(side, snapshot[name])

    def set(self, side, levels):
        for price, qty in levels:
            self.sides[side].pop(float(price), None)
            if float(qty):
                self.sides[side][float(price)] = float(qty)

    def apply(self, event):
        if self.first:
            if event["u"] < self.id or (not self.usdm and event["u"] <= self.id):
                return
            assert event["U"] <= (self.id if self.usdm else self.id + 1) <= event["u"] + 1
            self.first = False
        elif self.usdm:
            assert event["pu"] == self.id
        else:
            assert event["U"] == self.id + 1
        self.set("b", event["b"])
        self.set("a", event["a"])
        self.id = event["u"]
        assert max(self.sides["b"]) < min(self.sides["a"])

    def top(self, levels):
        bids = sorted(self.sides["b"].items(), reverse=True)[:levels]
        return bids, sorted(self.sides["a"].items())[:levels]

    def touch(self):
        bids, asks = self.top(1)
        return (*bids[0], *asks[0])
