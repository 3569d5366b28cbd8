"""From samples to batches: collate any sizes, draw reproducibly, load with or without workers.

Batch ``t`` of a run is a function of the run's seed and ``t`` alone: which samples, in which order, changed how.
So a run that resumes at step ``t``, or is shared by several processes, sees what one uninterrupted process sees.

Letters: N batch, C channels, H height, W width.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from fullconv.data.copy_paste import CopyPaste
from fullconv.data.sample import IGNORE, Dataset, JointTransform, Sample
from fullconv.data.workers import Named, hand_over, named, one_line
from fullconv.errors import DataError, SpecError
from fullconv.spec import AugmentSpec, DataSpec

Fill = Mapping[str, tuple[float, ...]]

# Purposes of the random streams: two purposes never share a seed.
_CHANGE, _CHOICE, _ORDER, _OTHER = range(4)


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


class Draw(NamedTuple):
    """One sample of a training batch: which, the seed of its random changes, and which other one may be pasted into it."""

    sample: int
    seed: int
    other: int = 0


class StepSampler(Sampler[list[Draw]]):
    """The batches ``start_step``, ``start_step + 1``, … of a run, lists of :class:`Draw`: a function of seed and step.

    Without replacement every sample comes once an epoch; epochs follow each other without a gap (a batch may hold the
    end of one and the start of the next). With replacement (as the reference draws) every draw is independent, and samples may
    have probabilities of their own.

    Parameters
    ----------
    length
        Number of samples in the data set.
    batch_size
        Images a step over all processes together.
    seed
        Of the run, 0 or more.
    start_step, steps
        Number of the first batch, and how many there are.
    rank, world
        This process and their number; each takes an equal share of the same batch.
    replacement
        Draw with replacement.
    shares
        Probability of each sample, float64 (``length``,), see :func:`fullconv.data.class_pixels.draw_shares`; draws are with
        replacement then.

    Raises
    ------
    DataError
        When the data set is empty.
    SpecError
        When the batch cannot be shared equally.

    Examples
    --------
    >>> whole = list(StepSampler(10, 4, seed=0, steps=8))
    >>> list(StepSampler(10, 4, seed=0, start_step=5, steps=3)) == whole[5:]
    True
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        *,
        start_step: int = 0,
        steps: int,
        rank: int = 0,
        world: int = 1,
        replacement: bool = False,
        shares: NDArray[np.float64] | None = None,
    ) -> None:
        if length < 1:
            raise DataError("the training data are empty; check the split and data.count")
        if batch_size < 1 or batch_size % world:
            raise SpecError(f"{batch_size} images a step cannot be shared by {world} processes; choose a multiple of {world}")
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.start_step, self.steps = start_step, steps
        self.rank, self.world = rank, world
        self.replacement = replacement
        self._bounds = None if shares is None else np.cumsum(shares)
        self._order: tuple[int, list[int]] = (-1, [])

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in range(self.start_step, self.start_step + self.steps):
            yield self.draws(step)

    def draws(self, step: int) -> list[Draw]:
        """Return this process's share of batch ``step`` (0 or more): ``batch_size / world`` draws."""
        share = self.batch_size // self.world
        positions = range(self.rank * share, (self.rank + 1) * share)
        return [
            Draw(self._index(step, at), _seed(self.seed, _CHANGE, step, at), self._drawn(_OTHER, step, at)) for at in positions
        ]

    def _drawn(self, purpose: int, step: int, position: int) -> int:
        """Return a sample that is drawn independently of all others."""
        random = np.random.default_rng(_seed(self.seed, purpose, step, position))
        if self._bounds is None:
            return int(random.integers(self.length))
        return int(np.searchsorted(self._bounds[:-1], random.random() * self._bounds[-1], side="right"))

    def _index(self, step: int, position: int) -> int:
        if self.replacement or self._bounds is not None:
            return self._drawn(_CHOICE, step, position)
        epoch, place = divmod(step * self.batch_size + position, self.length)
        if self._order[0] != epoch:
            self._order = (
                epoch,
                np.random.default_rng(_seed(self.seed, _ORDER, epoch)).permutation(self.length).tolist(),
            )
        return self._order[1][place]


def _seed(seed: int, *key: int) -> int:
    # SeedSequence keeps neighbouring keys apart; 63 bits, as torch's generators take signed seeds
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)[0] >> np.uint64(1))


class _Training(torch.utils.data.Dataset[Sample]):
    # what DataLoader indexes with a Draw; picklable, so that workers can be started in any way
    def __init__(self, dataset: Dataset, augment: AugmentSpec, fill: Fill | None) -> None:
        self.dataset = dataset
        first = next(iter(dataset.labels.values()))
        self.transform = JointTransform(augment, fill, first.ignore_index)
        self.paste = CopyPaste(augment.copy_paste, dataset, augment.flip) if augment.copy_paste.share else None

    def __getitem__(self, draw: Draw) -> Sample:
        with named(self.dataset, draw.sample):
            sample, generator = self.dataset[draw.sample], torch.Generator().manual_seed(draw.seed)
            if self.paste is not None:
                sample = self.paste(sample, lambda: self.dataset[draw.other], generator)
            return self.transform(sample, generator)


class _Loader(DataLoader[Batch]):
    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # DataLoader names its private iterator class
        with one_line():
            yield from super().__iter__()


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
) -> DataLoader[Batch]:
    """Return the loader of training batches ``start_step`` … ``start_step + steps - 1``, each a :class:`Batch`.

    ``spec`` gives the random changes (``augment``) and the number of ``workers``; the other arguments are those of
    :class:`StepSampler`, and ``fill`` is that of :func:`collate`. The batches do not depend on ``workers``, and
    iterating leaves torch's global generator as it was. (Lightning: pass ``use_distributed_sampler=False``; ``rank``
    and ``world`` do its job.)

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
        num_workers=spec.workers,
        collate_fn=_Collate(fill),
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
        num_workers=spec.workers,
        collate_fn=_Collate(fill),
        persistent_workers=spec.workers > 0,
        generator=torch.Generator(),
    )
