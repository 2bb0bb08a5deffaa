"""[aeron] of runtime.toml -> the channels a stream is published on and heard from.

On one machine both are `aeron.channel`. Over several, each machine's publications go out from
its own address to whoever subscribes there (multi-destination-cast with dynamic control: no
multicast needed), and a subscription is a list: this machine's publications, read as a spy from
their buffers in shared memory, and those of each other machine. Every publication is in
exactly one of them, so nothing comes twice.
"""

from mm_runtime.settings import AeronSettings

__all__ = ["publication_channel", "subscription_channels"]

# The slowest machine sets the pace, as the slowest subscriber does on aeron:ipc: what is lost on
# the way can always be sent again. A machine that falls silent for this long sets it no more.
_FLOW_CONTROL = "fc=min,t:2s"


def publication_channel(settings: AeronSettings, term_bytes: int, alias: str) -> str:
    """Return the channel on which this machine publishes a stream.

    Parameters
    ----------
    settings
        The section [aeron].
    term_bytes
        Length of the stream's term buffers.
    alias
        The stream's name in Aeron's counters.
    """
    common = f"term-length={term_bytes}|alias={alias}"
    if settings.machines:
        # Subscribers on this machine count as connected, whether others listen or not.
        return f"{_control(settings.machine)}|{_FLOW_CONTROL}|ssc=true|{common}"
    separator = "|" if "?" in settings.channel else "?"
    return f"{settings.channel}{separator}{common}"


def subscription_channels(settings: AeronSettings) -> list[str]:
    """Return the channels that together carry every publication of a stream once."""
    if not settings.machines:
        return [settings.channel]
    channels = [f"aeron-spy:{_control(settings.machine)}"]
    host, _, port = settings.machine.rpartition(":")
    for i, other in enumerate(settings.machines, start=1):
        if other != settings.machine:
            # A fixed port for each peer: subscribers on this machine then share one socket and
            # one copy. A group of one answers a loss at once, without the back-off of multicast.
            endpoint = f"endpoint={host}:{int(port) + i}"
            channels.append(f"{_control(other)}|{endpoint}|group=false")
    return channels


def _control(machine: str) -> str:
    return f"aeron:udp?control={machine}|control-mode=dynamic"
