"""Slow twins of the quoting models: plain Python, straight from the papers' equations."""

import math

import numpy as np


def avellaneda_stoikov(s, q, sigma, k, tau, gamma):
    """Equations 6, 7, 18 and 19: indifference prices, and distances added to them."""
    reserve_ask = s + (1 - 2 * q) * gamma * sigma**2 * tau / 2
    reserve_bid = s + (-1 - 2 * q) * gamma * sigma**2 * tau / 2
    share = math.log(1 + gamma / k) / gamma
    return reserve_bid - share, reserve_ask + share


def avellaneda_stoikov_perpetual(s, q, sigma, k, gamma, most):
    """Section 2.3: prices at which the frozen inventory's value stays what it is."""
    omega = gamma**2 * sigma**2 * (most + 1) ** 2 / 2

    def log_value(n):  # ln of -v(x, s, n) exp(gamma (x + n s)), inf where it diverges
        rest = omega - gamma**2 * n**2 * sigma**2 / 2
        return -math.log(rest) if rest > 1e-9 * omega else math.inf

    # v(x - rb, s, q + 1) = v(x, s, q) and v(x + ra, s, q - 1) = v(x, s, q)
    reserve_bid = s - (log_value(q + 1) - log_value(q)) / gamma
    reserve_ask = s + (log_value(q - 1) - log_value(q)) / gamma
    share = math.log(1 + gamma / k) / gamma
    return reserve_bid - share, reserve_ask + share


def glft(s, n, sigma, rate, k, gamma, xi, size, mu):
    """Gueant (2017), 4.6 and 4.7; the drift of proposition 4 of the 2013 paper."""
    if xi > 0:
        c1 = math.log(1 + xi * size / k) / (xi * size)
        power = (1 + xi * size / k) ** (k / (xi * size) + 1)
    else:
        c1, power = 1 / k, math.e
    c2 = math.sqrt(gamma / (2 * rate * size * k) * power)
    q = n * size - (mu / (gamma * sigma**2) if mu else 0.0)
    bid = s - (c1 + size / 2 * sigma * c2 + sigma * c2 * q)
    ask = s + (c1 + size / 2 * sigma * c2 - sigma * c2 * q)
    return bid, ask


def cartea_jaimungal(s, n, rate, k, phi, zeta, mu):
    skew = math.sqrt(phi * math.e / (rate * k))
    shift = mu / (zeta + 2 * rate * k * skew / math.e) if mu else 0.0
    return s + shift - 1 / k - (1 + 2 * n) / 2 * skew, s + shift + 1 / k + (1 - 2 * n) / 2 * skew


def skewed(f, position, limit, sigma, mu, ticks, bps, multiple, horizon, skew, weight):
    half = max(ticks, f * bps / 10_000, multiple * sigma * math.sqrt(horizon))
    middle = f + weight * mu * horizon - skew * half * position / limit
    return middle - half, middle + half


def eigenvector_steps(costs, gain):
    """Theorem 2: ln(f_n / f_(n+1)) of the eigenvector of the least eigenvalue."""
    matrix = np.diag(costs) - gain * (np.eye(len(costs), k=1) + np.eye(len(costs), k=-1))
    f = np.abs(np.linalg.eigh(matrix)[1][:, 0])
    return np.log(f[:-1] / f[1:])


def hjb_values(reward, buy_gain, sell_gain, k, end, tau, steps):
    """Values of the nonlinear equation, backwards in time by Runge and Kutta's method.

    h' = reward + (gain e^{k (h(q - 1) - h(q))} of our sales + the same of our purchases) / k
    """

    def slope(h):
        change = np.diff(h)
        out = reward.copy()
        out[:-1] += sell_gain * np.exp(k * change) / k  # sellers hit our bid: q + 1
        out[1:] += buy_gain * np.exp(-k * change) / k
        return out

    h, dt = end.copy(), tau / steps
    for _ in range(steps):
        a = slope(h)
        b = slope(h + dt / 2 * a)
        c = slope(h + dt / 2 * b)
        d = slope(h + dt * c)
        h += dt / 6 * (a + 2 * b + 2 * c + d)
    return h


def simulate(uniforms, s, sigma, dt, k, rate, gamma, half):
    """One path of the paper's section 3.3; `half` 0 quotes by the model, else constant."""
    x, q, steps = 0.0, 0, len(uniforms)
    for j, (sell, buy, up) in enumerate(uniforms):
        bid, ask = avellaneda_stoikov(s, q, sigma, k, (steps - j) * dt, gamma)
        if half:
            bid, ask = s - half, s + half
        lift = sell < rate * math.exp(-k * (ask - s)) * dt
        hit = buy < rate * math.exp(-k * (s - bid)) * dt
        x += ask * lift - bid * hit
        q += int(hit) - int(lift)
        s += sigma * math.sqrt(dt) * (1 if up < 0.5 else -1)
    return x + q * s, q
