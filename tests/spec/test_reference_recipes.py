"""The recipes of the reference's published nets against a table of its solvers and of the scores that are printed for them."""

import re
from typing import NamedTuple

import pytest

from fullconv.nn.backbones import BACKBONES
from fullconv.spec.recipe import find_recipe, load_recipe

VOC, FLOW, CONTEXT = ("sbd-voc2011", "train", "seg11valid"), ("siftflow", "trainval", "test"), ("pascal-context", "train", "val")
NYUD = ("nyudv2", "trainval", "test")
PAPER, REFERENCE, JOURNAL = "in the paper", "in the reference", "in the journal version (unverified)"
FLOW_MEAN, NYUD_MEAN = (114.578, 115.294, 108.353), (116.190, 97.203, 92.318)
"""Subtracted from blue, green and red, in this order."""
USUAL = {"trunk": (2, 0), "score": (2, 0)}
"""Of biases by part: learning rate as a multiple of the weights' (``lr_mult``), and weight decay."""


class Net(NamedTuple):
    """What is known of one published net."""

    data: tuple[str, str, str]
    stages: tuple[tuple[int, int, float], ...]
    """(stride, iterations, learning rate) of each, from the weights of the one before."""
    reduction: str
    momentum: float
    batch: int
    source: str
    scores: tuple[float, ...]
    scales: dict[int, float] = {}  # noqa: RUF012  # never changed
    mean: tuple[float, ...] | None = None
    """Its own (blue, green, red); of the others the weights' own."""
    streams: tuple[str, ...] = ("rgb",)
    biases: dict[str, tuple[float, float]] = USUAL


def online(data: tuple[str, str, str], iterations: int, learning_rates: tuple[float, ...], source: str, *scores: float) -> Net:
    """A net trained with single images, momentum .99 and the sum of the loss, staged from 32s on."""
    stages = tuple((stride, iterations, each) for stride, each in zip((32, 16, 8), learning_rates, strict=False))
    return Net(data, stages, "sum", 0.99, 1, source, scores, mean=FLOW_MEAN if data == FLOW else None)


def nyud(streams: tuple[str, ...], learning_rate: float, score: float, mean: tuple[float, ...] | None = NYUD_MEAN) -> Net:
    """A net of table 4."""
    return online(NYUD, 100 * K, (learning_rate,), PAPER, score)._replace(streams=streams, mean=mean)


K = 1000
NETS = {
    "voc-fcn32s-caffe-vgg16": online(VOC, 100 * K, (1e-10,), REFERENCE, 63.6),
    "voc-fcn16s-caffe-vgg16": online(VOC, 100 * K, (1e-10, 1e-12), REFERENCE, 65.0),
    "voc-fcn8s-caffe-vgg16": online(VOC, 100 * K, (1e-10, 1e-12, 1e-14), REFERENCE, 65.5),
    "voc-fcn8s-at-once-caffe-vgg16": Net(VOC, ((8, 300 * K, 1e-10),), "sum", 0.99, 1, REFERENCE, (65.4,), {16: 0.01, 8: 0.0001}),
    "voc-fcn32s-caffe-alexnet": Net(
        VOC, ((32, 100 * K, 1e-4),), "image_mean", 0.9, 20, REFERENCE, (48.0,), biases={"trunk": (1, 5e-4), "score": (2, 0)}
    ),
    "nyudv2-fcn32s-color-caffe-vgg16": nyud(("rgb",), 1e-10, 29.2),
    "nyudv2-fcn32s-color-depth-caffe-vgg16": nyud(("rgb+depth",), 1e-10, 30.5),
    "nyudv2-fcn32s-hha-caffe-vgg16": nyud(("hha",), 1e-10, 24.2, mean=None),
    "nyudv2-fcn32s-color-hha-caffe-vgg16": nyud(("rgb", "hha"), 1e-12, 32.8),
    "siftflow-fcn32s-caffe-vgg16": online(FLOW, 100 * K, (1e-10,), "no score of this net is published"),
    "siftflow-fcn16s-caffe-vgg16": online(FLOW, 100 * K, (1e-10, 1e-12), PAPER, 85.2, 51.7, 39.5, 76.1, 94.3),
    "siftflow-fcn8s-caffe-vgg16": online(FLOW, 100 * K, (1e-10, 1e-12, 1e-12), JOURNAL, 85.9, 53.9, 41.2, 77.2, 94.6),
    "pascal-context-fcn32s-caffe-vgg16": online(CONTEXT, 400 * K, (1e-10,), JOURNAL, 65.5, 49.1, 36.7, 50.9),
    "pascal-context-fcn16s-caffe-vgg16": online(CONTEXT, 400 * K, (1e-10, 1e-12), JOURNAL, 66.9, 51.3, 38.4, 52.3),
    "pascal-context-fcn8s-caffe-vgg16": online(CONTEXT, 400 * K, (1e-10, 1e-12, 1e-14), JOURNAL, 67.5, 52.3, 39.1, 53.0),
}


@pytest.mark.parametrize("name", NETS)
def test_a_recipe_trains_as_the_reference_does(name: str) -> None:
    net, recipe = NETS[name], load_recipe(name)
    train, model, data, optimizer = recipe.train, recipe.model, recipe.data, recipe.train.optimizer
    assert (data.name, data.train, data.val) == net.data
    assert model.streams == net.streams
    assert tuple((stage.stride, stage.steps, stage.learning_rate) for stage in train.stages) == net.stages
    assert (train.reduction, optimizer.momentum, train.batch_size) == (net.reduction, net.momentum, net.batch)
    assert (optimizer.name, optimizer.weight_decay, optimizer.schedule, optimizer.warmup) == ("sgd", 5e-4, "fixed", 0)
    biases = {
        part: (getattr(optimizer.bias_learning_rate_factor, part), getattr(optimizer.bias_weight_decay, part)) for part in USUAL
    }
    assert (biases, optimizer.score_learning_rate_factor) == (net.biases, 1)
    assert data.mean == ({"rgb": net.mean[::-1]} if net.mean else {})
    assert train.replacement
    assert (train.keep, train.patience, train.epochs, train.minutes, train.accumulate) == ("last", None, None, None, 1)
    assert set(data.heads) == ({"semantic", "geometric"} if data.name == "siftflow" else {"semantic"})
    assert set(train.head_weights.values()) == {1}  # losses added as they are
    # nothing that the reference has not: no augmentation, no clipping, no average, no balancing, no sampling
    assert data.augment == type(data.augment)()
    assert (data.scale, train.gradient_clip, train.average, train.class_weights, train.loss_sampling) == (1, None, None, None, 1)
    assert (train.trainable, train.freeze_batch_norm, train.precision) == ("all", False, "32-true")
    assert (model.deconvolution, model.skip_scales) == ("fixed", net.scales)
    fused = {"rgb": "rgb.safetensors", "hha": "hha.safetensors"}  # late fusion starts from two trained nets
    assert model.weights == (fused if len(net.streams) > 1 else "imagenet")
    assert (model.padding, model.hidden_layers, model.dropout) == (None, True, None)  # the backbone's own: 100 px and 0.5


@pytest.mark.parametrize("name", NETS)
def test_a_header_says_command_scores_and_their_source(name: str) -> None:
    net, text = NETS[name], find_recipe(name).read_text()
    header = " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    root = "NYUDv2" if net.data == NYUD else "DIR"
    assert f"command: fullconv train {name} --data.root {root} " in re.sub(" +", " ", header)
    expected = header.partition("expected:")[2]
    assert net.source in expected
    assert [float(number) for number in re.findall(r"\d+\.\d", expected)] == list(net.scores)
    if net.reduction == "sum":  # what the tiny learning rate is for a mean, so that nobody takes it for a typing mistake
        said = re.search(r"(1e-1\d) is (\S+) for the mean over (\d+)x(\d+) pixels", text)
        assert said is not None
        assert float(said[1]) == net.stages[0][2]
        assert float(said[2]) == pytest.approx(net.stages[0][2] * int(said[3]) * int(said[4]), rel=0.02)


@pytest.mark.parametrize("backbone", ["caffe-vgg16", "caffe-alexnet"])
def test_the_paper_nets_subtract_the_references_mean(backbone: str) -> None:
    """VOC's recipes and PASCAL-Context's take it; weights that a user brings may state another one."""
    preprocessing = BACKBONES[backbone].preprocessing
    assert preprocessing == {"channels": "BGR", "range": [0, 255], "mean": [104.00699, 116.66877, 122.67892], "std": [1, 1, 1]}
