"""What the venue trades: symbol, sizes, decimals, and the text of a price or a quantity."""

from dataclasses import dataclass

from mmquant.codes import Market

__all__ = ["ONE_E8", "Instrument", "default_instrument"]

ONE_E8 = 100_000_000
_QUOTE_ASSETS = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol; sizes are integers of 1e-8, decimals how many a string shows."""

    symbol: str
    market: Market
    tick_size_e8: int
    lot_size_e8: int
    price_decimals: int
    qty_decimals: int

    @property
    def base_asset(self) -> str:
        """The asset bought and sold."""
        return self.symbol.removesuffix(self.quote_asset) if self.quote_asset else self.symbol

    @property
    def quote_asset(self) -> str:
        """The asset paid in; empty where the symbol's ending is not known."""
        return next((q for q in _QUOTE_ASSETS if self.symbol.endswith(q)), "")

    def price_text(self, price_e8: int) -> str:
        """Return a price as the venue writes it."""
        return decimal_text(price_e8, self.price_decimals)

    def qty_text(self, qty_e8: int) -> str:
        """Return a quantity as the venue writes it."""
        return decimal_text(qty_e8, self.qty_decimals)


def decimal_text(value_e8: int, decimals: int) -> str:
    """Return an integer of 1e-8 with `decimals` decimals; digits beyond them are never lost."""
    whole, rest = divmod(value_e8, ONE_E8)
    digits = f"{rest:08d}"
    shown = max(decimals, len(digits.rstrip("0")))
    return f"{whole}.{digits[:shown]}" if shown else str(whole)


def default_instrument(symbol: str, market: Market) -> Instrument:
    """Return the instrument the synthetic market trades under `symbol`."""
    if market == Market.SPOT:
        return Instrument(symbol, market, ONE_E8 // 100, ONE_E8 // 100_000, 8, 8)
    return Instrument(symbol, market, ONE_E8 // 10, ONE_E8 // 1000, 2, 3)
