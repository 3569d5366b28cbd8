"""From samples to batches: collate any sizes, draw reproducibly, load with or without workers.

Batch ``t`` of a run is a function of the run's seed and ``t`` alone: which samples, in which order, changed how.
So a run that resumes at step ``t``, or is shared by several processes, sees what one uninterrupted process sees.

Letters: N batch, C channels, H height, W width.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from fullconv.data.copy_paste import CopyPaste
from fullconv.data.draws import Draw, StepSampler
from fullconv.data.joint_transform import JointTransform
from fullconv.data.sample import IGNORE, Dataset, Sample
from fullconv.data.workers import Named, hand_over, leave_ctrl_c_to_the_other, named, one_line, waited
from fullconv.errors import DataError
from fullconv.spec import AugmentSpec, DataSpec

Fill = Mapping[str, tuple[float, ...]]


class Batch(TypedDict):
    """Samples of one size: uint8 (N, C, H, W) a stream, int64 (N, H, W) a head, and their names."""

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    names: list[str]


def collate(samples: Sequence[Sample], fill: Fill | None = None, ignore_index: int = IGNORE) -> Batch:
    """Return the batch of ``samples``, padded right and below to the largest height and width among them.

    Parameters
    ----------
    samples
        At least one, all with the same streams and heads.
    fill
        Colour of the padding, 0..255, one value a channel, for each stream (the model's mean colour becomes about 0
        by normalisation); streams not named are padded with 0.
    ignore_index
        Label of the padding.

    Raises
    ------
    DataError
        When streams, their channels or heads differ between samples.

    Examples
    --------
    >>> a, b = (Sample.from_arrays("x", {"rgb": np.zeros((*hw, 3), np.uint8)}, {"semantic": np.zeros(hw, np.uint8)})
    ...         for hw in [(2, 5), (4, 3)])
    >>> batch = collate([a, b])
    >>> batch["inputs"]["rgb"].shape, batch["targets"]["semantic"].shape
    (torch.Size([2, 3, 4, 5]), torch.Size([2, 4, 5]))
    """
    first = samples[0]
    for sample in samples:
        if _parts(sample) != _parts(first):
            raise DataError(
                "samples of one batch need the same streams, channels and heads: "
                f"{first.name} has {', '.join(sorted(_parts(first)))}; {sample.name} has {', '.join(sorted(_parts(sample)))}"
            )
    height, width = (max(sample.size[axis] for sample in samples) for axis in (0, 1))
    colors = fill or {}
    return {
        "inputs": {
            stream: _stack([sample.inputs[stream] for sample in samples], height, width, colors.get(stream, (0.0,)))
            for stream in first.inputs
        },
        "targets": {
            head: _stack([sample.targets[head] for sample in samples], height, width, (ignore_index,)).long()
            for head in first.targets
        },
        "names": [sample.name for sample in samples],
    }


def _parts(sample: Sample) -> set[str]:
    # without the channels a grey image would be spread over a colour one's three without a word
    return {*(f"stream {name} ({len(image)} channels)" for name, image in sample.inputs.items()), *sample.targets}


def _stack(tensors: Sequence[Tensor], height: int, width: int, fill: Sequence[float]) -> Tensor:
    # (..., h, w) each -> (N, ..., height, width)
    color = torch.tensor(fill)
    if not tensors[0].is_floating_point():
        color = color.round()
    shape = (len(tensors), *tensors[0].shape[:-2], height, width)
    stacked = color.to(tensors[0].dtype).view(-1, 1, 1).expand(shape).clone()
    for row, tensor in zip(stacked, tensors, strict=True):
        row[..., : tensor.shape[-2], : tensor.shape[-1]] = tensor
    return stacked


def check_augmentation(dataset: Dataset, augment: AugmentSpec) -> None:
    """Raise SpecError where ``augment.transforms`` cannot change the first image of ``dataset``, before anything else is read."""
    if augment.transforms and len(dataset):
        first = dataset[0]
        JointTransform(augment, {stream: (0.0,) * len(image) for stream, image in first.inputs.items()}).check(first)


class _Training(torch.utils.data.Dataset[Sample]):
    # what DataLoader indexes with a Draw; picklable, so that workers can be started in any way
    def __init__(self, dataset: Dataset, augment: AugmentSpec, fill: Fill | None) -> None:
        self.dataset = dataset
        first = next(iter(dataset.labels.values()))
        self.transform = JointTransform(augment, fill, first.ignore_index)
        if augment.transforms:
            self.transform.check(dataset[0])
        self.paste = CopyPaste(augment.copy_paste, dataset, augment.flip) if augment.copy_paste.share else None

    def __getitem__(self, draw: Draw) -> Sample:
        with named(self.dataset, draw.sample):
            sample, generator = self.dataset[draw.sample], torch.Generator().manual_seed(draw.seed)
            if self.paste is not None:
                sample = self.paste(sample, lambda: self.dataset[draw.other], generator)
            return self.transform(sample, generator)


def _processes(spec: DataSpec) -> int:
    """Return how many processes read: no more than there are processors, as torch would warn of; results are the same."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(spec.workers, there)


class _Loader(DataLoader[Batch]):
    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # DataLoader names its private iterator class
        reading = super().__iter__()
        processes = getattr(reading, "_workers", ())
        with one_line(processes):
            yield from waited(reading, processes)


class _Collate:
    def __init__(self, fill: Fill | None) -> None:
        self.fill = dict(fill or {})

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        batch = collate(samples, self.fill)
        hand_over(batch)
        return batch


def train_loader(
    dataset: Dataset,
    spec: DataSpec,
    batch_size: int,
    seed: int,
    *,
    steps: int,
    start_step: int = 0,
    rank: int = 0,
    world: int = 1,
    replacement: bool = False,
    shares: NDArray[np.float64] | None = None,
    fill: Fill | None = None,
    pinned: bool = False,
) -> DataLoader[Batch]:
    """Return the loader of training batches ``start_step`` … ``start_step + steps - 1``, each a :class:`Batch`.

    ``spec`` gives the random changes (``augment``) and the number of ``workers``; the other arguments are those of
    :class:`StepSampler`, and ``fill`` is that of :func:`collate`. With ``pinned`` batches lie in memory from which a card
    copies them while it computes. The batches do not depend on ``workers``, and iterating leaves torch's global generator as it
    was. (Lightning: pass ``use_distributed_sampler=False``; ``rank`` and ``world`` do its job.)

    Raises
    ------
    DataError
        When the data set is empty; while iterating, when a file is damaged.
    SpecError
        When ``batch_size`` is no multiple of ``world``, or ``augment`` asks for classes or transforms that there are not.
    """
    sampler = StepSampler(
        len(dataset),
        batch_size,
        seed,
        start_step=start_step,
        steps=steps,
        rank=rank,
        world=world,
        replacement=replacement,
        shares=shares,
    )
    return _Loader(
        _Training(dataset, spec.augment, fill),  # type: ignore[arg-type]  # DataLoader calls items batches
        batch_sampler=sampler,
        num_workers=_processes(spec),
        collate_fn=_Collate(fill),
        worker_init_fn=leave_ctrl_c_to_the_other,
        pin_memory=pinned,
        generator=torch.Generator(),  # without its own a loader draws from the global one, which dropout uses
    )


def val_loader(
    dataset: Dataset,
    spec: DataSpec,
    batch_size: int = 1,
    *,
    rank: int = 0,
    world: int = 1,
    fill: Fill | None = None,
) -> DataLoader[Batch]:
    """Return the loader of every ``world``-th sample from ``rank`` on, in order, unchanged, each exactly once.

    No sample is repeated to make shares equal (that would count it twice), so processes may get one batch more or less.
    With ``batch_size`` above 1 smaller images are padded, which a network sees; 1 is exact.
    """
    return _Loader(
        Named(dataset),  # type: ignore[arg-type]  # a Dataset here is a protocol; DataLoader asks for no more than it
        batch_size=batch_size,
        sampler=range(rank, len(dataset), world),
        num_workers=_processes(spec),
        collate_fn=_Collate(fill),
        worker_init_fn=leave_ctrl_c_to_the_other,
        persistent_workers=spec.workers > 0,
        generator=torch.Generator(),
    )
