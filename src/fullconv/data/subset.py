"""A data set cut down to what is asked for: its first samples, some of its heads."""

from collections.abc import Mapping, Sequence

from fullconv.data.sample import Dataset, Sample
from fullconv.errors import SpecError
from fullconv.labels import LabelSet


class Subset:
    """The first ``count`` samples of ``dataset`` (``None``, or more than there are: all) with the truth of ``heads``.

    Raises
    ------
    SpecError
        When the data set has no ground truth for a head.
    """

    def __init__(self, dataset: Dataset, heads: Sequence[str], count: int | None = None) -> None:
        unknown = [head for head in heads if head not in dataset.labels]
        if unknown or not heads:
            raise SpecError(f"{dataset.name} has the heads {', '.join(dataset.labels)}; data.heads asks for {list(heads)}")
        self.dataset = dataset
        self.heads = tuple(heads)
        self.name = dataset.name
        self.labels: Mapping[str, LabelSet] = {head: dataset.labels[head] for head in heads}
        self._length = len(dataset) if count is None else min(count, len(dataset))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._length:
            raise IndexError(f"{self.name} has samples 0..{self._length - 1}; got {index}")
        sample = self.dataset[index]
        return Sample(sample.name, sample.inputs, {head: sample.targets[head] for head in self.heads})
