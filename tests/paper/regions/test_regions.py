"""Region proposals and the methods that classify them, against naive versions and by hand; the experiment in small."""

import builtins
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from in_small import BUDGET, SIZE, Small, assert_trained_as_planned
from made_scores import PIXELS, from_hits, net
from rich.console import Console

from fullconv.data import open_dataset
from fullconv.data.scenes.scenes import render
from fullconv.errors import SpecError
from fullconv.labels import LabelSet, voc_colors
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.paper import table3
from fullconv.paper.experiment import Context
from fullconv.paper.findings import Finding, Row
from fullconv.paper.plots import spread_out
from fullconv.paper.regions.methods import Described, Labeller, Lesson, learn, mean_iu
from fullconv.paper.regions.nets import NONE, crop, features, fit_linear, paste, refine, region_labels, shapes, things
from fullconv.paper.regions.proposals import Proposals, propose
from fullconv.paper.regions.reader import Reader, Stopwatch
from fullconv.paper.suite import run_experiment
from fullconv.paper.table3 import Measured
from fullconv.spec import DataSpec, ModelSpec


def two_halves() -> Proposals:
    """A left and a right half, 8x12, and the whole."""
    segments = np.zeros((8, 12), np.int64)
    segments[:, 6:] = 1
    return Proposals(segments, np.array([[True, True], [True, False], [False, True]]))


@pytest.mark.parametrize("index", range(3))
def test_proposals_are_a_tree_of_connected_groups(index: int) -> None:
    image = render(0, "val", index, (48, 64)).image
    found = propose(image, 10**6)
    count = int(found.segments.max()) + 1
    assert len(found) == 2 * count - 1
    assert found.members[0].all()
    sizes = found.members.sum(1)
    assert (sizes[-count:] == 1).all()
    for region in range(len(found) - count):  # each group is two others that do not overlap
        inside = [n for n in range(region + 1, len(found)) if (found.members[n] <= found.members[region]).all()]
        pairs = {
            frozenset((a, b)) for a in inside for b in inside if (found.members[a] ^ found.members[b]).sum() == sizes[region]
        }
        assert any(sum(sizes[n] for n in pair) == sizes[region] for pair in pairs)
    for region in range(len(found)):
        rows, columns = np.nonzero(found.mask(region))
        assert found.box(region) == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    limited = propose(image, 5)
    np.testing.assert_array_equal(limited.members, found.members[:5])


def test_the_halves_of_a_picture_are_found() -> None:
    image = np.full((40, 60, 3), 200, np.uint8)
    image[:, 30:] = (10, 90, 30)
    found = propose(image, 100)
    left = np.zeros((40, 60), bool)
    left[:, :30] = True
    for half in (left, ~left):  # the smoothing before the grouping may put the border a pixel or two aside
        masks = [found.mask(region) for region in range(len(found))]
        assert max((mask & half).sum() / (mask | half).sum() for mask in masks) > 0.9


def test_an_even_picture_is_one_region() -> None:
    assert len(propose(np.full((30, 30, 3), 7, np.uint8), 100)) == 1


def test_boxes_are_the_least_that_hold_the_region() -> None:
    found = propose(render(0, "val", 1, (48, 64)).image, 60)
    for region in range(len(found)):
        rows, columns = np.nonzero(found.mask(region))
        assert found.box(region) == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)


@pytest.fixture
def without_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *more: Any, **named: Any) -> Any:
        if name.startswith("skimage"):
            raise ImportError(name)
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", missing)


@pytest.mark.usefixtures("without_scikit_image")
def test_without_scikit_image_nothing_is_trained(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^region proposals need scikit-image: pip install 'fullconv\[regions\]'$"):
        propose(np.zeros((8, 8, 3), np.uint8), 5)
    found = run_experiment("T3", Context(tmp_path, "", console=Console(quiet=True)), BUDGET)
    assert {row.needs for row in found.rows} == {"region proposals need scikit-image: pip install 'fullconv[regions]'"}
    assert not (tmp_path / "runs").exists()


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_pasting_against_a_loop_over_pixels(seed: int, regions: int) -> None:
    rng = np.random.default_rng(seed)
    masks, scores = list(rng.random((regions, 5, 7)) < 0.5), rng.random((regions, 4)).astype(np.float32)
    expected = np.zeros((5, 7), np.uint8)
    for place in np.ndindex(5, 7):
        covering = [n for n in range(regions) if masks[n][place]]
        if covering:
            expected[place] = scores[max(covering, key=lambda n: scores[n].max())].argmax()
    np.testing.assert_array_equal(paste(masks, scores, (5, 7)), expected)


def test_labels_of_regions_by_hand() -> None:
    truth = np.zeros((8, 12), np.uint8)
    truth[:, 6:] = 2
    truth[:, 6:8] = 255  # not known
    assert region_labels(two_halves(), truth, 3, 0.5).tolist() == [0, 0, 2]
    truth[:3, :6] = 1
    truth[3:6, :6] = 2
    assert region_labels(two_halves(), truth, 3, 0.5).tolist() == [2, NONE, 2]
    assert region_labels(two_halves(), truth, 3, 0.63).tolist() == [NONE, NONE, 2]  # of the whole, 50 of 80 are of class 2
    assert region_labels(two_halves(), np.full((8, 12), 255, np.uint8), 3, 0.5).tolist() == [NONE] * 3


def test_what_is_outside_a_region_is_hidden() -> None:
    segments = np.zeros((6, 6), np.int64)
    segments[1:5, 2] = segments[4, 2:5] = 1  # an L
    proposals = Proposals(segments, np.array([[False, True]]))
    pixels = torch.rand(3, 6, 6)
    outside = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    found = crop(pixels, proposals, 0, 4, outside)  # warped to the box's own height
    for row in range(4):
        whole = [pixels[:, row + 1, 2 + c] if segments[row + 1, 2 + c] else outside[:, 0, 0] for c in range(3)]
        expected = torch.nn.functional.interpolate(torch.stack(whole, 1)[None], 4, mode="linear")[0]
        torch.testing.assert_close(found[:, row], expected, atol=1e-5, rtol=0)
    assert not torch.equal(found, crop(pixels, proposals, 0, 4, None))


def test_features_are_the_trunks_means_one_region_at_a_time() -> None:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn32s-minivgg"), {"semantic": 3}).eval()
    image = render(0, "val", 0, (48, 64)).image
    proposals = propose(image, 35)  # more than go through at once
    found = features(model, image, proposals, 64, masked=True)
    pixels = torch.from_numpy(image.transpose(2, 0, 1).copy()).float()
    mean = torch.tensor(model.padding_colors["rgb"]).view(3, 1, 1)
    for region in (0, 33, 34):
        with torch.inference_mode():
            box = crop(pixels, proposals, region, 64, mean)[None]
            expected = model.trunks["rgb"](model.normalise["rgb"](box))[0].mean((0, 2, 3))
        np.testing.assert_allclose(found[region], expected.numpy(), atol=1e-5)


def test_a_linear_classifier_tells_apart_what_is_apart() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [4, 0], [0, 4]])
    targets = rng.integers(0, 3, 300)
    inputs = (centres[targets] + rng.normal(size=(300, 2)) * 0.4).astype(np.float32)
    found = fit_linear(inputs, torch.from_numpy(targets), 3, decay=1e-3)
    assert (found.logits(inputs).argmax(1).numpy() == targets).mean() > 0.98
    soft = fit_linear(inputs, torch.from_numpy((inputs[:, :1] > 2).astype(np.float32)), 1, decay=1e-3)
    np.testing.assert_array_equal(soft.logits(inputs)[:, 0].numpy() > 0, inputs[:, 0] > 2)


def test_shapes_are_shares_of_cells() -> None:
    segments = np.zeros((20, 30), np.int64)
    segments[:, 15:] = 1
    segments[10:, 15:] = 2
    proposals = Proposals(segments, np.array([[True, True, True]]))
    grid = shapes(proposals, [segments == 2])[0].reshape(10, 10)
    np.testing.assert_allclose(grid[6:, 6:], 1, atol=1e-6)
    np.testing.assert_allclose(grid[:4], 0, atol=1e-6)
    np.testing.assert_allclose(grid[:, :4], 0, atol=1e-6)
    assert shapes(Proposals(segments, np.zeros((0, 3), bool)), []).shape == (0, 100)  # as in an image without ground truth


def test_refinement_takes_shapes_back_to_segments() -> None:
    proposals = two_halves()
    left = np.zeros((10, 10), np.float32)
    left[:, :5] = 1
    refined = refine(proposals, np.stack([left.ravel(), np.zeros(100), np.ones(100)]))
    np.testing.assert_array_equal(refined[0], proposals.segments == 0)
    np.testing.assert_array_equal(refined[1], proposals.mask(1))  # nothing would be left
    np.testing.assert_array_equal(refined[2], proposals.mask(2))


def lesson(rng: np.random.Generator, noise: float) -> Lesson:
    """Three columns of class 0, 1, 1 or 0, 1, 2, and the whole; features say which class a column has, and which is the whole."""
    segments = np.repeat(np.arange(3), 4)[None].repeat(6, 0)
    members = np.array([[True, True, True], [True, False, False], [False, True, False], [False, False, True]])
    classes = np.array([0, 1, rng.integers(1, 3)])
    seen = np.zeros((4, 4), np.float32)
    seen[0, 3] = 1
    seen[1:, :3] = np.eye(3)[classes] + noise * rng.normal(size=(3, 3))
    return Lesson(Described(Proposals(segments, members), seen, seen), classes[segments].astype(np.uint8))


@pytest.mark.parametrize("masked", [False, True])
def test_a_method_learns_to_label(masked: bool) -> None:
    rng = np.random.default_rng(0)
    labeller = learn([lesson(rng, 0.1) for _ in range(20)], 3, background=False, masked=masked)
    assert mean_iu(labeller, [lesson(rng, 0.1) for _ in range(5)], 3) == 1
    on_background = learn([lesson(rng, 0.1) for _ in range(20)], 3, background=True, masked=masked)
    assert mean_iu(on_background, [lesson(rng, 0.1) for _ in range(5)], 3) == 1


def test_settings_are_chosen_where_they_matter() -> None:
    rng = np.random.default_rng(0)
    lessons = [lesson(rng, 0.6) for _ in range(40)]
    new = [lesson(rng, 0.6) for _ in range(20)]
    unchosen = learn(lessons[:4], 3, background=False, masked=False)  # too few to hold one out: the whole teaches class 1
    assert mean_iu(learn(lessons, 3, background=False, masked=False), new, 3) > mean_iu(unchosen, new, 3) + 0.1


def test_an_image_without_things_is_background() -> None:
    rng = np.random.default_rng(0)
    labeller = learn([lesson(rng, 0.1) for _ in range(20)], 3, background=True, masked=True)
    given = lesson(rng, 0.1).described
    only = np.zeros_like(given.box)
    only[:, 0] = 1
    assert (labeller(Described(given.proposals, only, only)) == 0).all()


def test_a_kept_reading_is_read_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn32s-minivgg"), {"semantic": 3})
    save_checkpoint(tmp_path / "model.safetensors", model, {"semantic": LabelSet(("a", "b", "c"), voc_colors(3))})
    dataset = open_dataset(DataSpec(name="scenes", count=2, val_count=2, size=(48, 64)), "val")
    first = Reader(tmp_path / "model.safetensors", 64, 20, tmp_path / "kept").read(dataset[0], "val-0")
    assert (first.seconds > 0).all()
    again = Reader(tmp_path / "model.safetensors", 64, 20, tmp_path / "kept").read(dataset[0], "val-0")
    np.testing.assert_array_equal(first.seconds, again.seconds)  # a second reading would take other times
    np.testing.assert_array_equal(first.described.region, again.described.region)
    fewer = Reader(tmp_path / "model.safetensors", 64, 10, tmp_path / "kept").read(dataset[0], "val-0")
    assert len(fewer.described.proposals) == 10
    np.testing.assert_allclose(fewer.described.box, first.described.box[:10], atol=1e-5)
    plain = features(model.eval(), dataset[0].picture, first.described.proposals, 64, masked=True)
    np.testing.assert_allclose(first.described.region, plain, rtol=1e-4, atol=1e-4 * np.abs(plain).max())


def test_a_stopwatch_counts_from_look_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.5, 13.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    watch = Stopwatch()
    assert [watch.lap(), watch.lap()] == [2.5, 0.5]


def test_the_experiment_in_small(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    lessons: list[Lesson] = []

    def watched(given: list[Lesson], *classes: int, **how: bool) -> Labeller:
        lessons[:] = given
        return learn(given, *classes, **how)

    monkeypatch.setattr(table3, "learn", watched)
    run_experiment("T3", small, BUDGET)
    assert_trained_as_planned(small, "T3")
    content = json.loads((small.out / "T3/result.json").read_text())
    rows = {(row["item"], row["quantity"]): row["measured"] for row in content["rows"]}
    for method in ("boxes, classified", "regions, classified"):
        parts = [rows[method, f"seconds an image, {part}"][0] for part in ("proposals", "features", "classification")]
        assert all(part > 0 for part in parts)
        assert rows[method, "times FCN-8s, network only"][0] == pytest.approx(parts[1] / rows["FCN-8s", "seconds an image"][0])
        assert 0 <= rows[method, "mean IU"][0] <= 100
    assert rows["regions, classified", "seconds an image, features"] > rows["boxes, classified", "seconds an image, features"]
    assert (small.out / "T3/methods.png").stat().st_size > 5000
    training, validation = (open_dataset(DataSpec(count=12, val_count=4, size=SIZE), split) for split in ("train", "val"))
    for lesson_of, place in zip(lessons, spread_out(training, 2), strict=True):  # nothing is learned from held-out images
        np.testing.assert_array_equal(lesson_of.truth, training[place].targets["semantic"])
        assert len(lesson_of.described.proposals) == len(propose(training[place].picture, 200))
    regions = [len(propose(validation[place].picture, 200)) for place in spread_out(validation, 2)]
    assert f"The median image had {statistics.median(regions):.0f} proposals" in content["notes"][1]
    assert "neither R-CNN nor SDS" in content["notes"][0]


@pytest.mark.parametrize(
    ("boxes", "regions", "times", "holds"),
    [(30, 40, 25.0, [True, True]), (30, 50, 19.0, [False, False])],
)
def test_the_verdicts_follow_from_the_numbers(boxes: float, regions: float, times: float, holds: list[bool]) -> None:
    scores = {"FCN-8s": net(45), "boxes, classified": net(boxes), "regions, classified": net(regions)}
    ratios = {"boxes, classified": times, "regions, classified": 2 * times}
    rows = tuple(Row(method, "times FCN-8s, overall", (ratio,), "", "") for method, ratio in ratios.items())
    claims = table3._claims(Finding(rows), scores)
    assert [claim.holds for claim in claims] == holds
    assert "baselines, neither R-CNN nor SDS" in claims[0].text


def test_where_images_disagree_nothing_is_decided() -> None:
    """One method is better on half of the images by as much as it is worse on the others, about."""
    fcn, other = np.full((1, 20), 0.6), np.tile([0.35, 0.83], 10)[None]
    scores = {"FCN-8s": from_hits(PIXELS * fcn), "boxes, classified": from_hits(PIXELS * other), "regions, classified": net(10)}
    rows = tuple(Row(method, "times FCN-8s, overall", (30.0,), "", "") for method in list(scores)[1:])
    assert table3._claims(Finding(rows), scores)[0].holds is None


def test_seconds_of_a_region_are_those_of_the_regions_there_were() -> None:
    measured = Measured(LabelSet(("a",), voc_colors(1)), regions=[50, 200, 100])
    measured.seconds["regions, classified"] = [{"features": 1.0}, {"features": 2.0}, {"features": 3.0}]
    assert measured.features_each("regions, classified") == pytest.approx(0.02)  # of 0.02, 0.01, 0.03


def test_only_things_are_pasted_on_a_background() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1, 0.0], [0.2, 0.5, 0.2, 0.1], [0.1, 0.3, 0.2, 0.4], [0.3, 0.1, 0.4, 0.2]])
    chosen, scores = things(probabilities, background=True)  # the first is background, the third is none
    assert chosen.tolist() == [1, 3]
    assert scores.tolist() == [[0, 0.5, 0.2], [0, 0.1, 0.4]]
    chosen, scores = things(probabilities, background=False)
    assert chosen.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(scores, probabilities[:, :3])
    assert (paste([], things(probabilities[:1], background=True)[1], (2, 3)) == 0).all()
