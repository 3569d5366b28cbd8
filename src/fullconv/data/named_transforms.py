"""torchvision's transforms by name, with their own parameters, as further random changes of a sample.

torchvision draws from torch's global generator. Here it is seeded from the sample's own before each transform and put back behind
it, so that a sample is a function of its seed all the same. While it runs, another thread of the same process that draws from the
global generator on the CPU would see it; readers are processes, and no other thread draws in training.

Letters: C channels, H height, W width.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from fullconv.errors import SpecError, nearest

GEOMETRIC = (
    *("CenterCrop", "ElasticTransform", "Pad", "RandomAffine", "RandomCrop", "RandomHorizontalFlip", "RandomPerspective"),
    *("RandomRotation", "RandomVerticalFlip", "RandomZoomOut"),
)
"""Move pixels: of all streams and masks alike."""
PHOTOMETRIC = (
    *("ColorJitter", "GaussianBlur", "GaussianNoise", "Grayscale", "RandomAdjustSharpness", "RandomAutocontrast"),
    *(
        "RandomChannelPermutation",
        "RandomEqualize",
        "RandomErasing",
        "RandomGrayscale",
        "RandomInvert",
        "RandomPhotometricDistort",
    ),
    *("RandomPosterize", "RandomSolarize"),
)
"""Change values: of the stream ``rgb`` alone."""
_RESIZES = "it resizes masks up to half a pixel beside their images; use data.augment.scale and crop"
_MOVES = "it moves what is on an image and leaves the mask where it was; name RandomAffine and others one by one"
_MIXES = "it mixes the images of a batch, and a pixel has one class here"
_READS = "it changes what the net reads and is no random change of an image; the net normalises images itself"
REFUSED = {
    **dict.fromkeys(("Resize", "RandomResize", "RandomResizedCrop", "RandomShortestSize", "ScaleJitter"), _RESIZES),
    **dict.fromkeys(("AugMix", "AutoAugment", "RandAugment", "TrivialAugmentWide"), _MOVES),
    **dict.fromkeys(("MixUp", "CutMix"), _MIXES),
    **dict.fromkeys(("Normalize", "ToDtype", "ConvertImageDtype", "ToTensor", "ToImage", "ToPILImage", "RGB"), _READS),
    **dict.fromkeys(("FiveCrop", "TenCrop"), "it makes several images of one"),
    **dict.fromkeys(("Compose", "RandomChoice", "RandomOrder"), "transforms are applied one behind the other; list them"),
}
"""Of torchvision's too, and why not here."""
OWN = ("transforms", "fill")
"""Parameters that are not a recipe's to give."""


@dataclass(frozen=True)
class _Step:
    said: str  # name and parameters, as in the recipe
    geometric: bool
    change: Callable[..., Any]


class NamedTransforms:
    """Transforms of torchvision one behind the other.

    Parameters
    ----------
    wanted
        Name to parameters, one mapping a transform, such as ``({"GaussianBlur": {"kernel_size": 5}},)``; ``RandomApply`` holds
        others: ``{"RandomApply": {"p": 0.3, "transforms": [{"GaussianBlur": {"kernel_size": 5}}]}}``.
    color
        What fills ``rgb`` outside the image, 0..255, one value a channel; ``None``: 0 in all. Masks are filled with 255 there,
        other streams as ``fill`` says when they are handed over.

    Raises
    ------
    SpecError
        When a transform or a parameter is not known (the nearest is named), has a value that does not fit, or cannot change an
        image together with its mask. Whether images have the size and the channels that it needs, :meth:`check` tells.
    """

    def __init__(self, wanted: Sequence[Mapping[str, Mapping[str, Any]]], color: Sequence[float] | None = None) -> None:
        fill = {tv_tensors.Image: 0 if color is None else list(color), tv_tensors.Mask: 255}
        self.steps = [_Step(_said(name, given), *_made(name, given, fill)) for entry in wanted for name, given in entry.items()]

    def __call__(
        self,
        images: dict[str, Tensor],
        masks: dict[str, Tensor],
        generator: torch.Generator,
        fill: Callable[[str, Tensor], Sequence[float]] = lambda stream, image: (0.0,) * len(image),
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return changed images (C, H, W) by stream and masks uint8 (H, W) by head; draws from ``generator`` only.

        Raises
        ------
        SpecError
            When a transform cannot take an image of this size or these channels, or gives back something else.
        """
        for step in self.steps:
            seed = int(torch.randint(2**62, (), generator=generator))
            images, masks = _changed(step, images, masks, seed, fill)
        return images, masks

    def check(self, images: dict[str, Tensor], masks: dict[str, Tensor]) -> None:
        """Raise the SpecError that changing this image and its masks may raise; what is drawn seldom is done for certain."""
        for step in self.steps:
            certain = _Step(step.said, step.geometric, _for_certain(step.change))
            images, masks = _changed(certain, images, masks, 0, lambda stream, image: (0.0,) * len(image))


def _said(name: str, given: Mapping[str, Any]) -> str:
    return f"{name} ({', '.join(f'{key}: {value}' for key, value in given.items())})" if given else name


def _for_certain(change: Callable[..., Any]) -> Callable[..., Any]:
    """Return a copy of a transform that is applied each time, and so are those that it holds."""
    certain = copy.deepcopy(change)
    for part in certain.modules() if isinstance(certain, torch.nn.Module) else ():
        # how often, as in RandomInvert; a list of weights is something else
        if isinstance(getattr(part, "p", None), int | float):
            setattr(part, "p", 1.0)  # noqa: B010  # a module's plain attribute, of which mypy knows nothing
    held = getattr(certain, "transforms", None)
    if isinstance(held, list):
        certain.transforms = [_for_certain(each) for each in held]  # type: ignore[attr-defined]  # RandomApply's
    return certain


def _changed(
    step: _Step,
    images: dict[str, Tensor],
    masks: dict[str, Tensor],
    seed: int,
    fill: Callable[[str, Tensor], Sequence[float]],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    if not step.geometric and "rgb" not in images:
        return images, masks
    first = images.get("rgb", next(iter(images.values())))
    try:
        if step.geometric:
            return _moved(step.change, images, masks, seed, fill)
        found = _seeded(step.change, seed, tv_tensors.Image(first))
    except Exception as error:  # torchvision and torch raise many kinds
        height, width = first.shape[-2:]
        raise SpecError(
            f"data.augment.transforms: {step.said} cannot change an image of {height}x{width} px with {len(first)} channels: "
            f"{' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    if found.dtype != first.dtype or found.shape != first.shape:
        raise SpecError(
            f"data.augment.transforms: {step.said} makes {found.dtype} with {len(found)} channels of uint8 with {len(first)}"
        )
    return images | {"rgb": found}, masks


def _moved(
    step: Callable[..., Any],
    images: dict[str, Tensor],
    masks: dict[str, Tensor],
    seed: int,
    fill: Callable[[str, Tensor], Sequence[float]],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    first = next(iter(images.values()))
    # measurements go as masks do, by the nearest value, and a mask of ones says where the image was
    given = {
        "images": {
            stream: (tv_tensors.Mask if image.is_floating_point() else tv_tensors.Image)(image)
            for stream, image in images.items()
        },
        "masks": {head: tv_tensors.Mask(mask) for head, mask in masks.items()},
        "inside": tv_tensors.Mask(torch.ones(first.shape[-2:], dtype=torch.uint8)),
    }
    found = _seeded(step, seed, given)
    outside = found["inside"].as_subclass(Tensor) != 1
    filled = {}
    for stream, image in found["images"].items():
        plain = image.as_subclass(Tensor)
        color = torch.tensor(list(fill(stream, plain)), dtype=torch.float32)
        color = (color if plain.is_floating_point() else color.round()).to(plain.dtype)
        filled[stream] = torch.where(outside, color.view(-1, 1, 1), plain)
    return filled, {head: mask.as_subclass(Tensor) for head, mask in found["masks"].items()}


def _seeded(step: Callable[..., Any], seed: int, given: Any) -> Any:
    # the CPU's generator alone: torch.manual_seed would seed GPUs too, and those are not put back
    before = torch.default_generator.get_state()
    try:
        torch.default_generator.manual_seed(seed)
        return step(given)
    finally:
        torch.default_generator.set_state(before)


def _made(name: str, given: Mapping[str, Any], fill: dict[Any, Any]) -> tuple[bool, Callable[..., Any]]:
    """Return whether a transform moves pixels, and the transform."""
    where = f"data.augment.transforms: {name}"
    if name == "RandomApply":
        if not given.get("transforms"):
            raise SpecError(f"{where} has no transforms; give a list of them, and p")
        inner = [_made(each, more, fill) for entry in given["transforms"] for each, more in entry.items()]
        if len({geometric for geometric, _ in inner}) != 1:
            raise SpecError(f"{where} holds transforms that move pixels and transforms that change values; write two of it")
        return inner[0][0], _build(where, v2.RandomApply, {**given, "transforms": [step for _, step in inner]})
    if name in REFUSED:
        raise SpecError(f"{where} cannot be used: {REFUSED[name]}")
    if name not in (*GEOMETRIC, *PHOTOMETRIC) or not hasattr(v2, name):
        known = (*GEOMETRIC, *PHOTOMETRIC, "RandomApply")
        near = nearest(name, known)
        raise SpecError(
            f"{where} is not known; {'did you mean ' + ', '.join(near) + '?' if near else 'there are ' + ', '.join(known)}"
        )
    kind = getattr(v2, name)
    accepted = [each for each in inspect.signature(kind).parameters if each not in OWN]
    if unknown := next((key for key in given if key not in accepted), None):
        near = nearest(unknown, accepted, 1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(accepted) or 'none'}"
        raise SpecError(f"{where} has no parameter {unknown!r} here; {hint}")
    more = _with_modes(where, given)
    if "fill" in inspect.signature(kind).parameters:
        # a border of the image's own pixels is filled with nothing, and torchvision wants a single number then
        own = more.get("padding_mode", "constant") != "constant"
        more["fill"] = {**fill, tv_tensors.Image: 0} if own else dict(fill)
    return name in GEOMETRIC, _build(where, kind, more)


def _with_modes(where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with the interpolation that a word stands for."""
    more = dict(given)
    if isinstance(wanted := more.get("interpolation"), str):
        modes = [mode.value for mode in InterpolationMode]
        if wanted not in modes:
            raise SpecError(f"{where} has no interpolation {wanted!r}; there are {', '.join(modes)}")
        more["interpolation"] = InterpolationMode(wanted)
    return more


def _build(where: str, kind: Callable[..., Any], given: Mapping[str, Any]) -> Callable[..., Any]:
    try:
        made: Callable[..., Any] = kind(**given)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise SpecError(f"{where}: {' '.join(str(error).split())}") from error
    return made
