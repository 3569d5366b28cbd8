"""Pictures of numbers: the confusion matrix, and the mean IU over the width of the trimap."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fullconv.evaluation.report import Report
from fullconv.evaluation.trimap import Trimap
from fullconv.files import replacing

_CELL, _FONT, _NAME = 0.3, 6.5, 24
"""Side of a cell in inches, size of text in points, and the most characters of a class's name."""


def draw_confusion(path: Path, report: Report) -> None:
    """Draw what became of the pixels of each class into a PNG: a row a class of the truth, in percent of that class.

    Cells below half a percent have no number; rows of classes without truth are grey.
    """
    counts = report.matrix.matrix
    truth = counts.sum(1, keepdims=True)
    shares = np.divide(counts, truth, out=np.full(counts.shape, np.nan), where=truth > 0)
    side = max(_CELL * len(counts), 1.5)
    with _drawing(path, (side + 2.5, side + 2)) as plot:
        plot.set_facecolor("lightgrey")
        plot.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        names = [name if len(name) <= _NAME else f"{name[: _NAME - 1]}…" for name in report.labels.names]
        for axis in (plot.xaxis, plot.yaxis):
            axis.set_ticks(range(len(names)), names, fontsize=_FONT + 1.5, parse_math=False)
        plot.tick_params("x", rotation=90)
        plot.set_xlabel("predicted")
        plot.set_ylabel("truth")
        for row, column in zip(*np.nonzero(np.nan_to_num(shares) >= 0.005), strict=True):
            share = shares[row, column]
            color = "white" if share > 0.6 else "black"
            plot.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=_FONT, color=color)


def draw_trimaps(path: Path, trimaps: Mapping[str, Trimap]) -> None:
    """Draw the mean IU over the width of the band, a line for each model by its name, into a PNG."""
    with _drawing(path, (6, 3.6)) as plot:
        for name, trimap in trimaps.items():
            # a label that begins with an underscore would be left out of the legend
            plot.plot(trimap.widths, [100 * band.mean_iu for band in trimap.scores()], marker=".", label=f" {name}")
        plot.set_xscale("log", base=2)
        widths = next(iter(trimaps.values())).widths
        plot.set_xticks(widths, widths)
        plot.set_xlabel("width of the band around label borders, px")
        plot.set_ylabel("mean IU in the band, %")
        plot.grid(alpha=0.3)
        if len(trimaps) > 1:
            for text in plot.legend().get_texts():
                text.set_parse_math(False)


@contextmanager
def _drawing(path: Path, size: tuple[float, float]) -> Iterator[Any]:
    """Yield the plot of a figure, ``size`` in inches; write it when the body is done."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    yield figure.subplots()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
