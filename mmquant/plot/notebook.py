"""A figure -> what a notebook shows: the live figure, on a page of its own in a frame."""

import html
from typing import Any

from mmquant.plot.figures import parts

__all__ = ["Shown", "show"]

_BORDER = 40  # pixels of the page around the figure


class Shown:
    """What `show` returns: a notebook displays it as the last value of a cell."""

    def __init__(self, figure: Any) -> None:
        self.figure = figure

    def __repr__(self) -> str:
        return _title(self.figure)

    def _repr_html_(self) -> str:
        scripts, places = parts(self.figure)
        page = f'<!DOCTYPE html><meta charset="utf-8">{scripts}<body>{places}</body>'
        height = _height(self.figure) + _BORDER
        source = html.escape(page)
        return f'<iframe srcdoc="{source}" width="100%" height="{height}" frameborder="0"></iframe>'


def show(figure: Any) -> Shown:
    """Return a figure, or a stack of them, for display by a notebook.

    It can be panned and zoomed, and needs no server and no network; each adds about a megabyte
    to a notebook that is saved with it. `tools/run-notebooks` keeps pictures instead.
    """
    return Shown(figure)


def _height(figure: Any) -> int:
    children = getattr(figure, "children", None)
    if children:
        return sum(_height(child) for child in children)
    return int(figure.height or 0)


def _title(figure: Any) -> str:
    children = getattr(figure, "children", None)
    if children:
        return "; ".join(_title(child) for child in children)
    return str(figure.title.text)
