"""What [account] of simulator.toml may say; the services check it as they read the file."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["FEE_ASSETS", "KINDS", "check_account", "refusal"]

KINDS = ("auto", "spot", "linear", "inverse")
FEE_ASSETS = ("auto", "quote", "base", "received", "other")
_MOST_AMOUNT = Decimal(10**15)
_AMOUNTS = ("base_balance", "quote_balance", "other_balance")


def refusal(key: str, rule: str, value: object, remedy: str) -> ValueError:
    """Return the error that says what is wrong with a key of [account], and what to do."""
    return ValueError(f"account.{key}: {rule}, got {value!r}: {remedy}")


def _decimal(values: Mapping[str, Any], key: str, least: Decimal | None) -> Decimal:
    text = values[key]
    try:
        amount = Decimal(text) if isinstance(text, str) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or abs(amount) > _MOST_AMOUNT:
        rule = f"must be a decimal number in quotes of at most {_MOST_AMOUNT:f}"
        raise refusal(key, rule, text, "write it as '0.5'")
    if least is not None and amount <= least:
        raise refusal(key, f"must be > {least}", text, "write it as '0.5'")
    return amount


def check_account(values: Mapping[str, Any]) -> None:
    """Refuse what [account] of simulator.toml must not say, whatever the instrument.

    Raises
    ------
    ValueError
        "account.<key>: rule, what was received, and what to do".
    """
    kind, asset = values["kind"], values["fee_asset"]
    if kind not in KINDS:
        raise refusal("kind", f"must be one of {', '.join(KINDS)}", kind, "choose one")
    if asset not in FEE_ASSETS:
        raise refusal("fee_asset", f"must be one of {', '.join(FEE_ASSETS)}", asset, "choose one")
    if kind in ("linear", "inverse") and asset in ("base", "received"):
        rule = f"must be auto, quote or other where kind is {kind!r}"
        raise refusal("fee_asset", rule, asset, "a contract moves no base asset")
    if asset == "other":
        _decimal(values, "fee_asset_price", Decimal(0))
    elif values["fee_asset_price"] != "":
        rule = "must be empty unless fee_asset is 'other'"
        raise refusal("fee_asset_price", rule, values["fee_asset_price"], "remove one of the two")
    size = _decimal(values, "contract_size", Decimal(0))
    if size != 1 and kind != "inverse":
        rule = "must be '1' unless kind is 'inverse'"
        raise refusal("contract_size", rule, values["contract_size"], "leave it out")
    for key in _AMOUNTS:
        _decimal(values, key, None)
