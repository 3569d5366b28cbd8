"""Drawings of receptive fields, of what a stride can reach, of how maps lie on the image, and of HHA's channels."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from skimage import data
from torch import nn

from fullconv.data.scenes.scenes import Scenes
from fullconv.evaluation.plots import figure
from fullconv.geometry.axis import Place, aligned_deconvolution
from fullconv.geometry.bound import coarsen
from fullconv.geometry.trace import trace
from fullconv.metrics import ConfusionMatrix, metrics_of
from fullconv.nn.describe import describe

LAYERS = ("pool1", "pool2", "pool3", "pool4", "pool5", "fc7")


def drawn(scratch: Path, size: tuple[float, float], draw: Callable[[Figure], None]) -> Image.Image:
    """Return a figure of a size in inches that ``draw`` fills."""
    path = scratch / "figure.png"
    with figure(path, size) as sheet:
        draw(sheet)
    with Image.open(path) as picture:
        return picture.convert("RGB")


def receptive_fields(scratch: Path) -> dict[str, Image.Image]:
    """Draw what one output of some layers of VGG16 sees of a photograph: squares, to scale."""
    image = data.astronaut()
    layers = {layer["name"]: layer for layer in describe("caffe-vgg16", image.shape[:2])["layers"]}

    def draw(sheet: Figure) -> None:
        plot = sheet.subplots()
        plot.imshow(image)
        middle = 256.0
        for number, name in enumerate(LAYERS):
            side, stride = layers[name]["receptive_field"], layers[name]["stride"]
            corner = middle - side / 2
            color = f"C{number}"
            plot.add_patch(Rectangle((corner, corner), side, side, fill=False, edgecolor=color, linewidth=2.5))
            plot.plot([], [], color=color, linewidth=2.5, label=f"{name}: {side} px, stride {stride:g}")
        plot.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, title="VGG16, one output of")
        plot.set_axis_off()
        plot.set_anchor("W")  # the legend stands on the right

    return {"receptive-fields.jpg": drawn(scratch, (8.0, 5.2), draw)}


def alignment(scratch: Path) -> dict[str, Image.Image]:
    """Draw how coarse outputs lie on the pixels, and why what is upsampled must be cropped before it lies on them again."""
    net = nn.Sequential(*(layer for _ in range(3) for layer in (nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2))))
    geometry = trace(net)
    place = geometry.place(-1)
    assert place is not None
    kernel, crop = aligned_deconvolution(place, Place(Fraction(1), Fraction(0)))
    stride, offset, pixels = float(place.stride), float(place.offset), 40
    sees = geometry.receptive_field(-1) or 0
    ramp = 1 - np.abs(np.arange(kernel) - (kernel - 1) / 2) / stride

    def row(plot: Any, title: str, shift: int) -> None:
        for index in range(pixels // int(stride)):
            where = index * stride + np.arange(kernel) - shift
            plot.plot(where, ramp, color=f"C{index}", linewidth=1.8)
            plot.axvline(offset + index * stride, color=f"C{index}", linestyle=":", linewidth=1.2)
        plot.axvspan(-0.5, pixels - 0.5, color="0.93", zorder=0)
        plot.set_title(title, loc="left", fontsize=10)
        plot.set_yticks([])

    def draw(sheet: Figure) -> None:
        top, wrong, right = sheet.subplots(3, 1, sharex=True, height_ratios=(1.5, 1, 1))
        for pixel in range(pixels):
            top.add_patch(Rectangle((pixel - 0.5, 0), 1, 0.5, fill=False, edgecolor="0.6", linewidth=0.6))
        for index in range(pixels // int(stride)):
            centre, color = offset + index * stride, f"C{index}"
            top.add_patch(Rectangle((centre - stride / 2, 0.7), stride, 0.5, facecolor=color, alpha=0.5))
            height = 1.5 + 0.3 * index
            top.plot([centre - sees / 2, centre + sees / 2], [height, height], color=color, linewidth=2.5)
            top.plot([centre], [height], marker="o", color=color)
        top.set_xlim(-15, pixels + 14)
        top.set_ylim(-0.2, 3.1)
        for height, text in ((0.25, "pixels"), (0.95, "outputs"), (2.1, "receptive\nfields")):
            top.text(-14.5, height, text, va="center", fontsize=9)
        top.set_yticks([])
        top.set_title(
            f"three times convolution 3×3, pooling 2: output i stands at pixel {offset:g} + {stride:g} i and sees {sees} pixels",
            loc="left",
            fontsize=10,
        )
        row(wrong, f"upsampled by a deconvolution {kernel}/{stride:g}, not cropped: all lies {crop} px too far to the right", 0)
        row(right, f"cropped by {crop}: each ramp has its top where its output stands (dotted)", crop)
        right.set_xlabel("pixel of the image (grey)")

    return {"alignment.png": drawn(scratch, (8.6, 5.4), draw)}


def strides(scratch: Path) -> dict[str, Image.Image]:
    """Draw a ground truth, and the best that outputs of stride 32, 16, 8 and 4 could make of it."""
    scenes = Scenes("val", 3, (192, 256))
    truth, names = scenes[1].targets["semantic"].numpy(), scenes.labels["semantic"]

    def draw(sheet: Figure) -> None:
        plots = sheet.subplots(1, 5)
        plots[0].imshow(names.colorize(truth))
        plots[0].set_title("ground truth", fontsize=10)
        for plot, factor in zip(plots[1:], (32, 16, 8, 4), strict=True):
            coarse = coarsen(truth, factor)
            matrix = ConfusionMatrix(len(names))
            matrix.update(truth, coarse)
            plot.imshow(names.colorize(coarse))
            plot.set_title(f"stride {factor}: mean IU {100 * metrics_of(matrix).mean_iu:.0f}", fontsize=10)
        for plot in plots:
            plot.set_axis_off()

    return {"strides.png": drawn(scratch, (11, 1.9), draw)}


def hha_channels(scratch: Path) -> dict[str, Image.Image]:
    """Draw a scene, its depth, and the three channels that are made of the depth."""
    sample = Scenes("val", 3, (192, 256), streams=("rgb", "depth", "hha"))[1]
    colors = sample.inputs["rgb"].numpy().transpose(1, 2, 0)
    depth, channels = sample.inputs["depth"].numpy()[0], sample.inputs["hha"].numpy()

    def draw(sheet: Figure) -> None:
        plots = sheet.subplots(1, 5)
        plots[0].imshow(colors)
        far = plots[1].imshow(np.where(depth > 0, depth, np.nan), cmap="viridis")
        sheet.colorbar(far, ax=plots[1], shrink=0.55, label="m")
        for plot, channel in zip(plots[2:], channels, strict=True):
            plot.imshow(channel, cmap="gray", vmin=0, vmax=255)
        for plot, title in zip(
            plots, ("image", "depth", "disparity", "height above the floor", "angle with gravity"), strict=True
        ):
            plot.set_title(title, fontsize=10)
            plot.set_axis_off()

    return {"hha.jpg": drawn(scratch, (11, 1.75), draw)}
