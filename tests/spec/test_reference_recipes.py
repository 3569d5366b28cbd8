"""The recipes of the reference's published nets against a table of its solvers and of the scores that are printed for them."""

import re
from typing import NamedTuple

import pytest

from fullconv.nn.backbones import BACKBONES
from fullconv.spec.recipe import find_recipe, load_recipe

VOC, FLOW, CONTEXT = ("sbd-voc2011", "train", "seg11valid"), ("siftflow", "trainval", "test"), ("pascal-context", "train", "val")
PAPER, REFERENCE, JOURNAL = "in the paper", "in the reference", "in the journal version (unverified)"


class Net(NamedTuple):
    """What is known of one published net; stages are (stride, iterations, rate), each from the weights of the one before."""

    data: tuple[str, str, str]
    stages: tuple[tuple[int, int, float], ...]
    loss: str
    momentum: float
    batch: int
    source: str
    scores: tuple[float, ...]
    scales: dict[int, float] = {}  # noqa: RUF012  # never changed


def online(data: tuple[str, str, str], iterations: int, rates: tuple[float, ...], source: str, *scores: float) -> Net:
    """A net trained with single images, momentum .99 and the sum of the loss, staged from 32s on."""
    stages = tuple((stride, iterations, rate) for stride, rate in zip((32, 16, 8), rates, strict=False))
    return Net(data, stages, "sum", 0.99, 1, source, scores)


K = 1000
NETS = {
    "voc-fcn32s-caffe-vgg16": online(VOC, 100 * K, (1e-10,), REFERENCE, 63.6),
    "voc-fcn16s-caffe-vgg16": online(VOC, 100 * K, (1e-10, 1e-12), REFERENCE, 65.0),
    "voc-fcn8s-caffe-vgg16": online(VOC, 100 * K, (1e-10, 1e-12, 1e-14), REFERENCE, 65.5),
    "voc-fcn8s-at-once-caffe-vgg16": Net(VOC, ((8, 300 * K, 1e-10),), "sum", 0.99, 1, REFERENCE, (65.4,), {16: 0.01, 8: 0.0001}),
    "voc-fcn32s-caffe-alexnet": Net(VOC, ((32, 100 * K, 1e-4),), "mean", 0.9, 20, REFERENCE, (48.0,)),
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
    train, model, data = recipe.train, recipe.model, recipe.data
    assert (data.name, data.train, data.val) == net.data
    assert tuple((stage.stride, stage.steps, stage.rate) for stage in train.stages) == net.stages
    assert (train.loss, train.optimizer.momentum, train.batch_size) == (net.loss, net.momentum, net.batch)
    assert (train.optimizer.name, train.optimizer.weight_decay, train.optimizer.schedule) == ("sgd", 5e-4, "fixed")
    assert (train.optimizer.bias_rate_factor, train.optimizer.score_rate_factor, train.optimizer.warmup) == (2, 1, 0)
    assert train.replacement
    assert set(data.heads) == ({"semantic", "geometric"} if data.name == "siftflow" else {"semantic"})
    assert set(train.head_weights.values()) == {1}  # losses added as they are
    # nothing that the reference has not: no augmentation, no clipping, no average, no balancing, no sampling
    assert data.augment == type(data.augment)()
    assert (data.scale, train.gradient_clip, train.average, train.class_weights, train.loss_sampling) == (1, None, None, None, 1)
    assert (train.trainable, train.freeze_batch_norm) == ("all", False)
    assert (model.weights, model.deconvolution, model.skip_scales) == ("imagenet", "fixed", net.scales)
    assert (model.padding, model.hidden_layers, model.dropout) == (None, True, None)  # the backbone's own: 100 px and 0.5


@pytest.mark.parametrize("name", NETS)
def test_a_header_says_command_scores_and_their_source(name: str) -> None:
    net, text = NETS[name], find_recipe(name).read_text()
    header = " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    assert f"command: fullconv train {name} --data.root DIR " in re.sub(" +", " ", header)
    expected = header.partition("expected:")[2]
    assert net.source in expected
    assert [float(number) for number in re.findall(r"\d+\.\d", expected)] == list(net.scores)
    if net.loss == "sum":  # what the tiny rate is for a mean, so that nobody takes it for a typing mistake
        said = re.search(r"1e-10 is (\S+) for the mean over (\d+)x(\d+) pixels", text)
        assert said is not None
        assert float(said[1]) == pytest.approx(1e-10 * int(said[2]) * int(said[3]), rel=0.02)


@pytest.mark.parametrize("backbone", ["caffe-vgg16", "caffe-alexnet"])
def test_the_paper_nets_subtract_the_references_mean(backbone: str) -> None:
    """VOC's recipes and PASCAL-Context's take it; weights that a user brings may state another one."""
    preprocessing = BACKBONES[backbone].preprocessing
    assert preprocessing == {"channels": "BGR", "range": [0, 255], "mean": [104.00699, 116.66877, 122.67892], "std": [1, 1, 1]}
