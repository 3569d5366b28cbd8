"""The random changes of images and masks together, and their sizes.

Letters: C channels, H height, W width.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from fullconv.data.named_transforms import NamedTransforms
from fullconv.data.sample import IGNORE, RGB, Sample
from fullconv.spec import AugmentSpec


class JointTransform:
    """The random changes that an ``AugmentSpec`` asks for, the same for every stream and mask of a sample.

    In this order: rotation (degrees up to ``rotate`` either way), scale (a uniformly drawn factor, antialiased), a
    random crop, a mirror image every second time, colour (brightness, contrast, saturation by a factor in ``1 ± color``
    each, hue by ``± color / 10`` turns; stream ``rgb`` only, and of bands that are no colour brightness and contrast),
    torchvision's own (``transforms``), padding right and below to the crop's size, and a move by whole pixels (up to ``shift``
    along each axis either way). Masks and measurements take the nearest value, never a mixture; what lies outside the image is
    ``fill`` in images and 255 (ignore) in masks.

    Every draw comes from the generator that is handed in, so the result is a function of sample and generator alone.
    (torchvision's transform classes draw from torch's global generator and fill all images alike, hence its functions here;
    :mod:`fullconv.data.named_transforms` has those classes all the same.)

    Parameters
    ----------
    augment
        What to do; the default changes nothing.
    fill
        Colour outside the image, 0..255, one value a channel, for each stream; streams not named are filled with 0.
    ignore_index
        Besides 255, the label of the first mask's pixels that no crop is centred on.

    Raises
    ------
    SpecError
        For transforms that cannot be, see :class:`fullconv.data.named_transforms.NamedTransforms`.
    """

    def __init__(
        self, augment: AugmentSpec, fill: Mapping[str, tuple[float, ...]] | None = None, ignore_index: int = IGNORE
    ) -> None:
        self.augment = augment
        self.fill = dict(fill or {})
        self.ignore_index = ignore_index
        self.named = NamedTransforms(augment.transforms, self.fill.get(RGB))

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Return the changed sample, its values still uint8; draws from ``generator`` only."""
        augment = self.augment
        if augment.rotate:
            sample = self._rotated(sample, _uniform(-augment.rotate, augment.rotate, generator))
        if augment.scale != (1, 1):
            sample = self.scaled(sample, _uniform(*augment.scale, generator))
        if augment.crop is not None:
            sample = self._cropped(sample, augment.crop, generator)
        if augment.flip and torch.rand((), generator=generator) < 0.5:
            sample = each_part(sample, lambda _, image: functional.horizontal_flip(image), functional.horizontal_flip)
        if augment.color:
            sample = self._colored(sample, augment.color, generator)
        if augment.transforms:
            images, masks = self.named(dict(sample.inputs), dict(sample.targets), generator, self._color)
            sample = each_part(sample, lambda stream, _: images[stream], lambda mask: mask, lambda head, _: masks[head])
        # last, so that neither mirror nor colours change what is filled
        if augment.crop is not None:
            sample = self._padded(sample, augment.crop)
        return self._shifted(sample, augment.shift, generator) if augment.shift else sample

    def check(self, sample: Sample) -> None:
        """Raise the SpecError that ``transforms`` may raise for this sample, taken at its largest: scaled up, then cropped."""
        size = scaled_size(sample.size, self.augment.scale[1])
        height, width = size if self.augment.crop is None else map(min, size, self.augment.crop)
        self.named.check(
            {stream: torch.zeros(len(image), height, width, dtype=image.dtype) for stream, image in sample.inputs.items()},
            {head: torch.zeros(height, width, dtype=torch.uint8) for head in sample.targets},
        )

    @staticmethod
    def scaled(sample: Sample, factor: float) -> Sample:
        """Return the sample with both sides multiplied by ``factor``, at least 1 px."""
        size = scaled_size(sample.size, factor)
        # torchvision resizes a Mask by "nearest", up to half a pixel beside its image; "nearest-exact" shares pixel centres
        exact = functional.InterpolationMode.NEAREST_EXACT
        return each_part(
            sample,
            lambda _, image: resized(image, size),
            lambda mask: functional.resize_image(mask.as_subclass(Tensor)[None], list(size), exact)[0],
        )

    def _rotated(self, sample: Sample, degrees: float) -> Sample:
        bilinear, nearest = functional.InterpolationMode.BILINEAR, functional.InterpolationMode.NEAREST
        return each_part(
            sample,
            lambda stream, image: functional.rotate(
                image, degrees, nearest if image.is_floating_point() else bilinear, fill=self._color(stream, image)
            ),
            lambda mask: functional.rotate(mask, degrees, fill=[IGNORE]),
        )

    def _cropped(self, sample: Sample, crop: tuple[int, int], generator: torch.Generator) -> Sample:
        (height, width), (sample_height, sample_width) = crop, sample.size
        free = max(sample_height - height, 0), max(sample_width - width, 0)
        centre = None
        if self.augment.crop_class and torch.rand((), generator=generator) < self.augment.crop_class:
            centre = self._pixel_of_a_class(sample, generator)
        if centre:
            top, left = (min(max(at - side // 2, 0), most) for at, side, most in zip(centre, crop, free, strict=True))
        else:
            top, left = (int(torch.randint(most + 1, (), generator=generator)) for most in free)
        window = top, left, min(height, sample_height), min(width, sample_width)
        return each_part(sample, lambda _, image: functional.crop(image, *window), lambda mask: functional.crop(mask, *window))

    def _pixel_of_a_class(self, sample: Sample, generator: torch.Generator) -> tuple[int, int] | None:
        """Return row and column of a pixel of a class of the first mask, both drawn evenly; ``None`` where it has none."""
        for mask in sample.targets.values():
            labels = mask.as_subclass(Tensor)
            classes = [label for label in labels.unique().tolist() if label not in (IGNORE, self.ignore_index)]
            if classes:
                label = classes[int(torch.randint(len(classes), (), generator=generator))]
                places = (labels == label).nonzero()
                row, column = places[int(torch.randint(len(places), (), generator=generator))].tolist()
                return row, column
            break
        return None

    def _padded(self, sample: Sample, size: tuple[int, int]) -> Sample:
        # left, top, right, bottom; a named transform may have made it larger than the crop
        missing = (max(side - has, 0) for side, has in zip(size, sample.size, strict=True))
        below, right = missing
        return self._bordered(sample, [0, 0, right, below])

    def _shifted(self, sample: Sample, furthest: int, generator: torch.Generator) -> Sample:
        top, left = (int(torch.randint(2 * furthest + 1, (), generator=generator)) for _ in range(2))
        window = top, left, *sample.size
        return each_part(
            self._bordered(sample, [furthest] * 4),
            lambda _, image: functional.crop(image, *window),
            lambda mask: functional.crop(mask, *window),
        )

    def _bordered(self, sample: Sample, padding: list[int]) -> Sample:
        return each_part(
            sample,
            lambda stream, image: functional.pad(image, padding, fill=self._color(stream, image)),
            lambda mask: functional.pad(mask, padding, fill=IGNORE),
        )

    @staticmethod
    def _colored(sample: Sample, strength: float, generator: torch.Generator) -> Sample:
        brightness, contrast, saturation = (_uniform(1 - strength, 1 + strength, generator) for _ in range(3))
        hue = _uniform(-strength / 10, strength / 10, generator)

        def change(stream: str, image: Tensor) -> Tensor:
            if stream != RGB:  # depth or HHA are measurements: other values would be other scenes
                return image
            if image.shape[-3] != 3:  # other bands have no hue; each is a grey image of its own
                grey = functional.adjust_contrast(functional.adjust_brightness(image.unsqueeze(-3), brightness), contrast)
                return grey.squeeze(-3)
            image = functional.adjust_contrast(functional.adjust_brightness(image, brightness), contrast)
            return functional.adjust_hue(functional.adjust_saturation(image, saturation), hue)

        return each_part(sample, change, lambda mask: mask)

    def _color(self, stream: str, image: Tensor) -> list[float]:
        return list(self.fill.get(stream, (0.0,) * image.shape[-3]))


def each_part(
    sample: Sample,
    image: Callable[[str, Tensor], Tensor],
    mask: Callable[[Tensor], Tensor],
    mask_of: Callable[[str, Tensor], Tensor] | None = None,
) -> Sample:
    """Return a sample of changed images and masks.

    Parameters
    ----------
    sample
        Stays as it is.
    image
        Gives the image of a stream's name and image.
    mask
        Gives the mask of a mask.
    mask_of
        In place of ``mask``, of a head's name and mask.
    """
    inputs = {stream: tv_tensors.Image(image(stream, value)) for stream, value in sample.inputs.items()}
    changed = {head: mask(value) if mask_of is None else mask_of(head, value) for head, value in sample.targets.items()}
    return Sample(sample.name, inputs, {head: tv_tensors.Mask(value) for head, value in changed.items()})


def scaled_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return (height, width) multiplied by ``factor``, rounded, at least 1 px each."""
    height, width = (max(1, round(side * factor)) for side in size)
    return height, width


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return an image or a batch (..., H, W) at another (height, width): antialiased, measurements by the nearest value."""
    if image.is_floating_point():  # measurements have holes, and a mixture of near and far is neither
        return functional.resize(image, list(size), functional.InterpolationMode.NEAREST_EXACT)
    if size == (1, 1):  # torch's antialiased kernel for uint8 fails on a single pixel (2.14)
        return functional.resize(image.float(), list(size), antialias=True).round().to(image.dtype)
    return functional.resize(image, list(size), antialias=True)


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
