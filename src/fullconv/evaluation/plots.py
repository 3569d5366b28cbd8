"""Plots: a figure that is written whole; the confusion matrix; the mean IU over the width of the trimap."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fullconv.evaluation.report import Report
from fullconv.evaluation.trimap import Trimap
from fullconv.files import replacing

_CELL, _FONT, _NAME = 0.3, 6.5, 24
"""Side of a cell in inches, size of text in points, and the most characters of a class's name."""


@contextmanager
def figure(path: Path, size: tuple[float, float], margins: Mapping[str, float] | None = None) -> Iterator[Figure]:
    """Yield an empty figure, and write it as a PNG of 100 dots an inch when the body is done: the file is the old one or whole.

    It stands outside pyplot, whose list of figures and choice of backend belong to the whole process.

    Parameters
    ----------
    path
        Of the PNG.
    size
        Width and height in inches.
    margins
        What ``Figure.subplots_adjust`` takes, for a figure whose texts are known to fit into them; by default the margins are
        measured on the figure, which takes longer than drawing it.

    Raises
    ------
    FullconvError
        When the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "line.png"
    >>> with figure(path, (4, 3)) as drawn:
    ...     _ = drawn.subplots().plot([1, 2, 4])
    >>> path.exists()
    True
    """
    drawn = Figure(figsize=size, layout=None if margins else "constrained")
    if margins:
        drawn.subplots_adjust(**margins)
    FigureCanvasAgg(drawn)
    yield drawn
    with replacing(path) as temporary:
        drawn.savefig(temporary, format="png", dpi=100)


def drawable(text: str) -> str:
    """Return a text with a question mark for every letter that matplotlib's font lacks; it would warn of each.

    Examples
    --------
    >>> drawable("Fuji 山")
    'Fuji ?'
    """
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    return "".join(letter if font.get_char_index(ord(letter)) else "?" for letter in text)


def draw_confusion(path: Path, report: Report) -> None:
    """Draw what became of the pixels of each class into a PNG: a row a class of the ground truth, in percent of that class.

    Cells below half a percent have no number; rows of classes without ground truth are grey.
    """
    counts = report.matrix.matrix
    truth = counts.sum(1, keepdims=True)
    shares = np.divide(counts, truth, out=np.full(counts.shape, np.nan), where=truth > 0)
    side = max(_CELL * len(counts), 1.5)
    with figure(path, (side + 2.5, side + 2)) as drawn:
        plot = drawn.subplots()
        plot.set_facecolor("lightgrey")
        plot.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        names = [drawable(name if len(name) <= _NAME else f"{name[: _NAME - 1]}…") for name in report.labels.names]
        for axis in (plot.xaxis, plot.yaxis):
            axis.set_ticks(range(len(names)), names, fontsize=_FONT + 1.5, parse_math=False)
        plot.tick_params("x", rotation=90)
        plot.set_xlabel("predicted")
        plot.set_ylabel("ground truth")
        for row, column in zip(*np.nonzero(np.nan_to_num(shares) >= 0.005), strict=True):
            share = shares[row, column]
            color = "white" if share > 0.6 else "black"
            plot.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=_FONT, color=color)


def draw_trimaps(path: Path, trimaps: Mapping[str, Trimap]) -> None:
    """Draw the mean IU over the width of the band, a line for each model by its name, into a PNG."""
    with figure(path, (6, 3.6)) as drawn:
        plot = drawn.subplots()
        for name, trimap in trimaps.items():
            # a label that begins with an underscore would be left out of the legend
            plot.plot(trimap.widths, [100 * band.mean_iu for band in trimap.metrics()], marker=".", label=f" {drawable(name)}")
        plot.set_xscale("log", base=2)
        widths = next(iter(trimaps.values())).widths
        plot.set_xticks(widths, [str(width) for width in widths])
        plot.set_xlabel("width of the band around label borders, px")
        plot.set_ylabel("mean IU in the band, %")
        plot.grid(alpha=0.3)
        if len(trimaps) > 1:
            for text in plot.legend().get_texts():
                text.set_parse_math(False)
