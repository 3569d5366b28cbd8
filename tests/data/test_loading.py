import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from fullconv.data.draws import StepSampler
from fullconv.data.loading import collate, train_loader, val_loader
from fullconv.data.sample import Sample
from fullconv.errors import DataError, SpecError
from fullconv.labels import LabelSet, voc_colors
from fullconv.spec import AugmentSpec, DataSpec

AUGMENT = AugmentSpec(flip=True, scale=(0.7, 1.4), crop=(12, 16), color=0.3, rotate=5)
FILL = {"rgb": (120.0, 110.0, 100.0)}


class Noise:
    """Samples of many sizes; a data set as plain as the protocol allows."""

    def __init__(self, length=7, broken=None):
        self.name, self.labels = "noise", {"semantic": LabelSet(("a", "b"), voc_colors(2))}
        self.length, self.broken = length, broken

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index == self.broken:
            raise DataError(f"photo{index}.jpg: cannot be read (truncated); copy it again")
        rng = np.random.default_rng(index)
        size = tuple(rng.integers(5, 30, 2))
        image, mask = rng.integers(0, 256, (*size, 3), dtype=np.uint8), rng.integers(0, 2, size).astype(np.uint8)
        return Sample.from_arrays(f"photo{index}", {"rgb": image}, {"semantic": mask})


def loader(steps, start=0, **options):
    spec = DataSpec(augment=options.pop("augment", AUGMENT), workers=options.pop("workers", 0))
    options = {"batch_size": 4, "seed": 3, "fill": FILL} | options
    return train_loader(Noise(), spec, steps=steps, start_step=start, **options)


def same(a, b):
    return a["names"] == b["names"] and all(
        torch.equal(a[part][key], b[part][key]) for part in ("inputs", "targets") for key in a[part]
    )


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4))
def test_collate_keeps_every_pixel_and_fills_the_rest(sizes):
    samples = [
        Sample.from_arrays(
            str(place),
            {"rgb": np.full((*size, 3), place, np.uint8), "depth": np.full(size, 9, np.uint8)},
            {"a": np.full(size, place, np.uint8), "b": np.zeros(size, np.uint8)},
        )
        for place, size in enumerate(sizes)
    ]
    batch = collate(samples, {"rgb": (100.4, 110.0, 120.6)})
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
    assert batch["inputs"]["rgb"].shape == (len(sizes), 3, height, width)
    assert batch["inputs"]["depth"].shape == (len(sizes), 1, height, width)
    assert batch["targets"]["a"].dtype == torch.int64
    assert batch["inputs"]["rgb"].dtype == torch.uint8
    for place, (h, w) in enumerate(sizes):
        inside = torch.zeros(height, width, dtype=torch.bool)
        inside[:h, :w] = True
        assert (batch["targets"]["a"][place][inside] == place).all()
        assert (batch["targets"]["b"][place][~inside] == 255).all()
        assert (batch["inputs"]["rgb"][place][:, inside] == place).all()
        outside = batch["inputs"]["rgb"][place][:, ~inside]
        assert (outside == torch.tensor([[100], [110], [121]])).all()
        assert (batch["inputs"]["depth"][place][:, ~inside] == 0).all()


def test_a_batch_owns_its_pixels_and_is_plain_tensors():
    sample = Noise()[0]
    batch = collate([sample])
    batch["inputs"]["rgb"][:] = 0
    assert sample.inputs["rgb"].any()
    assert type(batch["inputs"]["rgb"]) is type(batch["targets"]["semantic"]) is torch.Tensor


def test_samples_with_other_heads_or_channels_do_not_mix():
    rgb, grey, mask = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    first = Sample.from_arrays("x", {"rgb": rgb}, {"a": mask})
    with pytest.raises(DataError, match=r"same streams, channels and heads: x has a, stream rgb .*; y has stream rgb"):
        collate([first, Sample.from_arrays("y", {"rgb": rgb}, {})])
    with pytest.raises(DataError, match=r"rgb \(3 channels\); y has a, stream rgb \(1 channels?\)"):
        collate([first, Sample.from_arrays("y", {"rgb": grey}, {"a": mask})])


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**32), st.integers(0, 40), st.booleans())
def test_a_batch_is_a_function_of_seed_and_step(length, batch, seed, start, replacement):
    def draws(**options):
        return list(StepSampler(length, batch, seed, replacement=replacement, **options))

    whole = draws(steps=start + 3)
    assert draws(start_step=start, steps=3) == whole[start:]
    assert StepSampler(length, batch, seed, steps=1, replacement=replacement).draws(start + 1) == whole[start + 1]
    assert all(0 <= draw.sample < length for step in whole for draw in step)


@given(st.integers(1, 30), st.integers(1, 5), st.sampled_from([1, 2, 3, 4]), st.booleans(), st.integers(0, 20))
def test_processes_share_one_batch(length, share, world, replacement, step):
    def draws(rank, of):
        sampler = StepSampler(length, share * world, 5, steps=1, rank=rank, world=of, replacement=replacement)
        return sampler.draws(step)

    assert [draw for rank in range(world) for draw in draws(rank, world)] == draws(0, 1)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 1000))
def test_without_replacement_every_epoch_holds_every_sample_once(length, batch, seed):
    steps = -(-2 * length // batch)
    order = [draw.sample for step in StepSampler(length, batch, seed, steps=steps) for draw in step]
    assert sorted(order[:length]) == sorted(order[length : 2 * length]) == list(range(length))


def test_epochs_and_runs_differ_and_changes_are_never_drawn_twice():
    sampler = StepSampler(50, 50, 0, steps=3)
    first, second, third = ([draw.sample for draw in step] for step in sampler)
    assert first != second != third != list(range(50))
    assert [draw.sample for draw in StepSampler(50, 50, 1, steps=1).draws(0)] != first
    seeds = [draw.seed for step in StepSampler(3, 8, 0, steps=50) for draw in step]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_with_replacement_draws_are_uniform():
    counts = np.bincount([d.sample for step in StepSampler(5, 40, 0, steps=50, replacement=True) for d in step])
    assert counts.sum() == 2000
    assert np.abs(counts - 400).max() < 80  # 4.5 standard deviations


def test_resuming_gives_the_pixels_of_an_unbroken_run():
    whole = list(loader(6))
    assert len(whole) == len(loader(6)) == 6
    resumed = list(loader(3, start=3))
    assert all(same(a, b) for a, b in zip(whole[3:], resumed, strict=True))
    assert not same(whole[0], whole[1])


def test_workers_change_nothing():
    assert all(same(a, b) for a, b in zip(loader(4), loader(4, workers=2), strict=True))


def test_two_processes_see_the_halves_of_one_batch():
    for whole, left, right in zip(loader(3), loader(3, rank=0, world=2), loader(3, rank=1, world=2), strict=True):
        assert whole["names"] == left["names"] + right["names"]
        assert torch.equal(whole["inputs"]["rgb"], torch.cat([left["inputs"]["rgb"], right["inputs"]["rgb"]]))


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_leaves_the_global_generator_alone(workers):
    state = torch.get_rng_state()
    list(loader(2, workers=workers))
    list(val_loader(Noise(), DataSpec(workers=workers)))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_one_line_also_from_a_worker(workers):
    spec = DataSpec(workers=workers)
    line = r"^photo2\.jpg: cannot be read \(truncated\); copy it again$"
    with pytest.raises(DataError, match=line):
        list(train_loader(Noise(broken=2), spec, 7, 0, steps=1))
    with pytest.raises(DataError, match=line):
        list(val_loader(Noise(broken=2), spec))


def test_what_the_loader_sends_to_workers_can_be_pickled():
    """Workers started by spawn or forkserver get the data set that way."""
    plain = loader(1)
    copied = DataLoader(
        pickle.loads(pickle.dumps(plain.dataset)),
        batch_sampler=plain.batch_sampler,
        collate_fn=pickle.loads(pickle.dumps(plain.collate_fn)),
    )
    assert same(next(iter(plain)), next(iter(copied)))


def test_validation_sees_every_sample_once_unchanged_over_any_number_of_processes():
    spec = DataSpec(augment=AUGMENT)
    parts = [list(val_loader(Noise(), spec, rank=rank, world=3)) for rank in range(3)]
    assert [len(part) for part in parts] == [3, 2, 2]
    batches = {batch["names"][0]: batch for part in parts for batch in part}
    assert sorted(batches) == [f"photo{k}" for k in range(7)]
    for index in range(7):
        assert same(batches[f"photo{index}"], collate([Noise()[index]]))
    assert [len(batch["names"]) for batch in val_loader(Noise(), spec, 3)] == [3, 3, 1]


def test_validation_can_be_read_again_with_workers_kept_alive():
    twice = val_loader(Noise(), DataSpec(workers=1))
    assert [batch["names"] for batch in twice] == [batch["names"] for batch in twice]


def test_what_cannot_be_shared_or_drawn_is_refused():
    with pytest.raises(SpecError, match="4 images a step cannot be shared by 3 processes; choose a multiple of 3"):
        loader(1, world=3)
    with pytest.raises(DataError, match="training data are empty"):
        train_loader(Noise(0), DataSpec(), 1, 0, steps=1)


def test_no_more_processes_read_than_there_are_processors():
    there = len(os.sched_getaffinity(0))
    assert loader(1, workers=999).num_workers == val_loader(Noise(), DataSpec(workers=999)).num_workers == there
