"""Drawings of rendered scenes, without any training: what masks store, two tasks, patches, interlaced outputs, augmentation."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import NDArray
from PIL import Image

import drawings
from fullconv.data.scenes.scenes import HEADS, Scenes
from fullconv.formats.polygons import find_regions
from fullconv.geometry.axis import Place
from fullconv.nn.loss_sampling import draw_patches

SIZE = (192, 256)


def scene(heads: Sequence[str] = ("semantic",)) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.integer]]]:
    """Return a scene, uint8 (H, W, 3), and its ground truths (H, W)."""
    sample = Scenes("val", 3, SIZE, heads=tuple(heads))[1]
    return sample.inputs["rgb"].numpy().transpose(1, 2, 0), {head: sample.targets[head].numpy() for head in heads}


def row(plots: Sequence[Axes], titles: Sequence[str]) -> None:
    """Give plots titles, and no axes."""
    for plot, title in zip(plots, titles, strict=True):
        plot.set_title(title, fontsize=10)
        plot.set_axis_off()


def masks(scratch: Path) -> dict[str, Image.Image]:
    """Draw a mask as its values look in a viewer, in the colours of its classes, and as polygons."""
    image, truths = scene()
    truth, names = truths["semantic"], HEADS["semantic"]

    def draw(sheet: Figure) -> None:
        plots = sheet.subplots(1, 4)
        plots[0].imshow(image)
        plots[1].imshow(truth, cmap="gray", vmin=0, vmax=255)
        plots[2].imshow(names.colorize(truth))
        plots[3].imshow(image)
        for region in find_regions(truth):
            color = np.array(names.colors[region.label]) / 255
            plots[3].add_patch(Polygon(np.array(region.rings[0]) - 0.5, fill=False, edgecolor=color, linewidth=2))
        row(plots, ("image", "the mask in a viewer: 0 to 6", "in the colours of its classes", "as polygons"))

    return {"mask.jpg": drawings.drawn(scratch, (11, 2.3), draw)}


def tasks(scratch: Path) -> dict[str, Image.Image]:
    """Draw the two ground truths that a net of two heads learns."""
    image, truths = scene(tuple(HEADS))

    def draw(sheet: Figure) -> None:
        plots = sheet.subplots(1, 3)
        plots[0].imshow(image)
        for plot, (head, names) in zip(plots[1:], HEADS.items(), strict=True):
            plot.imshow(names.colorize(truths[head]))
            for label in np.unique(truths[head]):
                plot.plot([], [], "s", color=np.array(names.colors[label]) / 255, label=names.names[label])
            plot.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        row(plots, ("image", *(f"head {head}" for head in HEADS)))

    return {"two-tasks.jpg": drawings.drawn(scratch, (11, 2.5), draw)}


def patches(scratch: Path) -> dict[str, Image.Image]:
    """Draw which pixels keep their loss when a half and a quarter of the coarse outputs do."""
    image, _ = scene()
    torch.manual_seed(0)

    def draw(sheet: Figure) -> None:
        plots = sheet.subplots(1, 3)
        for plot, share in zip(plots, (1.0, 0.5, 0.25), strict=True):
            kept = draw_patches(Place(Fraction(32), Fraction(31, 2)), SIZE, 1, share)[0].numpy()
            plot.imshow(np.where(kept[..., None], image, 255 - (255 - image) // 5))
        row(plots, ("whole image, p = 1", "p = 0.5", "p = 0.25"))

    return {"patches.jpg": drawings.drawn(scratch, (10, 2.6), draw)}


def interlaced(scratch: Path) -> dict[str, Image.Image]:
    """Draw how outputs of shifted images are interlaced, for a stride of 2, and what dilation does in their place."""

    def grid(plot: Axes, shift: tuple[int, int] | None) -> None:
        for down in range(6):
            for right in range(6):
                at = (down % 2, right % 2)
                color = f"C{2 * at[0] + at[1]}" if shift is None or at == shift else "0.93"
                plot.add_patch(Rectangle((right, 5 - down), 1, 1, facecolor=color, edgecolor="white", linewidth=1.5))
        plot.set_xlim(0, 6)
        plot.set_ylim(0, 6)
        plot.set_aspect("equal")

    def draw(sheet: Figure) -> None:
        plots = sheet.subplots(1, 5)
        for plot, shift in zip(plots, ((0, 0), (0, 1), (1, 0), (1, 1), None), strict=True):
            grid(plot, shift)
        row(plots, ("not shifted", "shifted left by 1", "shifted up by 1", "by both", "interlaced: dense"))

    return {"interlaced.png": drawings.drawn(scratch, (10, 2.3), draw)}
