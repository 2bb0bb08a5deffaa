"""Runs ccxt's own order books on the offline venue; prints each state as a JSON line.

Use: python ccxt_book.py HOST:PORT spot|usdm SECONDS SYMBOL...
"""

import asyncio
import json
import sys
import time

import ccxt.pro


async def main(address, market, seconds, symbols):
    usdm = market == "usdm"
    exchange = ccxt.pro.binance({"options": {"fetchMarkets": ["linear" if usdm else "spot"]}})
    exchange.urls["api"]["public"] = f"http://{address}/api/v3"
    exchange.urls["api"]["fapiPublic"] = f"http://{address}/fapi/v1"
    exchange.urls["api"]["ws"]["linear" if usdm else "spot"] = f"ws://{address}/ws"
    names = [symbol.replace("USDT", "/USDT:USDT" if usdm else "/USDT") for symbol in symbols]

    async def follow(symbol, name):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            book = await exchange.watch_order_book(name, 1000)
            sides = {side: [[p, q] for p, q in book[side]] for side in ("bids", "asks")}
            print(json.dumps({"symbol": symbol, "update_id": book["nonce"], **sides}), flush=True)

    try:
        await exchange.load_markets()
        await asyncio.gather(*map(follow, symbols, names))
    finally:
        await exchange.close()


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]))
