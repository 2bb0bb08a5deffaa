"""The layout of each quoting model's parameters: a float64 array of shape (n,), by index.

Quantities count in orders (as MODEL_INPUTS' inventory does), prices in ticks, times in seconds.
`mmquant.models` makes these arrays with checks; a model refuses one that is too short or out of
range with Reason.MODEL_PARAMETERS.

=============================  ==================================================================
model                          parameters, in order
=============================  ==================================================================
skewed                         min_half_spread_ticks, min_half_spread_bps, volatility_multiple,
                               horizon_s, inventory_skew, drift_weight
avellaneda_stoikov             risk_aversion_per_tick
avellaneda_stoikov_perpetual   risk_aversion_per_tick, max_inventory_orders
glft                           risk_aversion_per_tick, fill_risk_aversion_per_tick, order_size,
                               drift_weight
glft_table                     those of glft, then max_inventory_orders (whole), the number of
                               risks, ln of the first, their step in ln, the number of targets
                               (1 or max_inventory_orders + 4), and the table of
                               risks x targets x (2 max_inventory_orders) values
cartea_jaimungal               inventory_penalty_ticks_per_s, drift_decay_per_s
=============================  ==================================================================
"""

__all__ = [
    "DRIFT_DECAY",
    "DRIFT_WEIGHT",
    "FILL_RISK_AVERSION",
    "INVENTORY_PENALTY",
    "MAX_INVENTORY",
    "ORDER_SIZE",
    "RISK_AVERSION",
    "SKEWED_BPS",
    "SKEWED_DRIFT_WEIGHT",
    "SKEWED_HORIZON",
    "SKEWED_INVENTORY_SKEW",
    "SKEWED_TICKS",
    "SKEWED_VOLATILITY_MULTIPLE",
    "TABLE_MAX_INVENTORY",
    "TABLE_RISKS",
    "TABLE_RISK_FIRST_LOG",
    "TABLE_RISK_STEP_LOG",
    "TABLE_TARGETS",
    "TABLE_VALUES",
]

SKEWED_TICKS = 0
SKEWED_BPS = 1
SKEWED_VOLATILITY_MULTIPLE = 2
SKEWED_HORIZON = 3
SKEWED_INVENTORY_SKEW = 4
SKEWED_DRIFT_WEIGHT = 5

RISK_AVERSION = 0  # of both of Avellaneda and Stoikov, and of both of Gueant and others
MAX_INVENTORY = 1  # avellaneda_stoikov_perpetual

FILL_RISK_AVERSION = 1  # xi: of both of Gueant and others
ORDER_SIZE = 2
DRIFT_WEIGHT = 3

TABLE_MAX_INVENTORY = 4
TABLE_RISKS = 5
TABLE_RISK_FIRST_LOG = 6
TABLE_RISK_STEP_LOG = 7
TABLE_TARGETS = 8
TABLE_VALUES = 9

INVENTORY_PENALTY = 0  # cartea_jaimungal
DRIFT_DECAY = 1
