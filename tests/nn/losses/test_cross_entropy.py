import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.nn.losses.cross_entropy import balanced_weights, cross_entropy, equivalent_learning_rate


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


@pytest.mark.parametrize("reduction", ["mean", "sum", "image_mean"])
def test_all_ignored_is_zero_with_a_gradient_of_zero(reduction: str) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 4, 4), 255), reduction)
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
    assert balanced_weights(torch.tensor([0, 0])).tolist() == [0, 0]  # a set without ground truth


def test_weights_weigh_gradients_in_half_precision_too() -> None:
    logits = torch.zeros(1, 2, 1, 2, dtype=torch.bfloat16, requires_grad=True)
    cross_entropy(logits, torch.tensor([[[0, 1]]]), "sum", weights=torch.tensor([0.5, 3.0])).backward()
    assert logits.grad[0, :, 0].tolist() == [[-0.25, 1.5], [0.25, -1.5]]


def test_the_references_learning_rate_as_a_mean() -> None:
    assert equivalent_learning_rate(1e-10, "sum", 500 * 375) == pytest.approx(1.9e-5, rel=0.02)  # PAPER: 1e-10 is 1.9e-5
    assert equivalent_learning_rate(equivalent_learning_rate(0.3, "mean", 77), "sum", 77) == pytest.approx(0.3)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0, 1), st.sampled_from([0.25, 1.0]))
def test_the_mean_over_images_against_a_loop_over_images(seed: int, images: int, ignored: float, share: float) -> None:
    """As the reference accumulates: each image's own mean, the mean of those; an image without ground truth adds 0 and counts."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 5, (images, 3, 3, 4)).astype(np.float32)
    target = np.where(rng.random((images, 3, 4)) < ignored, 255, rng.integers(0, 3, (images, 3, 4)))
    target[0] = 255
    means = []
    for n in range(images):
        losses = by_hand(logits[n : n + 1].astype(np.float64), target[n : n + 1])
        means.append(sum(losses) / len(losses) if losses else 0.0)
    tensors = torch.from_numpy(logits), torch.from_numpy(target)
    found = cross_entropy(*tensors, "image_mean", share=share).item()
    assert found == pytest.approx(sum(means) / images / share, abs=1e-4)


def test_the_gradient_of_the_mean_over_images_is_that_of_single_steps_averaged() -> None:
    logits, target = torch.randn(3, 4, 5, 6, dtype=torch.float64, requires_grad=True), torch.randint(0, 4, (3, 5, 6))
    target[0, 1:] = 255  # the images have very different numbers of valid pixels
    target[2, :, :4] = 255
    cross_entropy(logits, target, "image_mean").backward()
    together, logits.grad = logits.grad.clone(), None
    for n in range(3):
        cross_entropy(logits[n : n + 1], target[n : n + 1]).backward()
    torch.testing.assert_close(together, logits.grad / 3, rtol=1e-12, atol=0)
    whole = torch.autograd.grad(cross_entropy(logits, target), logits)[0]
    assert (together - whole).abs().max() > 0.01  # one mean over all pixels is another


def test_processes_share_the_mean_over_images() -> None:
    logits, target = torch.randn(3, 3, 4, 4, dtype=torch.float64), torch.randint(0, 3, (3, 4, 4))
    target[0, :3] = 255
    parts = [cross_entropy(logits[a:b], target[a:b], "image_mean", images=3) for a, b in ((0, 1), (1, 3))]
    assert sum(parts).item() == pytest.approx(cross_entropy(logits, target, "image_mean").item(), rel=1e-12)
