"""A bar for every row, with the spread over the seeds."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fullconv.files import replacing
from fullconv.paper.findings import Row


def draw_bars(path: Path, rows: Sequence[Row], colors: Sequence[str]) -> None:
    """Draw the mean of every row as a bar with its number, top to bottom, into a PNG.

    Parameters
    ----------
    path
        Of the PNG.
    rows
        Of one quantity, which names the axis.
    colors
        Of the bars, as matplotlib calls them.
    """
    figure = Figure(figsize=(8, 0.42 * len(rows) + 1), layout="constrained")
    FigureCanvasAgg(figure)
    plot = figure.subplots()
    names, means, spreads = zip(*((row.item, row.mean, row.spread) for row in rows), strict=True)
    plot.bar_label(plot.barh(names, means, xerr=spreads, color=colors), fmt="%.1f", padding=4)
    plot.invert_yaxis()
    plot.set_xlabel(f"{rows[0].quantity}, %")
    plot.margins(x=0.12)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
