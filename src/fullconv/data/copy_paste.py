"""Copy and paste: what one class covers in another training image, laid over this one.

After Ghiasi et al. 2021, who paste instances. Masks of classes know none, so that all pixels of one class of the other image are
taken: a flock of birds comes as a flock.

Letters: C channels, H height, W width.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from fullconv.data.joint_transform import JointTransform, each_part
from fullconv.data.sample import Dataset, Sample
from fullconv.errors import DataError, SpecError, nearest
from fullconv.labels import LabelSet
from fullconv.spec import CopyPasteSpec

BACKGROUND = ("background", "_background_", "bg")
"""What the class is called that is no thing, and is not pasted unless it is named."""


class CopyPaste:
    """Lays a class of another sample over a sample, with the probability ``spec.share``.

    A class is drawn evenly from those of ``spec.classes`` that the other sample's first mask shows (all but the background by
    default). Its pixels are cut out with the box around them, mirrored every second time where ``mirror`` says so, scaled by a
    factor drawn evenly from ``spec.scale``, and laid at a place that is drawn evenly from those at which the box lies inside the
    image, or covers it where it is larger. There every stream and every mask takes the other sample's values. Nothing happens
    where the other sample has no such class.

    Parameters
    ----------
    spec
        What to do.
    dataset
        Training samples; its first head has the classes.
    mirror
        Whether the pasted pixels may be mirrored.

    Raises
    ------
    SpecError
        When a class is not known; the nearest are named.
    """

    def __init__(self, spec: CopyPasteSpec, dataset: Dataset, mirror: bool) -> None:
        self.spec, self.dataset, self.mirror = spec, dataset, mirror
        self.head, labels = next(iter(dataset.labels.items()))
        self.classes = torch.tensor(_indices(spec, labels), dtype=torch.uint8)

    def __call__(self, sample: Sample, other: Callable[[], Sample], generator: torch.Generator) -> Sample:
        """Return the sample, perhaps with a class of ``other()``, which is read only then; draws from ``generator`` alone."""
        if not torch.rand((), generator=generator) < self.spec.share:
            return sample
        giver = other()
        if {name: len(image) for name, image in giver.inputs.items()} != {
            name: len(image) for name, image in sample.inputs.items()
        }:
            raise DataError(f"nothing of {giver.name} can be pasted into {sample.name}: their streams or channels differ")
        there = giver.targets[self.head].unique()
        choice = there[torch.isin(there, self.classes)]
        if not len(choice):
            return sample
        chosen = choice[int(torch.randint(len(choice), (), generator=generator))]
        cut = _cut_out(giver, giver.targets[self.head].as_subclass(Tensor) == chosen)
        if self.mirror and torch.rand((), generator=generator) < 0.5:
            cut = each_part(cut, lambda _, image: functional.horizontal_flip(image), functional.horizontal_flip)
        low, high = self.spec.scale
        cut = JointTransform.scaled(cut, low + (high - low) * float(torch.rand((), generator=generator)))
        return _laid(cut, sample, generator)


def _indices(spec: CopyPasteSpec, labels: LabelSet) -> list[int]:
    if not spec.classes:
        return [index for index, name in enumerate(labels.names) if name.lower() not in BACKGROUND]
    for name in spec.classes:
        if name not in labels.names:
            near = nearest(name, labels.names)
            hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(labels.names)}"
            raise SpecError(f"data.augment.copy_paste.classes names {name!r}, which is no class of the data; {hint}")
    return [labels.names.index(name) for name in spec.classes]


_SHAPE = "\0shape"


def _cut_out(giver: Sample, shape: Tensor) -> Sample:
    """Return the box around what is true in ``shape`` (H, W), which comes along as a mask of its own."""
    rows, columns = shape.any(1).nonzero()[:, 0], shape.any(0).nonzero()[:, 0]
    window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    inside = each_part(giver, lambda _, image: image[..., window[0], window[1]], lambda mask: mask[window])
    return Sample(giver.name, inside.inputs, {**inside.targets, _SHAPE: shape[window].to(torch.uint8)})


def _laid(cut: Sample, sample: Sample, generator: torch.Generator) -> Sample:
    """Return ``sample`` with ``cut`` laid over it at a place that is drawn."""
    here: list[slice] = []
    there: list[slice] = []
    for small, large in zip(cut.size, sample.size, strict=True):
        free = large - small  # below 0 where it covers the image
        start = min(free, 0) + int(torch.randint(abs(free) + 1, (), generator=generator))
        here.append(slice(max(start, 0), min(start + small, large)))
        there.append(slice(max(-start, 0), max(-start, 0) + here[-1].stop - here[-1].start))
    shape = cut.targets[_SHAPE].as_subclass(Tensor)[tuple(there)].bool()

    def over(below: Tensor, above: Tensor) -> Tensor:
        laid = below.as_subclass(Tensor).clone()
        laid[..., here[0], here[1]][..., shape] = above.as_subclass(Tensor)[..., there[0], there[1]][..., shape]
        return laid

    return each_part(
        sample,
        lambda stream, image: over(image, cut.inputs[stream]),
        lambda mask: mask,
        lambda head, mask: over(mask, cut.targets[head]),
    )
