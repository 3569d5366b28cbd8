"""What a classifier sees where: its class scores at every place of an image, drawn over it (paper figure 2).

Letters: N images, K classes, H W image, h w score map.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fullconv.drawing import INK, PAPER, font_for
from fullconv.errors import GeometryError, SpecError, WeightsError
from fullconv.geometry.axis import Place
from fullconv.inference.imagenet import imagenet_classes
from fullconv.nn.backbones import BACKBONES, use_backbone
from fullconv.nn.convolutionalize import DenseClassifier, convolutionalize
from fullconv.nn.normalise import Normalise
from fullconv.nn.weights import find_weights, transplant


@dataclass(frozen=True)
class HeatMap:
    """The probability of one class over an image.

    Parameters
    ----------
    class_index
        Which class.
    probability
        float32 (H, W), 0 to 1, at the image's own pixels: of the window of the classifier's native size around each.
    windows
        (h, w): how many windows the classifier scored; between them the map is bilinear.
    """

    class_index: int
    probability: NDArray[np.float32]
    windows: tuple[int, int]

    @property
    def peak(self) -> float:
        """The highest probability in the map, 0 to 1."""
        return float(self.probability.max())


def load_classifier(name: str, weights: str | None = None) -> tuple[DenseClassifier, Normalise]:
    """Return a backbone's classifier as a dense scorer in eval mode, and the first layer that its images go through.

    Parameters
    ----------
    name
        Of a backbone, such as ``squeezenet1_0``.
    weights
        A ``.safetensors`` path or a name, see :mod:`fullconv.nn.weights`; by default the backbone's own name. A net of one's own
        (``module:function``) brings its weights along.

    Raises
    ------
    SpecError
        When no backbone is called so.
    WeightsError
        When there are no weights, or they are not those of the whole classifier.
    GeometryError
        When the classifier cannot be made dense.
    """
    entry = use_backbone(name)
    classifier = entry.build().eval()
    if weights is None and name not in BACKBONES.shipped and entry.pretrained is None:
        return convolutionalize(classifier, (entry.native_side, entry.native_side)).eval(), Normalise(entry.preprocessing)
    found = find_weights(weights or name)
    try:
        transplant(found, classifier)
    except WeightsError as error:
        raise WeightsError(
            f"{found.source} does not hold the whole classifier {name} (a heat map needs its last layer too): {error}"
        ) from error
    preprocessing = entry.preprocessing if found.preprocessing is None else found.preprocessing
    return convolutionalize(classifier, (entry.native_side, entry.native_side)).eval(), Normalise(preprocessing)


def class_names(classifier: DenseClassifier) -> Sequence[str]:
    """Return the names of a classifier's classes: ImageNet's when it tells as many apart, else their numbers."""
    score: Any = classifier.graph.get_submodule(classifier.score)
    names = imagenet_classes()
    return names if score.out_channels == len(names) else [str(number) for number in range(score.out_channels)]


def heat_map(
    classifier: DenseClassifier, normalise: Normalise, image: NDArray[np.uint8], class_index: int | None = None
) -> HeatMap:
    """Return the softmax probability of a class at every pixel of an image.

    Parameters
    ----------
    classifier
        From :func:`fullconv.nn.convolutionalize.convolutionalize`, in eval mode.
    normalise
        What its images go through first.
    image
        uint8 (H, W, 3) RGB; scaled up when both sides are smaller than the classifier's native ones.
    class_index
        0 to K - 1; by default the class with the highest probability anywhere in the image.

    Raises
    ------
    GeometryError
        When the classifier's scores have no place on the image.
    SpecError
        When there is no such class.

    Notes
    -----
    Each score stands at the centre of its window, which the geometry gives as offset and stride. The image is surrounded
    by half a window of the mean colour, so that there are windows around the pixels of its border too.
    """
    height, width = image.shape[:2]
    factor = max(1.0, min(native / side for native, side in zip(classifier.native_size, (height, width), strict=True)))
    size = math.ceil(height * factor), math.ceil(width * factor)
    top, left = margins = [native // 2 for native in classifier.native_size]
    with torch.inference_mode():
        pixels = torch.from_numpy(np.array(image.transpose(2, 0, 1), np.float32, order="C"))[None]
        if factor > 1:
            pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False)
        # after the normalisation the mean colour is zero
        probability = classifier(F.pad(normalise(pixels), (left, left, top, top))).softmax(dim=1)[0].numpy()
    if not np.isfinite(probability).all():
        raise WeightsError("the classifier gives scores that are not finite: its weights are damaged; fetch them again")
    if class_index is None:
        class_index = int(probability.max(axis=(1, 2)).argmax())
    elif not 0 <= class_index < len(probability):
        raise SpecError(f"there is no class {class_index}; this classifier numbers its classes from 0 to {len(probability) - 1}")
    geometry, heat = classifier.geometry, probability[class_index]
    for axis, (side, scaled) in enumerate(zip((height, width), size, strict=True)):
        place = geometry.place(-1, axis)
        if place is None:
            raise GeometryError("the classifier's scores see the whole image and have no place on it; no heat map can be drawn")
        heat = _spread(heat, axis, place, (np.arange(side) + 0.5) * scaled / side - 0.5 + margins[axis])
    return HeatMap(class_index, heat, (probability.shape[1], probability.shape[2]))


def _spread(scores: NDArray[np.float32], axis: int, place: Place, pixels: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return scores given at ``offset + stride · i`` along ``axis`` at the positions ``pixels``, linear in between."""
    last = scores.shape[axis] - 1
    at = np.clip((pixels - float(place.offset)) / float(place.stride), 0, last)
    below = np.minimum(at.astype(int), max(last - 1, 0))
    weight = (at - below).astype(np.float32)
    weight = weight[:, None] if axis == 0 else weight
    return np.take(scores, below, axis) * (1 - weight) + np.take(scores, np.minimum(below + 1, last), axis) * weight


def draw_heat_map(image: NDArray[np.uint8], heat: HeatMap, class_name: str) -> Image.Image:
    """Return an RGB drawing: the image in grey under the heat, a colour bar from 0 to 1, and a title with the peak.

    Parameters
    ----------
    image
        uint8 (H, W, 3) RGB that ``heat`` was computed on.
    heat
        From :func:`heat_map`.
    class_name
        For the title.
    """
    colors = (mpl.colormaps["inferno"](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)
    grey = image @ np.array([0.299, 0.587, 0.114])
    glow = colors[(heat.probability * 255).round().astype(np.uint8)]
    blend = (0.4 * grey[:, :, None] + 0.6 * glow).round().astype(np.uint8)
    height, width = image.shape[:2]
    font = font_for(max(width, height))
    line = math.ceil(font.getbbox("Ág")[3] * 1.5)
    title = f"{class_name}: peak probability {heat.peak:.2f}"
    bar = line, 4 * line  # width of the bar, and of the bar with its numbers
    sheet_size = max(width + bar[1], math.ceil(font.getlength(title)) + line), max(height, 5 * line) + 2 * line
    sheet = Image.new("RGB", sheet_size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((line // 2, line // 4), title, fill=INK, font=font)
    sheet.paste(Image.fromarray(blend), (0, line + line // 2))
    length = max(height, 5 * line)
    ramp = np.repeat(colors[np.linspace(255, 0, length).round().astype(int)][:, None], bar[0], axis=1)
    sheet.paste(Image.fromarray(ramp), (width + line // 2, line + line // 2))
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = line + line // 2 + round((1 - value) * (length - 1))
        draw.line((width + line // 2 + bar[0], y, width + line // 2 + bar[0] + line // 4, y), fill=INK)
        draw.text((width + 2 * line, y), f"{value:.2f}", fill=INK, font=font, anchor="lm")
    return sheet
