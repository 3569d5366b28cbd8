"""A data set whose images and masks are made smaller or larger when they are read."""

from collections.abc import Mapping

from fullconv.data.joint_transform import JointTransform
from fullconv.data.sample import Dataset, Sample
from fullconv.labels import LabelSet


class Scaled:
    """``dataset`` with every side multiplied by ``factor``: images antialiased, masks by the nearest label."""

    def __init__(self, dataset: Dataset, factor: float) -> None:
        self.dataset = dataset
        self.factor = factor
        self.name = f"{dataset.name} at {factor:g} of its size"
        self.labels: Mapping[str, LabelSet] = dataset.labels

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return JointTransform.scaled(self.dataset[index], self.factor)
