"""The running system on the offline venue, for tests: its settings edited, its quotes watched."""

import json
import time
import tomllib

from mm_cli.control import restart
from mm_cli.why import collect
from mm_runtime.transport import Transport

from mmquant.codes import Reason, RiskState, Role, Template
from mmquant.ledger import read_ledger
from mmquant.wire import MessageBuffer

__all__ = ["Desk", "Voice"]

PATIENCE_S = 30.0  # for a test that hangs, not a measurement


class Desk:
    """The running system, its settings, and what it says."""

    def __init__(self, launcher, config_dir, logs):
        self.launcher, self.config_dir, self.logs = launcher, config_dir, logs
        self.base = tomllib.loads((config_dir / "strategy.toml").read_text())
        self.base["gates"] |= {"pause_s": 0.3}
        self.base["model_parameters"]["volatility_multiple"] = 0.1  # fills come quickly

    def write(self, changes=None):
        """Write strategy.toml with changes: a table's keys are merged into it."""
        table = {name: dict(v) if isinstance(v, dict) else v for name, v in self.base.items()}
        for name, value in (changes or {}).items():
            if name in ("gates", "rates"):
                table[name] |= value
            else:
                table[name] = value
        parts = [f"{k} = {json.dumps(v)}" for k, v in table.items() if not isinstance(v, dict)]
        for name, inner in table.items():
            if isinstance(inner, dict):
                parts += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in inner.items())]
        (self.config_dir / "strategy.toml").write_text("\n".join(parts) + "\n")

    def take(self, changes=None):
        """Let the running strategy take changed settings."""
        self.write(changes)
        restart(self.config_dir, "mm_strategy", lambda _: None)

    def watch_until(self, done, what):
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"never: {what}; {self.launcher.monitor.last_words}"
            if self.launcher.watch() == 0:
                time.sleep(0.001)

    def quotes(self):
        desk = self.launcher.monitor.desks.get(1)
        return None if desk is None or desk.quotes is None else desk.quotes[0]

    def sees(self, *reasons, meanwhile=lambda: None):
        """Watch until quotes on stream 15 name a reason; what `mm why` prints must name it."""
        seen = []

        def named():
            meanwhile()
            row = self.quotes()
            if row is not None:
                names = ("reason", "bid_reason", "ask_reason", "risk_reason")
                seen[:] = set(reasons) & {int(row[name]) for name in names}
            return bool(seen)

        self.watch_until(named, " or ".join(reason.name for reason in reasons))
        assert Reason(seen[0]).name in str(collect(self.launcher.monitor.desks[1]))

    def quotes_again(self):
        began_ns = time.time_ns()

        def active():
            row = self.quotes()
            beat = self.launcher.monitor.beats.get(Role.MM_STRATEGY)
            if beat is None:
                return False
            quoting = self.launcher.monitor.desks[1].bids and not row["reason"]
            return (
                quoting
                and row["sent_ns"] > began_ns
                and row["risk_state"] == RiskState.ACTIVE
                and beat.reason == 0
            )

        self.watch_until(active, "quotes again")

    def orders(self, *statuses):
        """Return the ledger's orders of these statuses."""
        (ledger,) = self.logs.parent.glob("var/**/ledger.sqlite")
        orders = read_ledger(ledger).orders
        return orders[orders["status"].isin(statuses)]

    def is_logged(self, words):
        words = words.name if isinstance(words, Reason) else words
        return any(words in path.read_text() for path in self.logs.glob("mm_strategy.log*"))


class Voice:
    """Speaks on a stream beside the services, as one with a wrong clock or book would."""

    def __init__(self, desk, stream, template):
        self.transport = Transport(desk.launcher.settings)
        self.publisher = self.transport.publisher(stream, queue_limit=1)
        capacities = (0,) if template is Template.HEARTBEAT else ()
        self.message = MessageBuffer(template, capacities)

    def say(self, like=None, **changes):
        """Publish a message like another one with these values."""
        if like is not None:
            self.message.block[0] = like[0]
        self.message.block["seq"] = self.publisher.next_seq()
        for name, value in changes.items():
            self.message.block[name] = value
        self.publisher.offer(self.message)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.transport.close()
