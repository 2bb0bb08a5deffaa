"""Runs python-binance's depth cache on the offline venue; prints each state as a JSON line.

Use: python python_binance_book.py HOST:PORT spot SECONDS SYMBOL
"""

import asyncio
import json
import sys
import time

from binance import AsyncClient, BinanceSocketManager, DepthCacheManager


async def main(address, seconds, symbol):
    AsyncClient.API_URL = f"http://{address}/api"
    BinanceSocketManager.STREAM_URL = f"ws://{address}/"
    client = await AsyncClient.create()
    try:
        end = time.monotonic() + seconds
        async with DepthCacheManager(client, symbol, limit=1000, ws_interval=100) as manager:
            while time.monotonic() < end:
                cache = await manager.recv()
                # It shows no id of its own; this is the one it checks continuity with.
                state = {"symbol": symbol, "update_id": manager._last_update_id}
                sides = {"bids": cache.get_bids(), "asks": cache.get_asks()}
                print(json.dumps({**state, **sides}), flush=True)
    finally:
        await client.close_connection()


asyncio.run(main(sys.argv[1], float(sys.argv[3]), sys.argv[4]))
