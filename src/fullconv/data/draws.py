"""Which samples a training step draws, and the seeds of their changes: a function of the run's seed and the step alone."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from fullconv.errors import DataError, SpecError

# Purposes of the random streams: two purposes never share a seed.
_CHANGE, _CHOICE, _ORDER, _OTHER = range(4)


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
