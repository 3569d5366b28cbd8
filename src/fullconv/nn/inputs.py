"""What a net may be given: checked before the first layer, because what is wrong here would pass silently as a bad prediction."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from fullconv.errors import SpecError
from fullconv.spec import INPUT_CHANNELS

SLACK = 0.5
"""How far float images may leave 0–255, as resizing makes them."""


def check_inputs(names: Iterable[str], given: Mapping[str, Tensor], channels: Mapping[str, int] = INPUT_CHANNELS) -> None:
    """Check that the inputs are exactly those that a net reads, and what a net can read.

    Parameters
    ----------
    names
        Of the inputs that the net reads, see ``fullconv.spec.INPUT_CHANNELS``.
    given
        uint8 or float (N, C, H, W) by name, all of one N, H and W, each at least 1. Colour and HHA lie in 0–255, depth is in
        metres. Ranges are looked at on the CPU only: elsewhere the look would wait for the device.

    channels
        Of each input.

    Raises
    ------
    SpecError
        When a name is missing or too many, or a tensor has another number of axes or channels, another size than the others, is
        empty, of another dtype, or out of range; it says which, what came and what is accepted.

    Examples
    --------
    >>> check_inputs(["rgb"], {"rgb": torch.zeros(3, 40, 60)})
    Traceback (most recent call last):
        ...
    fullconv.errors.SpecError: rgb is (3, 40, 60); the model reads batches (N, 3, H, W): add an axis in front, images[None]
    """
    names = tuple(names)
    if set(names) != set(given):
        raise SpecError(f"the model reads {', '.join(names)}; got {', '.join(given) or 'nothing'}")
    for name in names:
        _check_tensor(name, given[name], channels[name])
    first = given[names[0]]
    for name in names[1:]:
        own = given[name]
        if own.shape[0] != first.shape[0] or own.shape[2] != first.shape[2] or own.shape[3] != first.shape[3]:
            raise SpecError(
                f"{names[0]} is {_sizes(first)} and {name} {_sizes(own)}; all inputs of one batch must have the same number of "
                "images, height and width"
            )


def _check_tensor(name: str, images: Tensor, channels: int) -> None:
    if not isinstance(images, Tensor):
        raise SpecError(f"{name} is a {type(images).__name__}; a model reads tensors, Predictor.predict reads files and images")
    if images.dim() != 4 or images.shape[1] != channels:
        advice = ": add an axis in front, images[None]" if images.dim() == 3 and images.shape[0] == channels else ""
        raise SpecError(f"{name} is {_sizes(images)}; the model reads batches (N, {channels}, H, W){advice}")
    if images.dtype != torch.uint8 and not images.dtype.is_floating_point:
        raise SpecError(f"{name} is {images.dtype}; the model reads uint8, or float with the values of uint8")
    if torch.compiler.is_compiling() or images.device.type != "cpu":
        return
    if not images.numel():
        raise SpecError(f"{name} is {_sizes(images)}, which is empty; the model reads images of at least 1×1 pixel")
    if images.dtype != torch.uint8:
        _check_range(name, images)


def _check_range(name: str, images: Tensor) -> None:
    least, most = (value.item() for value in images.detach().aminmax())
    if name == "depth":
        if not least >= 0 or most == float("inf"):
            raise SpecError(f"depth goes from {least:g} to {most:g}; the model reads metres, from 0, which is unknown")
        return
    if not (least >= -SLACK and most <= 255 + SLACK):
        raise SpecError(
            f"{name} goes from {least:g} to {most:g}; the model reads 0–255 and normalises by itself: leave mean and standard "
            "deviation to it"
        )
    if 0 < most <= 1 and bool((images != images.round()).any()):
        raise SpecError(f"{name} goes from {least:g} to {most:g}; the model reads 0–255: multiply by 255")


def _sizes(tensor: Tensor) -> str:
    return f"({', '.join(str(n) for n in tensor.shape)})"
