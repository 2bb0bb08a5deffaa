"""A bad network of our own: two namespaces and, between them, a wire that loses and delays.

    python -m lossy_wire NAMESPACE ADDRESS NAMESPACE ADDRESS --loss 0.03 --delay-ms 5 20

The wire is a process that holds a TUN device in each namespace and carries packets from one to
the other, so that no module of the kernel is needed (netem is missing from many). It drops each
with the given chance and holds each back for a random time, so that they overtake each other.
On SIGTERM it prints how many it carried and dropped each way.
"""

import argparse
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import subprocess
import time
from itertools import count

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_LONGEST = 65_536


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def open_tun(namespace, address):
    """Make the device `wire` in `namespace`; it lasts as long as the descriptor returned."""
    with open(f"/run/netns/{namespace}") as handle:
        os.setns(handle.fileno(), os.CLONE_NEWNET)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH", b"wire", _IFF_TUN | _IFF_NO_PI))
    ip("address", "add", f"{address}/24", "dev", "wire")
    ip("link", "set", "wire", "up")
    ip("link", "set", "lo", "up")
    return tun


def read_all(tun):
    while True:
        try:
            yield os.read(tun, _LONGEST)
        except BlockingIOError:
            return


def carry(ends, loss, delay_s, stopping):
    """Carry packets until told to stop; return those carried and dropped, each way."""
    dice, order, on_the_way = random.Random(1), count(), []
    carried, dropped = [0, 0], [0, 0]
    while not stopping:
        wait_s = max(0.0, on_the_way[0][0] - time.monotonic()) if on_the_way else 0.1
        select.select(ends, [], [], wait_s)
        now_s = time.monotonic()
        for i, tun in enumerate(ends):
            for packet in read_all(tun):
                if dice.random() < loss:
                    dropped[i] += 1
                else:
                    due_s = now_s + dice.uniform(*delay_s)
                    heapq.heappush(on_the_way, (due_s, next(order), i, packet))
        while on_the_way and on_the_way[0][0] <= now_s:
            _, _, i, packet = heapq.heappop(on_the_way)
            os.write(ends[1 - i], packet)
            carried[i] += 1
    return carried, dropped


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ends", nargs=4, help="namespace and address, twice")
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--delay-ms", type=float, nargs=2, default=(0.0, 0.0))
    arguments = parser.parse_args()
    stopping = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    first, second = arguments.ends[:2], arguments.ends[2:]
    ends = [open_tun(*first), open_tun(*second)]
    print("up", flush=True)
    delay_s = [ms / 1e3 for ms in arguments.delay_ms]
    carried, dropped = carry(ends, arguments.loss, delay_s, stopping)
    print(json.dumps({"carried": carried, "dropped": dropped}), flush=True)


if __name__ == "__main__":
    main()
