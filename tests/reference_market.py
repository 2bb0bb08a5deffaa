"""Slow obvious twins of the market kernels, in plain Python numbers and dictionaries."""

import math
from typing import Any

MASK = (1 << 64) - 1
BUY, SELL = 1, -1


def rotate_left(x: int, by: int) -> int:
    return ((x << by) | (x >> (64 - by))) & MASK


def splitmix64(seed: int, count: int) -> list[int]:
    words, x = [], seed
    for _ in range(count):
        x = (x + 0x9E3779B97F4A7C15) & MASK
        z = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        words.append(z ^ (z >> 31))
    return words


class Generator:
    """xoroshiro128+ in Python's unbounded integers."""

    def __init__(self, words: tuple[int, int]) -> None:
        self.a, self.b = words

    def bits(self) -> int:
        a, b = self.a, self.b
        result = (a + b) & MASK
        b ^= a
        self.a = rotate_left(a, 24) ^ b ^ ((b << 16) & MASK)
        self.b = rotate_left(b, 37)
        return result

    def unit(self) -> float:
        return 1.0 - (self.bits() >> 11) / 2**53

    def normals(self) -> tuple[float, float]:
        while True:
            x, y = 2 * self.unit() - 1, 2 * self.unit() - 1
            square = x * x + y * y
            if 0 < square < 1:
                scale = math.sqrt(-2 * math.log(square) / square)
                return x * scale, y * scale


def evolve(
    p: dict[str, Any], s: dict[str, float], elapsed_s: float, generator: Generator
) -> dict[str, float]:
    """One Euler step of the latent price; exact steps of its log volatility and the excitation."""
    z, w = generator.normals()
    volatility = p["volatility_ticks_per_sqrt_s"] * math.exp(s["log_volatility"])
    keep = math.exp(-elapsed_s / p["volatility_memory_s"])
    noise = p["log_volatility_sd"] * math.sqrt(1 - keep**2) * w
    decay = math.exp(-p["excitation_decay_per_s"] * elapsed_s)
    return {
        "latent_ticks": s["latent_ticks"] + volatility * math.sqrt(elapsed_s) * z,
        "log_volatility": keep * s["log_volatility"] + noise,
        "buy_excitation_per_s": decay * s["buy_excitation_per_s"],
        "sell_excitation_per_s": decay * s["sell_excitation_per_s"],
    }


def rates(p: dict[str, Any], s: dict[str, Any]) -> dict[str, float]:
    """Every intensity of the order flow as of a state."""
    bid, ask = s["best_bid_ticks"], s["best_ask_ticks"]
    latent, half = s["latent_ticks"], p["half_spread_ticks"]
    pace = math.exp(s["log_volatility"])
    want_bid = min(ask - 1, math.floor(latent - half))
    want_ask = max(bid + 1, math.ceil(latent + half))
    odds = 1 / (1 + math.exp(-p["informed_per_tick"] * (latent - (bid + ask) / 2)))
    found = {
        "limit_rate": 2 * p["limit_rate_per_s"] * pace,
        "cancel_rate": p["cancel_rate_per_s"] * pace * (s["bid_orders"] + s["ask_orders"]),
        "fade_bid_rate": p["fade_rate_per_tick_s"] * pace * max(0, bid - want_bid),
        "fade_ask_rate": p["fade_rate_per_tick_s"] * pace * max(0, want_ask - ask),
        "chase_bid_rate": p["chase_rate_per_tick_s"] * pace * max(0, want_bid - bid),
        "chase_ask_rate": p["chase_rate_per_tick_s"] * pace * max(0, ask - want_ask),
        "buy_rate": p["market_rate_per_s"] * pace * odds,
        "sell_rate": p["market_rate_per_s"] * pace * (1 - odds),
    }
    excitation = s["buy_excitation_per_s"] + s["sell_excitation_per_s"]
    found["total_rate"] = sum(found.values()) + excitation
    return found


class Book:
    """The book a reader of the events rebuilds."""

    def __init__(self, bids: list[list[int]], asks: list[list[int]], update_id: int) -> None:
        self.sides = {BUY: dict(map(tuple, bids)), SELL: dict(map(tuple, asks))}
        self.update_id = update_id

    def set_level(self, side: int, price: int, qty: int) -> None:
        if qty:
            self.sides[side][price] = qty
        else:
            del self.sides[side][price]

    @property
    def best(self) -> tuple[int, int]:
        return max(self.sides[BUY]), min(self.sides[SELL])


def sweep(
    book: Book, aggressor: int, want: int, max_ticks: int, min_levels: int
) -> list[tuple[int, int]]:
    """Return a market order's fills; the last level a side must keep is left with one lot."""
    side = -aggressor
    fills: list[tuple[int, int]] = []
    start = book.best[0] if side == BUY else book.best[1]
    while want > 0:
        price = book.best[0] if side == BUY else book.best[1]
        if abs(price - start) > max_ticks:
            break
        resting = book.sides[side][price]
        fill = min(want, resting)
        if fill == resting and len(book.sides[side]) <= min_levels:
            fill = want = resting - 1
        if fill == 0:
            break
        fills.append((price, fill))
        book.set_level(side, price, resting - fill)
        want -= fill
    return fills
