"""Drawn images whose red channel is one model's answer and whose green channel is another's."""

from collections.abc import Mapping

import numpy as np
import pytest

from fullconv.data.sample import Sample
from fullconv.labels import LabelSet, voc_colors

LABELS = LabelSet(("<b>road", "wall", "ball", "never"), voc_colors(4))


class Drawn:
    name = "drawn val"
    labels: Mapping[str, LabelSet] = {"semantic": LABELS}

    def __init__(self, count: int = 9) -> None:
        random = np.random.default_rng(1)
        self.reads = 0
        self.samples = []
        for index in range(count):
            size = tuple(random.integers(1, 14, 2))
            truth = random.choice([0, 1, 2, 255], (*(-(-side // 3) for side in size),), p=[0.4, 0.3, 0.2, 0.1])
            truth = np.kron(truth, np.ones((3, 3), int))[: size[0], : size[1]].astype(np.uint8)
            image = random.integers(0, 3, (*size, 3)).astype(np.uint8)
            right = random.random(size) < index / count
            image[..., 0] = np.where(right & (truth != 255), truth, image[..., 0])
            self.samples.append(Sample.from_arrays(f"picture-{index}", {"rgb": image}, {"semantic": truth}))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        self.reads += 1
        return self.samples[index]


def red(inputs) -> np.ndarray:
    return inputs["rgb"][0].numpy()


def green(inputs) -> np.ndarray:
    return inputs["rgb"][1].numpy()


@pytest.fixture
def drawn() -> Drawn:
    return Drawn()


@pytest.fixture
def models() -> dict:
    return {"red": (red, LABELS), "_green $x": (green, LABELS)}
