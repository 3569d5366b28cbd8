import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.nn.losses import balanced_weights, cross_entropy, equivalent_rate


def by_hand(logits: np.ndarray, target: np.ndarray) -> list[float]:
    """The loss of every valid pixel: -log of the softmax at the target."""
    losses = []
    for n in range(target.shape[0]):
        for y in range(target.shape[1]):
            for x in range(target.shape[2]):
                if target[n, y, x] != 255:
                    scores = logits[n, :, y, x]
                    losses.append(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[target[n, y, x]])
    return losses


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0, 1))
def test_against_a_loop_over_pixels(seed: int, classes: int, ignored: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 5, (2, classes, 3, 4)).astype(np.float32)
    target = np.where(rng.random((2, 3, 4)) < ignored, 255, rng.integers(0, classes, (2, 3, 4)))
    losses = by_hand(logits.astype(np.float64), target)
    tensors = torch.from_numpy(logits), torch.from_numpy(target)
    assert cross_entropy(*tensors, "sum").item() == pytest.approx(sum(losses), abs=1e-4)
    assert cross_entropy(*tensors).item() == pytest.approx(np.mean(losses) if losses else 0, abs=1e-5)


@pytest.mark.parametrize("normalisation", ["mean", "sum"])
def test_all_ignored_is_zero_with_a_gradient_of_zero(normalisation: str) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 4, 4), 255), normalisation)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_ignored_pixels_get_no_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    cross_entropy(logits, torch.tensor([[[0, 255], [2, 255]]])).backward()
    assert logits.grad[..., 1].abs().max() == 0
    assert logits.grad[..., 0].abs().min() > 0


def test_processes_with_different_shares_of_valid_pixels_add_up_to_one() -> None:
    logits, target = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randint(0, 3, (2, 4, 4))
    target[0, :3] = 255
    valid = (target != 255).sum()
    parts = [cross_entropy(logits[i : i + 1], target[i : i + 1], valid_pixels=valid) for i in range(2)]
    assert sum(parts).item() == pytest.approx(cross_entropy(logits, target).item(), rel=1e-6)


def test_half_precision_sums_in_full() -> None:
    logits = torch.zeros(1, 2, 512, 512, dtype=torch.bfloat16)
    loss = cross_entropy(logits, torch.zeros(1, 512, 512, dtype=torch.long), "sum")
    assert loss.item() == pytest.approx(512 * 512 * np.log(2), rel=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0, 1))
def test_weights_against_a_loop_over_pixels(seed: int, classes: int, ignored: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 5, (2, classes, 3, 4)).astype(np.float32)
    target = np.where(rng.random((2, 3, 4)) < ignored, 255, rng.integers(0, classes, (2, 3, 4)))
    weights = rng.uniform(0, 4, classes).astype(np.float32)
    losses = by_hand(logits.astype(np.float64), target)  # in the order of the valid targets
    weighted = [weights[label] * loss for label, loss in zip(target[target != 255], losses, strict=True)]
    tensors, given_weights = (torch.from_numpy(logits), torch.from_numpy(target)), torch.from_numpy(weights)
    assert cross_entropy(*tensors, "sum", weights=given_weights).item() == pytest.approx(sum(weighted), abs=1e-3)
    # divided by the number of valid pixels, not by their weights
    assert cross_entropy(*tensors, weights=given_weights).item() == pytest.approx(np.mean(weighted) if weighted else 0, abs=1e-4)
    assert torch.equal(cross_entropy(*tensors, weights=torch.ones(classes)), cross_entropy(*tensors))


def test_balanced_weights_are_inverse_shares_of_mean_one() -> None:
    pixels = torch.tensor([500, 300, 0, 200])
    weights = balanced_weights(pixels)
    assert weights.tolist() == pytest.approx([1 / (3 * 0.5), 1 / (3 * 0.3), 0, 1 / (3 * 0.2)])
    assert (weights * pixels).sum().item() / 1000 == pytest.approx(1)
    assert balanced_weights(torch.tensor([7, 7])).tolist() == [1, 1]
    assert balanced_weights(torch.tensor([0, 0])).tolist() == [0, 0]  # a set without truth


def test_weights_weigh_gradients_in_half_precision_too() -> None:
    logits = torch.zeros(1, 2, 1, 2, dtype=torch.bfloat16, requires_grad=True)
    cross_entropy(logits, torch.tensor([[[0, 1]]]), "sum", weights=torch.tensor([0.5, 3.0])).backward()
    assert logits.grad[0, :, 0].tolist() == [[-0.25, 1.5], [0.25, -1.5]]


def test_the_references_rate_as_a_mean() -> None:
    assert equivalent_rate(1e-10, "sum", 500 * 375) == pytest.approx(1.9e-5, rel=0.02)  # PAPER: 1e-10 is 1.9e-5
    assert equivalent_rate(equivalent_rate(0.3, "mean", 77), "sum", 77) == pytest.approx(0.3)
