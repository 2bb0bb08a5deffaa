"""Whether a service can do its job, and what is wrong where it cannot: what /health answers."""

import os
from dataclasses import dataclass
from typing import Any

from mm_runtime.health_watch import Watch
from mm_runtime.service import Service
from mmquant.codes import Role, ServiceState

__all__ = ["Health", "Input", "assess"]


@dataclass(frozen=True, slots=True)
class Input:
    """Something a service needs to hear: a peer's heartbeat or a stream.

    Attributes
    ----------
    name
        `heartbeat.<service>` or `stream.<name>`.
    age_s
        Since it was heard last; None: never.
    limit_s
        The age beyond which the service is unhealthy.
    """

    name: str
    age_s: float | None
    limit_s: float

    def complaint(self) -> str:
        """Return what is wrong with it, "" where nothing is."""
        if self.age_s is None:
            return f"nothing heard on {self.name} yet"
        if self.age_s > self.limit_s:
            return f"{self.name} is silent for {self.age_s:.1f} s, allowed are {self.limit_s:g} s"
        return ""


@dataclass(frozen=True, slots=True)
class Health:
    """One judgement.

    Attributes
    ----------
    complaints
        What makes the service unhealthy; none: it is healthy.
    inputs
        What it needs to hear, and how old that is.
    """

    service: Service
    complaints: tuple[str, ...]
    inputs: tuple[Input, ...]
    turn_age_s: float | None
    state_s: float

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with the service itself or what it needs."""
        return not self.complaints

    def as_dict(self) -> dict[str, Any]:
        """Return what /health answers; see docs/metrics.md for the keys."""
        service = self.service
        return {
            "service": service.role.name.lower(),
            "healthy": self.healthy,
            "why": "; ".join(self.complaints),
            "state": service.state.name,
            "reason": service.reason.name,
            "text": service.text,
            "state_s": self.state_s,
            "turn_age_s": self.turn_age_s,
            "inputs": {i.name: {"age_s": i.age_s, "limit_s": i.limit_s} for i in self.inputs},
            "pid": os.getpid(),
            "aeron_directory": str(service.settings.aeron_directory()),
        }


def assess(service: Service, watch: Watch) -> Health:
    """Judge `service` now.

    A service is healthy if its loop turns, what it needs to hear is fresh, and it finds no fault
    with itself. A service that `must_be_ready` has to be READY, once for a start and afterwards
    not longer than the grace not; one that is HALTED by design is healthy, and says so.
    """
    watch.look()
    limits = service.settings.health
    turn_age_s = watch.turn_age_s()
    complaints: list[str] = []
    if turn_age_s is None:
        complaints.append("its loop has not started yet")
    elif turn_age_s > limits.turn_timeout_ms / 1e3:
        complaints.append(f"its loop has stood still for {turn_age_s:.1f} s")
    inputs = _inputs(service, watch)
    complaints += filter(None, (one.complaint() for one in inputs))
    complaints += filter(None, (_not_ready(service), service.fault()))
    return Health(service, tuple(complaints), inputs, turn_age_s, _seconds_in_state(service))


def _inputs(service: Service, watch: Watch) -> tuple[Input, ...]:
    settings = service.settings
    beat_limit_s = settings.heartbeats.timeout_ms / 1e3
    limit_s = settings.health.input_timeout_ms / 1e3
    beats = [
        Input(f"heartbeat.{role.name.lower()}", _beat_age_s(service, role), beat_limit_s)
        for role in service.needs_peers
    ]
    streams = [
        Input(f"stream.{stream.name.lower()}", watch.input_age_s(stream), limit_s)
        for stream in service.needs_streams
    ]
    return (*beats, *streams)


def _beat_age_s(service: Service, role: Role) -> float | None:
    peer = service.peers.get(role)
    if peer is None or peer.state is ServiceState.STOPPED:  # it has said goodbye
        return None
    return max(0, service.clock.now_ns() - peer.heard_ns) / 1e9


def _not_ready(service: Service) -> str:
    if not service.must_be_ready or service.state in (ServiceState.READY, ServiceState.HALTED):
        return ""
    why = f"{service.state.name} {service.reason.name}: {service.text}"
    if service.was_ready_ns == 0:
        return f"not READY yet, {why}"
    away_s = (service.clock.now_ns() - service.was_ready_ns) / 1e9
    grace_s = service.settings.health.grace_ms / 1e3
    if away_s <= grace_s:
        return ""
    return f"not READY for {away_s:.1f} s, allowed are {grace_s:g} s, {why}"


def _seconds_in_state(service: Service) -> float:
    return max(0, service.clock.now_ns() - service.state_since_ns) / 1e9
