"""Losses besides cross entropy: against numpy that loops, examples by hand, and what their definitions leave open."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fullconv.nn.losses.cross_entropy import cross_entropy
from fullconv.nn.losses.focal import focal
from fullconv.nn.losses.lovasz import lovasz
from fullconv.nn.losses.ohem import ohem
from fullconv.nn.losses.overlap import tversky
from fullconv.nn.losses.step import StepLoss
from fullconv.spec import LossSpec

NAMES = ("cross_entropy", "focal", "ohem", "dice", "jaccard", "tversky", "lovasz")


def step_loss(loss: object, reduction: str = "mean", **more: object) -> StepLoss:
    return StepLoss(LossSpec.model_validate(loss), reduction, **more)  # type: ignore[arg-type]


def case(seed: int, classes: int, ignored: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, targets with the last class absent, probabilities in double precision."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (2, classes, 3, 4)).astype(np.float32)
    target = np.where(rng.random((2, 3, 4)) < ignored, 255, rng.integers(0, max(1, classes - 1), (2, 3, 4)))
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return logits, target, powers / powers.sum(1, keepdims=True)


def overlap_by_hand(p: np.ndarray, y: np.ndarray, alpha: float, beta: float, weights: np.ndarray) -> float:
    """1 - the weighted mean over the classes of y (V,) of TP / (TP + alpha FP + beta FN); p (V, K)."""
    found, weight = 0.0, 0.0
    for label in sorted(set(y.tolist())):
        tp = sum(p[i, label] for i in range(len(y)) if y[i] == label)
        fp = sum(p[i, label] for i in range(len(y)) if y[i] != label)
        fn = sum(1 - p[i, label] for i in range(len(y)) if y[i] == label)
        found += weights[label] * (1 - tp / (tp + alpha * fp + beta * fn))
        weight += weights[label]
    return found / weight if weight else 0.0


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0, 1), st.sampled_from([(0.5, 0.5), (1, 1), (0.3, 0.7), (0.9, 0)]))
def test_overlaps_against_a_loop_over_pixels(seed: int, classes: int, ignored: float, kinds: tuple[float, float]) -> None:
    logits, target, p = case(seed, classes, ignored)
    weights = np.random.default_rng(seed).uniform(0.1, 3, classes)
    tensors, valid = (torch.from_numpy(logits), torch.from_numpy(target)), target != 255
    flat = p.transpose(0, 2, 3, 1)
    expected = overlap_by_hand(flat[valid], target[valid], *kinds, weights)
    found = tversky(*tensors, *kinds, weights=torch.from_numpy(weights)).item()
    assert found == pytest.approx(expected, abs=1e-5)
    each = [overlap_by_hand(flat[n][valid[n]], target[n][valid[n]], *kinds, np.ones(classes)) for n in range(2)]
    assert tversky(*tensors, *kinds, "image_mean").item() == pytest.approx(np.mean(each), abs=1e-5)


def test_of_labels_the_overlaps_are_dice_and_intersection_over_union() -> None:
    """Labels 0 0 1 1 2 against 0 1 1 1 255: class 0 has Dice 2/3 and IU 1/2, class 1 4/5 and 2/3; no other counts."""
    labels, truth = torch.tensor([[[0, 0, 1, 1, 2]]]), torch.tensor([[[0, 1, 1, 1, 255]]])
    sure = 1e4 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float()
    assert step_loss("dice")(sure, truth).item() == pytest.approx(1 - (2 / 3 + 4 / 5) / 2)
    assert step_loss("jaccard")(sure, truth).item() == pytest.approx(1 - (1 / 2 + 2 / 3) / 2)
    assert step_loss("lovasz")(sure, truth).item() == pytest.approx(1 - (1 / 2 + 2 / 3) / 2)
    # two of the classes' three false positives and negatives: TP 1 FP 1 FN 0, and TP 2 FP 0 FN 1
    few_misses = step_loss({"tversky": {"alpha": 0.1, "beta": 0.9}})(sure, truth).item()
    assert few_misses == pytest.approx(1 - (1 / 1.1 + 2 / 2.9) / 2)


def lovasz_by_hand(p: np.ndarray, y: np.ndarray) -> float:
    """The sum over pixels, from the largest error on, of the error times what it adds to 1 - IU once all up to it are wrong."""
    parts = []
    for label in sorted(set(y.tolist())):
        truth = y == label
        errors = np.abs(truth - p[:, label])
        wrong, before, loss = np.zeros(len(y), bool), 0.0, 0.0
        for pixel in np.argsort(-errors, kind="stable"):
            wrong[pixel] = True
            predicted = truth ^ wrong
            jaccard = 1 - (truth & predicted).sum() / (truth | predicted).sum()
            loss += errors[pixel] * (jaccard - before)
            before = jaccard
        parts.append(loss)
    return float(np.mean(parts)) if parts else 0.0


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0, 1))
def test_lovasz_against_the_definition(seed: int, classes: int, ignored: float) -> None:
    logits, target, p = case(seed, classes, ignored)
    flat, valid = p.transpose(0, 2, 3, 1), target != 255
    expected = np.mean([lovasz_by_hand(flat[n][valid[n]], target[n][valid[n]]) for n in range(2)])
    assert lovasz(torch.from_numpy(logits), torch.from_numpy(target)).item() == pytest.approx(expected, abs=1e-5)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0, 1), st.sampled_from(["mean", "sum", "image_mean"]))
def test_focal_ohem_and_smoothing_against_a_loop(seed: int, classes: int, ignored: float, reduction: str) -> None:
    logits, target, p = case(seed, classes, ignored)
    weights = np.random.default_rng(seed).uniform(0.1, 3, classes)
    rows: dict[str, list[list[float]]] = {"focal": [], "ohem": [], "smooth": []}
    for n in range(2):
        pixels = [(p[n, :, y, x], target[n, y, x]) for y in range(3) for x in range(4) if target[n, y, x] != 255]
        rows["focal"].append([weights[k] * (1 - q[k]) ** 1.5 * -np.log(q[k]) for q, k in pixels])
        kept = sorted(pixels, key=lambda pixel: pixel[0][pixel[1]])[: int(np.ceil(0.25 * len(pixels)))]
        rows["ohem"].append([weights[k] * -np.log(q[k]) for q, k in kept])
        rows["smooth"].append([-weights[k] * 0.8 * np.log(q[k]) - 0.2 / classes * (weights * np.log(q)).sum() for q, k in pixels])

    def reduce(images: list[list[float]]) -> float:
        together = [loss for image in images for loss in image]
        if reduction == "image_mean":
            return sum(np.mean(image) if image else 0 for image in images) / 2
        return sum(together) / (1 if reduction == "sum" else max(1, len(together)))

    tensors, weighed = (torch.from_numpy(logits), torch.from_numpy(target)), torch.from_numpy(weights)
    found = {
        "focal": focal(*tensors, 1.5, reduction, weights=weighed),  # type: ignore[arg-type]
        "ohem": ohem(*tensors, 0.25, reduction, weights=weighed),  # type: ignore[arg-type]
        "smooth": cross_entropy(*tensors, reduction, weights=weighed, label_smoothing=0.2),  # type: ignore[arg-type]
    }
    for name, loss in found.items():
        assert loss.item() == pytest.approx(reduce(rows[name]), abs=1e-4), name


def test_parameters_that_are_cross_entropy() -> None:
    logits, target = torch.randn(2, 4, 5, 6), torch.randint(0, 4, (2, 5, 6))
    target[0, :2] = 255
    whole = cross_entropy(logits, target)
    for loss in ({"focal": {"gamma": 0}}, {"ohem": {"keep": 1}}, {"cross_entropy": {"label_smoothing": 0}}):
        torch.testing.assert_close(step_loss(loss)(logits, target), whole)


def test_a_sum_is_the_weighted_sum_of_its_parts() -> None:
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    parts = {name: step_loss(name)(logits, target) for name in NAMES}
    weights = {name: 0.25 * (place + 1) for place, name in enumerate(NAMES)}
    expected = sum(weights[name] * part for name, part in parts.items())
    torch.testing.assert_close(step_loss(weights)(logits, target), expected)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("reduction", ["mean", "image_mean"])
@pytest.mark.parametrize("name", NAMES)
def test_without_valid_pixels_it_is_zero_with_a_gradient_of_zero(name: str, reduction: str, classes: int) -> None:
    logits = (1e4 * torch.randn(2, classes, 3, 3)).requires_grad_()
    target = torch.full((2, 3, 3), 255)
    loss = step_loss(name, reduction)(logits, target)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
    # one image without valid pixels beside one that has them
    target[0] = 0
    logits.grad = None
    step_loss(name, reduction)(logits, target).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].abs().max() == 0


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_pixel_that_is_right_has_a_finite_gradient(gamma: float) -> None:
    logits = torch.tensor([[[[1e4]], [[-1e4]]]], requires_grad=True)
    focal(logits, torch.zeros(1, 1, 1, dtype=torch.long), gamma).backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("name", NAMES)
def test_under_autocast_it_is_computed_in_float32(name: str) -> None:
    logits, target = torch.randn(1, 3, 200, 200), torch.randint(0, 3, (1, 200, 200))
    short = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = step_loss(name)(short, target)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(step_loss(name)(short.float(), target).item(), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_steps_down_its_gradient_make_labels_right(name: str) -> None:
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 6, 6))
    target[0, 0] = 255
    logits = (0.1 * torch.randn(2, 3, 6, 6)).requires_grad_()
    optimizer = torch.optim.Adam([logits], 0.1)
    for _ in range(60):
        optimizer.zero_grad()
        step_loss({name: {"keep": 0.5}} if name == "ohem" else name)(logits, target).backward()
        optimizer.step()
    valid = target != 255
    assert (logits.argmax(1) == target)[valid].all()


def shared(loss: object, reduction: str, logits: Tensor, target: Tensor, weights: Tensor) -> tuple[float, Tensor]:
    """Value and gradient as two processes find them, an image and two: totals are exchanged by hand.

    Each gets the total of both with a gradient that has gone through the other as well, as adding over processes does.
    """
    parts, valid = ((0, 1), (1, 3)), (target != 255).sum() if reduction == "mean" else None
    seen: list[Tensor] = []
    for place in range(2):  # what each process hands to `total`, in order
        a, b = parts[place]

        def note(value: Tensor, seen: list[Tensor] = seen) -> Tensor:
            seen.append(value)
            return value

        step_loss(loss, reduction, images=3, processes=2, total=note)(logits[a:b], target[a:b], valid, weights)
    half = len(seen) // 2
    totals = [one + two for one, two in zip(seen[:half], seen[half:], strict=True)]
    found = torch.zeros((), dtype=logits.dtype)
    for a, b in parts:
        left = iter(totals)
        step = step_loss(loss, reduction, images=3, processes=2, total=lambda _, left=left: next(left))
        found = found + step(logits[a:b], target[a:b], valid, weights)
    return found.item(), torch.autograd.grad(found, logits)[0]


@pytest.mark.parametrize("reduction", ["mean", "image_mean"])
@pytest.mark.parametrize("name", NAMES)
def test_processes_with_different_shares_add_up_to_one(name: str, reduction: str) -> None:
    logits, target = torch.randn(3, 4, 5, 6, dtype=torch.float64, requires_grad=True), torch.randint(0, 4, (3, 5, 6))
    target[0, 1:] = 255
    weights = torch.tensor([0.5, 1.0, 2.0, 0.5], dtype=torch.float64)
    whole = step_loss(name, reduction)(logits, target, None, weights)
    value, gradient = shared(name, reduction, logits, target, weights)
    assert value == pytest.approx(whole.item(), rel=1e-9)
    torch.testing.assert_close(gradient, torch.autograd.grad(whole, logits)[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("of", [tversky])
def test_an_overlap_is_no_sum(of: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"an overlap of classes is no sum over pixels; take the reduction mean or image_mean"):
        of(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long), reduction="sum")


@pytest.mark.parametrize("loss", ["dice", "ohem", {"cross_entropy": 1, "tversky": {"weight": 1, "alpha": 0.3, "beta": 0.7}}])
def test_the_parts_of_a_step_add_up_to_the_step_where_they_are_alike(loss: object) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(1, 3, 5, 6), torch.randint(0, 3, (1, 5, 6))
    spec = LossSpec.model_validate(loss)
    whole = StepLoss(spec)(logits.repeat(4, 1, 1, 1), target.repeat(4, 1, 1))
    part = StepLoss(spec, parts=4)(logits, target, torch.tensor(4 * target.numel()))
    torch.testing.assert_close(4 * part, whole)
