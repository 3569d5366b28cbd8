"""Samples, and that image and masks move together: the image's colour is its mask's label, before and after."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors

from fullconv.data.joint_transform import JointTransform
from fullconv.data.sample import IGNORE, Sample
from fullconv.errors import DataError
from fullconv.spec import AugmentSpec

FILL = {"rgb": (10.0, 20.0, 30.0)}
STEP = 60  # red = STEP * label


def draw(mask: np.ndarray, seed: int = 0) -> Sample:
    """A sample whose red is its label, green the row and blue the column; a second stream and head say the same."""
    rows, columns = np.indices(mask.shape)
    image = np.stack([STEP * mask.astype(int), rows, columns], axis=-1).astype(np.uint8)
    return Sample.from_arrays(f"drawn-{seed}", {"rgb": image, "depth": image[..., 0]}, {"semantic": mask, "other": 3 - mask})


def blocks(height: int, width: int, seed: int = 0, block: int = 1) -> np.ndarray:
    """Labels 0..3 in blocks of ``block`` pixels."""
    small = np.random.default_rng(seed).integers(0, 4, (-(-height // block), -(-width // block)))
    return small.repeat(block, 0).repeat(block, 1)[:height, :width].astype(np.uint8)


def change(sample: Sample, seed: int = 0, **augment) -> Sample:
    return JointTransform(AugmentSpec(**augment), FILL)(sample, torch.Generator().manual_seed(seed))


def same(a: Sample, b: Sample) -> bool:
    pairs = zip([*a.inputs.values(), *a.targets.values()], [*b.inputs.values(), *b.targets.values()], strict=True)
    return a.name == b.name and all(torch.equal(x, y) for x, y in pairs)


def arrays(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The image (3, H, W), the depth stream, and both masks."""
    image, depth, mask, other = (
        t.numpy() for t in (sample.inputs["rgb"], sample.inputs["depth"], sample.targets["semantic"], sample.targets["other"])
    )
    assert {a.dtype for a in (image, depth, mask, other)} == {np.dtype(np.uint8)}
    assert image.shape[1:] == depth.shape[1:] == mask.shape == other.shape == sample.size
    return image, depth[0], mask, other


def assert_moved_exactly(sample: Sample) -> None:
    """Every pixel still shows its label, and what is padding is padding in every stream and mask."""
    image, depth, mask, other = arrays(sample)
    padding = mask == IGNORE
    assert np.array_equal(other == IGNORE, padding)
    assert np.array_equal(image[0][~padding], STEP * mask[~padding])
    assert np.array_equal(depth[~padding], STEP * mask[~padding])
    assert np.array_equal(other[~padding], 3 - mask[~padding])
    assert (FILL["rgb"] == image[:, padding].T).all()
    assert (depth[padding] == 0).all()


def test_by_default_nothing_changes():
    sample = draw(blocks(5, 7))
    assert same(change(sample), sample)


sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(sizes, sizes, st.booleans(), st.integers(0, 99))
def test_crop_and_flip_move_pixels_exactly(size, crop, flip: bool, seed: int):
    sample = draw(blocks(*size, seed))
    result = change(sample, seed, crop=crop, flip=flip)
    assert result.size == crop
    assert_moved_exactly(result)
    # the window is one of the image, where it says it is; padding lies right and below
    image, _, mask, _ = arrays(result)
    inside = min(size[0], crop[0]), min(size[1], crop[1])
    assert (mask[: inside[0], : inside[1]] != IGNORE).all()
    assert (mask != IGNORE).sum() == inside[0] * inside[1]
    rows, columns = image[1, : inside[0], 0].astype(int), image[2, 0, : inside[1]].astype(int)
    assert (np.diff(rows) == 1).all()
    steps = set(np.diff(columns).tolist())
    assert steps <= {1} or (flip and steps == {-1})
    source, _, labels, _ = arrays(sample)
    assert np.array_equal(mask[: inside[0], : inside[1]], labels[np.ix_(rows, columns)])
    assert np.array_equal(image[:, : inside[0], : inside[1]], source[:, rows][:, :, columns])


def test_flip_is_an_exact_mirror_every_second_time():
    sample = draw(blocks(4, 6))
    source = arrays(sample)
    flipped = 0
    for seed in range(200):
        result = arrays(change(sample, seed, flip=True))
        mirrored = not np.array_equal(result[0], source[0])
        flipped += mirrored
        for before, after in zip(source, result, strict=True):
            assert np.array_equal(after, before[..., ::-1] if mirrored else before)
    assert 70 < flipped < 130


def test_crops_reach_every_place():
    sample = draw(blocks(5, 6))
    corners = {tuple(change(sample, seed, crop=(3, 4)).inputs["rgb"][1:, 0, 0].tolist()) for seed in range(200)}
    assert corners == {(top, left) for top in range(3) for left in range(3)}


@settings(max_examples=40)
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(0, 99), st.floats(0.2, 3))
def test_scaling_changes_sizes_and_never_mixes_labels(size, seed: int, factor: float):
    sample = draw(np.where(blocks(*size, seed) == 3, IGNORE, blocks(*size, seed)).astype(np.uint8))
    result = change(sample, seed, scale=(factor, factor))
    assert result.size == (size if factor == 1 else tuple(max(1, round(side * factor)) for side in size))
    assert set(np.unique(result.targets["semantic"])) <= {0, 1, 2, IGNORE}


def wrong_side(red: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Where a picture of labels 0 and 3 is clearly nearer to the label that its mask does not give."""
    return np.abs(red.astype(int) - STEP * mask) > 0.55 * 3 * STEP


@pytest.mark.parametrize("factor", [0.4, 0.5, 0.75, 1.3, 1.5, 2.0])
def test_scaled_images_and_masks_stay_together(factor: float):
    # two labels, far apart: where the smoothed image is nearer to one, the mask must say that one
    result = change(draw(3 * (blocks(96, 128, block=8) % 2)), scale=(factor, factor))
    image, _, mask, _ = arrays(result)
    assert set(np.unique(mask)) == {0, 3}
    assert wrong_side(image[0], mask).mean() < 0.005  # but for ties
    # rows and columns are where pixel centres say: (i + 1/2) / factor - 1/2
    expected = (np.arange(result.size[1]) + 0.5) / factor - 0.5
    assert np.abs(image[2, 5, 2:-2] - expected[2:-2]).max() <= 1


@pytest.mark.parametrize("factor", [0.3, 0.7, 1.3, 1.7, 2.1])
def test_scaled_masks_take_the_label_at_each_pixels_centre(factor: float):
    # as the image does; plain "nearest" takes the label at the pixel's corner, half a pixel beside it
    mask = blocks(40, 50)
    result = change(draw(mask), scale=(factor, factor)).targets["semantic"].numpy()
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(result.shape, mask.shape, strict=True))
    assert np.array_equal(result, mask[np.ix_(rows, columns)])


def test_scale_factors_fill_their_range():
    sides = [change(draw(blocks(100, 100)), seed, scale=(0.5, 2.0)).size[0] for seed in range(60)]
    assert min(sides) < 70
    assert max(sides) > 180
    assert all(50 <= side <= 200 for side in sides)


@pytest.mark.parametrize("degrees", [10, 45, 180])
def test_rotated_images_and_masks_stay_together(degrees: int):
    sample = draw(3 * (blocks(80, 96, block=16) % 2))
    for seed in range(5):
        result = change(sample, seed, rotate=degrees)
        image, depth, mask, other = arrays(result)
        assert result.size == sample.size
        assert set(np.unique(mask)) <= {0, 3, IGNORE}
        assert np.array_equal(mask == IGNORE, other == IGNORE)
        inside = mask != IGNORE
        assert wrong_side(image[0], mask)[inside].mean() < 0.003  # but for the interpolated rim
        corners = ~inside & (np.abs(image.transpose(1, 2, 0) - np.array(FILL["rgb"])) > 1).any(-1)
        assert corners.mean() < 0.02  # the fill colour, but for the interpolated rim
        assert (~inside & (depth > 0)).mean() < 0.02


def test_rotation_turns_by_up_to_its_angle_either_way():
    mask = np.zeros((61, 61), np.uint8)
    mask[:28, 29:32] = 1  # a hand from the middle up
    angles = []
    for seed in range(40):
        rows, columns = np.nonzero(change(draw(mask), seed, rotate=30).targets["semantic"].numpy() == 1)
        angles.append(np.degrees(np.arctan2(columns.mean() - 30, 30 - rows.mean())))
    assert -31 < min(angles) < -15
    assert 15 < max(angles) < 31


def test_colours_change_the_photograph_only():
    sample = draw(blocks(8, 8))
    changed = 0
    for seed in range(10):
        result = change(sample, seed, color=0.5)
        assert torch.equal(result.inputs["depth"], sample.inputs["depth"])
        assert all(torch.equal(result.targets[head], mask) for head, mask in sample.targets.items())
        changed += not torch.equal(result.inputs["rgb"], sample.inputs["rgb"])
    assert changed == 10


def test_neither_colours_nor_mirror_reach_the_padding():
    for seed in range(6):
        image, _, mask, _ = arrays(change(draw(blocks(4, 4)), seed, crop=(6, 7), flip=True, color=1.0))
        padding = np.ones((6, 7), bool)
        padding[:4, :4] = False
        assert np.array_equal(mask == IGNORE, padding)
        assert (FILL["rgb"] == image[:, padding].T).all()


@given(sizes, st.integers(1, 15), st.integers(0, 99))
def test_shifting_moves_whole_pixels(size, shift: int, seed: int):
    sample = draw(blocks(*size, seed))
    result = change(sample, seed, shift=shift)
    assert result.size == size
    assert_moved_exactly(result)
    image, _, mask, _ = arrays(result)
    inside = mask != IGNORE
    moved = np.indices(size)[:, inside] - image[1:, inside]  # green and blue say where a pixel was
    assert len({tuple(move) for move in moved.T}) <= 1
    if inside.any():
        down, right = moved[:, 0]
        assert max(abs(down), abs(right)) <= shift
        assert inside.sum() == (size[0] - abs(down)) * (size[1] - abs(right))


def test_shifts_reach_every_place_alike():
    sample = draw(blocks(9, 9))
    found = [tuple(np.argwhere(change(sample, seed, shift=2).targets["semantic"].numpy() != IGNORE)[[0, -1]].ravel())
             for seed in range(1000)]  # fmt: skip
    moves = [(top or bottom - 8, left or right - 8) for top, left, bottom, right in found]
    counts = {move: moves.count(move) for move in set(moves)}
    assert set(counts) == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}
    assert max(counts.values()) < 70  # 40 are expected


def test_neither_colours_nor_mirror_reach_what_a_shift_fills():
    for seed in range(6):
        image, _, mask, _ = arrays(change(draw(blocks(9, 9)), seed, shift=4, flip=True, color=1.0))
        assert (FILL["rgb"] == image[:, mask == IGNORE].T).all()


ALL = {"flip": True, "scale": (0.5, 2.0), "crop": (16, 24), "color": 0.3, "rotate": 20, "shift": 5}


@given(st.integers(0, 2**62), st.tuples(st.integers(1, 40), st.integers(1, 40)))
@settings(max_examples=40)
def test_draws_are_a_function_of_the_generator_alone(seed: int, size):
    sample = draw(blocks(*size))
    before = arrays(sample)[0].copy()
    torch.manual_seed(1)
    first, state = change(sample, seed, **ALL), torch.get_rng_state()
    torch.manual_seed(2)
    assert same(change(sample, seed, **ALL), first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator was not touched
    assert np.array_equal(arrays(sample)[0], before)  # nor the sample
    assert first.size == (16, 24)
    assert set(np.unique(first.targets["semantic"])) <= {0, 1, 2, 3, IGNORE}


def test_different_seeds_give_different_samples():
    sample = draw(blocks(30, 30))
    results = [change(sample, seed, **ALL).inputs["rgb"].numpy().tobytes() for seed in range(20)]
    assert len(set(results)) == 20


def test_a_sample_without_truth_can_be_changed():
    sample = Sample.from_arrays("x", {"rgb": np.zeros((5, 5, 3), np.uint8)}, {})
    assert change(sample, **ALL).targets == {}


def test_from_arrays_keeps_pixels_and_kinds():
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    sample = Sample.from_arrays("x", {"rgb": image[:, ::-1], "depth": image[..., 0]}, {"semantic": image[::-1, :, 1]})
    assert sample.size == (4, 6)
    assert isinstance(sample.inputs["rgb"], tv_tensors.Image)
    assert isinstance(sample.targets["semantic"], tv_tensors.Mask)
    assert np.array_equal(sample.inputs["rgb"].numpy(), image[:, ::-1].transpose(2, 0, 1))
    assert sample.inputs["depth"].shape == (1, 4, 6)
    assert np.array_equal(sample.targets["semantic"].numpy(), image[::-1, :, 1])


def test_read_only_arrays_are_taken():
    image = np.zeros((2, 2, 3), np.uint8)
    image.setflags(write=False)
    sample = Sample.from_arrays("x", {"rgb": image}, {"semantic": image[..., 0]})
    sample.inputs["rgb"][:] = 1
    assert not image.any()


def test_sizes_must_agree_and_an_input_is_needed():
    image, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((6, 4), np.uint8)
    with pytest.raises(DataError, match=r"^a: images and masks must have one height and width; got rgb 4x6, semantic 6x4"):
        Sample.from_arrays("a", {"rgb": image}, {"semantic": mask})
    with pytest.raises(DataError, match=r"^a: a sample needs at least one input stream"):
        Sample.from_arrays("a", {}, {"semantic": mask})
