"""Image and mask share pixel centres after every change, and padding is untouched by colour."""

import numpy as np
import pytest
import torch

from fullconv.data.joint_transform import JointTransform
from fullconv.data.sample import Sample
from fullconv.spec import AugmentSpec


def change(sample, seed=0, fill=None, **augment):
    return JointTransform(AugmentSpec(**augment), fill)(sample, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("factor", [1 / 3, 0.2, 0.5, 0.75, 1.5, 2.0, 3.0])
def test_a_label_begins_where_the_image_passes_its_middle_grey(factor):
    """Nearest that rounds down, torchvision's own choice for masks, is half an output pixel late at 1/3."""
    labels = np.zeros((30, 90), np.uint8)
    labels[:, 40:] = 1
    sample = Sample.from_arrays("edge", {"rgb": np.repeat(labels[..., None] * 200, 3, 2)}, {"semantic": labels})
    changed = change(sample, scale=(factor, factor))
    assert changed.size == (round(30 * factor), round(90 * factor))
    # ties are left out: an output pixel that is half and half belongs to either
    grey = changed.inputs["rgb"][0].float()
    told = (grey - 100).abs() > 10
    assert torch.equal((grey > 100)[told], (changed.targets["semantic"] == 1).as_subclass(torch.Tensor)[told])


def test_an_image_shrinks_to_one_pixel():
    sample = Sample.from_arrays("x", {"rgb": np.full((9, 7, 3), 51, np.uint8)}, {"semantic": np.ones((9, 7), np.uint8)})
    changed = change(sample, scale=(0.1, 0.1))
    assert changed.size == (1, 1)
    assert changed.inputs["rgb"].flatten().tolist() == [51, 51, 51]
    assert changed.targets["semantic"].item() == 1


@pytest.mark.parametrize("seed", range(6))
def test_padding_is_right_and_below_and_keeps_its_colour(seed):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    sample = Sample.from_arrays("x", {"rgb": pixels}, {"semantic": np.zeros((10, 14), np.uint8)})
    changed = change(sample, seed, {"rgb": (120.4, 110.0, 100.0)}, flip=True, crop=(16, 20), color=0.8)
    outside = torch.ones(16, 20, dtype=torch.bool)
    outside[:10, :14] = False
    assert torch.equal((changed.targets["semantic"] == 255).as_subclass(torch.Tensor), outside)
    assert changed.inputs["rgb"][:, outside].T.unique(dim=0).tolist() == [[120, 110, 100]]
