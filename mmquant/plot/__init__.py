"""DataFrames and arrays -> bokeh figures, the same in notebooks and reports.

Every function takes plain tables and returns a figure; `stack` puts figures with a common time
axis under each other, `save` writes one self-contained HTML file. Bokeh is imported here and
nowhere else in the library: `pip install 'mmquant[research]'`.
"""

from mmquant.plot.curves import curves
from mmquant.plot.figures import parts, save, stack
from mmquant.plot.market import book_heatmap, price_pane
from mmquant.plot.money import decomposition, equity, inventory
from mmquant.plot.notebook import show
from mmquant.plot.research import intensity, markouts, signature_plot, sweep_heatmap
from mmquant.plot.result import backtest

__all__ = [
    "backtest",
    "book_heatmap",
    "curves",
    "decomposition",
    "equity",
    "intensity",
    "inventory",
    "markouts",
    "parts",
    "price_pane",
    "save",
    "show",
    "signature_plot",
    "stack",
    "sweep_heatmap",
]
