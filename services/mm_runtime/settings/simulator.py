"""simulator.toml: the paper venue, its fees and its ledger."""

from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, structs

from mm_runtime.settings.base import Settings, Text, within
from mmquant.account_rules import check_account

__all__ = [
    "AccountSettings",
    "BracketSettings",
    "FeeSettings",
    "FundingSettings",
    "LedgerSettings",
    "SimulatorSettings",
]

_in = partial(within, "simulator")
Model = Literal["cross", "risk_averse", "prob_power", "prob_log", "prob_draw", "cancel_ahead"]


class FeeSettings(Settings, frozen=True):
    """Fees in millionths of the notional (simulator.toml, [fees])."""

    spot_maker_ppm: Annotated[int, _in("fees.spot_maker_ppm")] = 1_000
    spot_taker_ppm: Annotated[int, _in("fees.spot_taker_ppm")] = 1_000
    usdm_maker_ppm: Annotated[int, _in("fees.usdm_maker_ppm")] = 200
    usdm_taker_ppm: Annotated[int, _in("fees.usdm_taker_ppm")] = 500


class AccountSettings(Settings, frozen=True):
    """What is traded and held (simulator.toml, [account])."""

    kind: Literal["auto", "spot", "linear", "inverse"] = "auto"
    contract_size: str = "1"
    fee_asset: Literal["auto", "quote", "base", "received", "other"] = "auto"
    fee_asset_price: str = ""
    base_balance: str = "0"
    quote_balance: str = "0"
    other_balance: str = "0"

    def __post_init__(self) -> None:
        """Refuse amounts that are no numbers, and kinds and fees that do not go together."""
        try:
            check_account(structs.asdict(self))
        except ValueError as error:
            raise ValueError(str(error).removeprefix("account.")) from None


class FundingSettings(Settings, frozen=True):
    """What holders of a perpetual contract pay each other (simulator.toml, [funding])."""

    rate_ppm: Annotated[float, Meta(ge=-30_000, le=30_000)] = 0.0
    interval_h: Literal[1, 2, 4, 8] = 8


class BracketSettings(Settings, frozen=True):
    """Models that run beside the chosen one on the same quotes (simulator.toml, [bracket])."""

    enabled: bool = True
    optimistic: Model = "cancel_ahead"
    central: Model = "prob_draw"
    pessimistic: Model = "risk_averse"


class LedgerSettings(Settings, frozen=True):
    """The database of fills and positions (simulator.toml, [ledger])."""

    file: Text = "ledger.sqlite"
    synchronous: Literal["FULL", "NORMAL"] = "FULL"


class SimulatorSettings(Settings, frozen=True):
    """The paper venue: config/simulator.toml."""

    entry_latency_ms: Annotated[float, _in("entry_latency_ms")] = 5.0
    cancel_latency_ms: Annotated[float, _in("cancel_latency_ms")] = 5.0
    response_latency_ms: Annotated[float, _in("response_latency_ms")] = 5.0
    entry_jitter: Annotated[float, _in("entry_jitter")] = 0.0
    cancel_jitter: Annotated[float, _in("cancel_jitter")] = 0.0
    response_jitter: Annotated[float, _in("response_jitter")] = 0.0
    fill_model: Model = "risk_averse"
    queue_power: Annotated[float, _in("queue_power")] = 1.0
    fill_probability_factor: Annotated[float, _in("fill_probability_factor")] = 0.5
    seed: Annotated[int, _in("seed")] = 1
    markout_horizon_ms: Annotated[int, _in("markout_horizon_ms")] = 1_000
    fees: FeeSettings = FeeSettings()
    account: AccountSettings = AccountSettings()
    funding: FundingSettings = FundingSettings()
    bracket: BracketSettings = BracketSettings()
    ledger: LedgerSettings = LedgerSettings()
