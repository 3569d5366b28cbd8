"""A predictor on a card: labels of images, in batches, in threads, with weights that change and memory that ends."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from built_nets import built

from fullconv.inference.engines.choose import choose_engine
from fullconv.inference.predictor import Predictor
from fullconv.inference.tta import TTA
from fullconv.labels import VOC

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

CLASSES = {"semantic": VOC}
Images = list[np.ndarray]


@pytest.fixture(scope="module")
def images() -> Images:
    random = np.random.default_rng(0)
    sizes = [(60, 80)] * 11 + [(41, 90)] * 3
    return [np.kron(random.integers(0, 256, (10, 10, 3)), np.ones((9, 9, 1)))[:h, :w].astype(np.uint8) for h, w in sizes]


def alike(found: np.ndarray, truth: np.ndarray) -> bool:
    return found.shape == truth.shape and found.dtype == truth.dtype == np.uint8 and float((found == truth).mean()) >= 0.999


def test_labels_and_probabilities_are_those_of_the_cpu(card: torch.device, images: Images) -> None:
    model = built("minivgg")
    here = Predictor(copy.deepcopy(model), CLASSES)
    there = Predictor(model.to(card), CLASSES)
    assert there.together > 1
    for ours, truth in zip(there.predict(images), here.predict(images), strict=True):
        assert alike(ours.labels, truth.labels)
    ours, truth = (each.predict(images[0], probabilities=True) for each in (there, here))
    np.testing.assert_allclose(ours.probabilities, truth.probabilities, atol=1e-4)
    views = TTA(flip=True, scales=(1.5,))
    ours, truth = (each.augmented(views).predict(images[0]) for each in (there, here))
    assert alike(ours.labels, truth.labels)


def test_weights_that_change_are_seen_by_what_was_recorded(card: torch.device, images: Images) -> None:
    model = built("resnet18")
    there = Predictor(model.to(card), CLASSES)
    for _ in range(8):
        there.predict(images[0])
    for part in ("score", "trunk"):
        with torch.no_grad():
            changed = model.score_parameters() if part == "score" else model.trunk_parameters()
            for parameter in changed:
                parameter.mul_(-0.5)
        truth = Predictor(copy.deepcopy(model).cpu(), CLASSES).predict(images[0])
        assert alike(there.predict(images[0]).labels, truth.labels), part


@pytest.mark.parametrize("tf32", [True, False])
def test_auto_takes_float32_where_convolutions_are_rounded_to_tf32(tf32: bool, card: torch.device) -> None:
    torch.backends.cudnn.allow_tf32 = tf32
    rounded = tf32 and torch.cuda.get_device_capability(card) >= (8, 0)
    expected = "eager in fp32 (TF32 in convolutions) on cuda:0" if rounded else "eager in fp16 on cuda:0"
    assert expected in choose_engine(built("minivgg").to(card)).about


@pytest.mark.parametrize("name", ["minivgg", "caffe-vgg16, narrow"])
def test_threads_do_not_disturb_each_other(name: str, card: torch.device, images: Images) -> None:
    there = Predictor(built(name).to(card), CLASSES)
    alone = [there.predict(image).labels for image in images]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda image: there.predict(image).labels, images * 6))
    assert all(alike(ours, truth) for ours, truth in zip(found, alone * 6, strict=True))


def test_half_as_many_images_go_together_when_memory_ends(
    card: torch.device, caplog: pytest.LogCaptureFixture, images: Images
) -> None:
    there = Predictor(built("minivgg").to(card), CLASSES)
    image = np.tile(images[0], (10, 10, 1))
    truth = there.predict(image).labels  # prepares what stays
    peaks = []
    for count in (1, 2):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        there.predict([image] * count)
        peaks.append(torch.cuda.max_memory_allocated())
    torch.cuda.empty_cache()
    allowed = peaks[0] + 5 * (peaks[1] - peaks[0])  # what six images take: too little for eight, enough for four
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
    try:
        found = there.predict([image] * 8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert all(alike(each.labels, truth) for each in found)
    assert "the card's memory does not hold 8 images at once; going on with 4" in caplog.text
