"""The model's first layer: channel order, mean and standard deviation of an input, so that no data set can get it wrong."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fullconv.errors import WeightsError
from fullconv.geometry.axis import POINTWISE, Window

IMAGENET = {"channels": "RGB", "range": [0, 255], "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
CAFFE = {"channels": "BGR", "range": [0, 255], "mean": [104.00699, 116.66877, 122.67892], "std": [1, 1, 1]}
HHA_MEAN = [132.431, 94.076, 118.477]
"""Of NYUDv2's HHA pictures, in their own channel order (reference)."""
LOG_DEPTH = {"channels": "log depth", "mean": [7.844]}
"""Logarithm of the depth in millimetres, less its mean over NYUDv2 (reference)."""


def preprocessing_of(name: str, colors: Mapping[str, Any], channels: int = 3) -> dict[str, Any]:
    """Return what an input goes through before a trunk that expects photographs to go through ``colors``.

    Parameters
    ----------
    name
        ``rgb``; ``hha``: its own mean, the photographs' deviation, and no change of channel order (reference); ``depth``.
    colors
        See :class:`Normalise`.
    channels
        Of ``rgb``, where it has other bands than colour: those after the third, and all of fewer, get the mean of the colours'
        numbers.

    Examples
    --------
    >>> preprocessing_of("hha", CAFFE)["channels"], preprocessing_of("depth", CAFFE)["mean"]
    ('RGB', [7.844])
    """
    if name == "depth":
        return dict(LOG_DEPTH)
    if name == "hha":
        with torch.device("cpu"):  # numbers, wherever the model is built
            deviation = Normalise(colors).std.flatten().tolist()
        return {"channels": "RGB", "range": [0, 255], "mean": HHA_MEAN, "std": deviation}
    return dict(colors) if channels == 3 else _of_bands(colors, channels)


def _of_bands(colors: Mapping[str, Any], channels: int) -> dict[str, Any]:
    found = dict(colors)
    for key in ("mean", "std"):
        known = [float(number) for number in colors[key]]
        further = sum(known) / len(known)
        found[key] = [*known, *[further] * (channels - 3)] if channels > 3 else [further] * channels
    return found if channels > 3 else found | {"channels": "RGB"}


def reordered(values: Sequence[float], order: str) -> list[float]:
    """Return one value a channel in the order of a backbone that wants ``RGB`` or ``BGR``; further bands stay where they are.

    Examples
    --------
    >>> reordered([1, 2, 3, 4], "BGR")
    [3, 2, 1, 4]
    """
    return [*values[:3][::-1], *values[3:]] if order == "BGR" else list(values)


def normaliser(preprocessing: Mapping[str, Any]) -> "Normalise | NormaliseDepth":
    """Return the layer that does what ``preprocessing`` says.

    Raises
    ------
    WeightsError
        When a key is missing or has a value that is not known.
    """
    is_depth = preprocessing.get("channels") == LOG_DEPTH["channels"]
    return NormaliseDepth(preprocessing) if is_depth else Normalise(preprocessing)


class Normalise(nn.Module):
    """Bring images in 0–255, channels in RGB order, to what the backbone was trained on.

    Parameters
    ----------
    preprocessing
        ``channels`` ("RGB" or "BGR"): the order that the backbone wants; ``range``: [0, 255] or [0, 1], the values that mean
        and std refer to; ``mean`` and ``std``, one number a channel, in the backbone's order. The header of a weights file
        holds the same.

    Raises
    ------
    WeightsError
        When a key is missing or has a value that is not known.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: Mapping[str, Any]) -> None:
        super().__init__()
        try:
            order, top = str(preprocessing["channels"]), float(preprocessing["range"][1])
            mean, std = ([float(number) * 255 / top for number in preprocessing[key]] for key in ("mean", "std"))
        except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
            raise WeightsError(
                f"preprocessing {preprocessing} is not complete ({error!r}); it needs channels, range, mean and std"
            ) from error
        if (
            order not in ("RGB", "BGR")
            or len(mean) != len(std)
            or min(std, default=0) <= 0
            or not all(map(math.isfinite, (*mean, *std)))
            or (order == "BGR" and len(mean) < 3)
        ):
            raise WeightsError(
                f"preprocessing {dict(preprocessing)} is not known; accepted are channels RGB or BGR, and for each "
                "channel a mean and a std above 0"
            )
        self.reverse = order == "BGR"
        # persistent: mean and std are weights like the others, so a state dict alone predicts the same
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return float images (N, C, H, W) in the backbone's order and range from uint8 or float 0–255 RGB and further bands."""
        ordered = images
        if self.reverse:
            ordered = images.flip(1) if len(self.mean) == 3 else torch.cat([images[:, :3].flip(1), images[:, 3:]], 1)
        return (ordered.to(self.mean.dtype) - self.mean) / self.std

    def axis_maps(self) -> tuple[Window, Window]:
        """Return the coordinate map of both axes: every pixel by itself."""
        return POINTWISE, POINTWISE

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What this layer does, in the form that it is built from."""
        return {
            "channels": "BGR" if self.reverse else "RGB",
            "range": [0, 255],
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
        }

    @property
    def mean_color(self) -> tuple[float, ...]:
        """The colour (0–255, RGB order) that becomes zero: what to pad images with."""
        return tuple(reordered(self.mean.flatten().tolist(), "BGR" if self.reverse else "RGB"))


class NormaliseDepth(nn.Module):
    """Bring depth in metres to its logarithm in millimetres less a mean; holes (0) to 0, the mean depth.

    Parameters
    ----------
    preprocessing
        ``mean``: one number.

    Raises
    ------
    WeightsError
        When the mean is missing or no number.
    """

    mean: Tensor

    def __init__(self, preprocessing: Mapping[str, Any]) -> None:
        super().__init__()
        try:
            (mean,) = map(float, preprocessing["mean"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise WeightsError(f"preprocessing {dict(preprocessing)} of depth needs mean, a list of one number") from error
        self.register_buffer("mean", torch.tensor(mean).view(1, 1, 1))

    def forward(self, depth: Tensor) -> Tensor:
        """Return float (N, 1, H, W) from depth float (N, 1, H, W) in metres."""
        known = depth > 0
        return torch.where(known, torch.log(torch.where(known, depth, 1) * 1000) - self.mean, 0).to(self.mean.dtype)

    def axis_maps(self) -> tuple[Window, Window]:
        """Return the coordinate map of both axes: every pixel by itself."""
        return POINTWISE, POINTWISE

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What this layer does, in the form that it is built from."""
        return LOG_DEPTH | {"mean": self.mean.flatten().tolist()}

    @property
    def mean_color(self) -> tuple[float, ...]:
        """What to pad depth with: a hole, which becomes zero."""
        return (0.0,)
