"""Sample, the one type that every data set yields.

Letters: C channels, H height, W width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fullconv.errors import DataError
from fullconv.labels import LabelSet

if TYPE_CHECKING:
    from torchvision import tv_tensors

RGB = "rgb"
DEPTH = "depth"
"""The stream of measured depth: float32 (1, H, W) in metres, 0 where nothing was measured."""
HHA = "hha"
"""The stream of depth as an image: uint8 (3, H, W), see :mod:`fullconv.data.depth.hha`."""
SEMANTIC = "semantic"
IGNORE = 255


@dataclass(frozen=True)
class Sample:
    """One example: input streams and, for each head, the truth; all of one height and width.

    Parameters
    ----------
    name
        What errors and reports call it: an id or a file name.
    inputs
        One image a stream, uint8 (C, H, W); the stream ``rgb`` is red, green, blue in 0..255, or the bands that a recipe
        names. Or measurements, float32.
    targets
        One mask a head, uint8 (H, W), 255 = ignore; empty where there is no ground truth.

    Raises
    ------
    DataError
        When there is no input, or heights and widths differ.
    """

    name: str
    inputs: "dict[str, tv_tensors.Image]"
    targets: "dict[str, tv_tensors.Mask]"

    def __post_init__(self) -> None:
        sizes = {key: tuple(value.shape[-2:]) for key, value in (*self.inputs.items(), *self.targets.items())}
        if not self.inputs:
            raise DataError(f"{self.name}: a sample needs at least one input stream")
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{key} {height}x{width}" for key, (height, width) in sizes.items())
            raise DataError(f"{self.name}: images and masks must have one height and width; got {found}")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = next(iter(self.inputs.values())).shape[-2:]
        return height, width

    @property
    def picture(self) -> NDArray[np.uint8]:
        """The first stream to look at, uint8 (H, W, 3): its first three channels, or its only one in grey."""
        image = next(iter(self.inputs.values())).numpy()
        return (image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, 0)).transpose(1, 2, 0)

    @classmethod
    def from_arrays(
        cls, name: str, inputs: Mapping[str, NDArray[np.generic]], targets: Mapping[str, NDArray[np.uint8]]
    ) -> "Sample":
        """Return the sample of numpy images (H, W, C), or (H, W) for one channel, and masks uint8 (H, W).

        Examples
        --------
        >>> image, mask = np.zeros((4, 6, 3), np.uint8), np.ones((4, 6), np.uint8)
        >>> sample = Sample.from_arrays("a", {"rgb": image}, {"semantic": mask})
        >>> sample.inputs["rgb"].shape, sample.size
        (torch.Size([3, 4, 6]), (4, 6))
        """
        from torchvision import tv_tensors  # only here: whoever predicts has arrays and no samples, and importing it takes long

        return cls(
            name,
            {stream: tv_tensors.Image(_tensor(_channels_first(array))) for stream, array in inputs.items()},
            {head: tv_tensors.Mask(_tensor(mask)) for head, mask in targets.items()},
        )


def _channels_first(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


class Dataset(Protocol):
    """What a data set offers; :data:`fullconv.data.DATASETS` lists those that are here."""

    @property
    def name(self) -> str:
        """What reports call it, such as ``voc2012 val``."""

    @property
    def labels(self) -> Mapping[str, LabelSet]:
        """The label set of every head that the samples have ground truth for."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, index: int) -> Sample:
        """Return sample ``index`` in 0..len-1, the same at every call; IndexError past the end."""
