"""The offline venue: Binance's WebSocket and REST, played from a seed or from a capture."""
