"""Every kind of net: its logits, its labels and its gradients on a card against those of the CPU."""

import copy
from typing import NamedTuple

import pytest
import torch
from built_nets import NETS, built, images_for
from torch import nn

from fullconv.inference.engines.choose import ENGINES
from fullconv.nn.fcn import FCN
from fullconv.spec import OptimizerSpec
from fullconv.training.optimizer import build_optimizer

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

TOLERANCE = {"fp32": 1e-4, "bf16": 0.04, "fp16": 0.01}
"""The root of the mean square of differences, as a share of the logits' own."""
SIZE = (97, 123)
COMPILED = [("minivgg", "fp32"), ("resnet18", "bf16"), ("two heads", "fp16")]
"""Compiling takes some ten seconds a net."""


def plain(model: FCN, images: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return model.eval()(images)


def held(found: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], precision: str) -> None:
    """Hold logits of a card to those of the CPU in float32, and labels where they are no ties within that."""
    for head, expected in truth.items():
        logits = found[head]
        assert logits.is_cuda
        assert logits.dtype == torch.float32
        logits = logits.cpu()
        size, tolerance = float(expected.std()), TOLERANCE[precision]
        assert float((logits - expected).square().mean().sqrt()) <= tolerance * size, (head, precision)
        first, second = expected.topk(2, 1).values.unbind(1)
        sure = first - second > 4 * tolerance * size
        assert sure.float().mean() > 0.2
        equal = (logits.argmax(1) == expected.argmax(1))[sure].float().mean()
        assert float(equal) >= 0.999, (head, precision, float(equal))


@pytest.mark.parametrize("name", NETS)
def test_the_engine_eager_gives_the_labels_of_the_cpu(name: str, card: torch.device) -> None:
    model = built(name)
    batches = [images_for(model, count, SIZE) for count in (1, 3)]
    truths = [plain(model, batch) for batch in batches]
    model = model.to(card)
    for precision in TOLERANCE:
        engine = ENGINES["eager"](model, precision)
        with torch.inference_mode():
            for _ in range(7):  # the first of a size is whole, later ones in windows, then recorded
                for batch, truth in zip(batches, truths, strict=True):
                    held(engine(batch), truth, precision)


@pytest.mark.parametrize(("name", "precision"), COMPILED)
def test_the_engine_compiled_gives_the_labels_of_the_cpu(name: str, precision: str, card: torch.device) -> None:
    model = built(name)
    batches = [images_for(model, 2, size) for size in (SIZE, (64, 150))]
    truths = [plain(model, batch) for batch in batches]
    engine = ENGINES["compiled"](model.to(card), precision)
    with torch.inference_mode():
        for _ in range(6):
            for batch, truth in zip(batches, truths, strict=True):
                held(engine(batch), truth, precision)
    torch._dynamo.reset()


class Step(NamedTuple):
    """What a step of training gave: its loss, the gradient of every parameter that has one, and how far each parameter moved."""

    loss: float
    gradients: dict[str, torch.Tensor]
    moves: dict[str, torch.Tensor]


def trained(model: FCN, images: dict[str, torch.Tensor], device: torch.device, dtype: torch.dtype) -> Step:
    """Return what a step gives, on the CPU."""
    model = copy.deepcopy(model).train().to(device, dtype).to(memory_format=torch.channels_last)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = build_optimizer(model, OptimizerSpec(learning_rate=1e-3), 1e-3)
    logits = model({name: each.to(device) for name, each in images.items()})
    loss = torch.zeros((), device=device, dtype=dtype)
    for head, found in logits.items():
        target = (torch.arange(found.shape[-1], device=device) // 16 % model.heads[head]).expand(len(found), *found.shape[2:])
        loss = loss + nn.functional.cross_entropy(found, target)
    loss.backward()
    optimizer.step()
    gradients = {name: each.grad.cpu() for name, each in model.named_parameters() if each.grad is not None}
    return Step(loss.item(), gradients, {name: (each.detach() - before[name]).cpu() for name, each in model.named_parameters()})


@pytest.mark.parametrize("name", NETS)
def test_a_step_of_training_is_that_of_the_cpu(name: str, card: torch.device) -> None:
    """In float64: a gradient jumps where rounding moves a value over a kink of ReLU or to another place of a maximum.

    In float32 two memory layouts of one CPU are up to a tenth apart for that reason (narrow VGG16), as a card and a CPU are.
    """
    model = built(name)
    images = images_for(model, 2, (64, 96))
    there, here = (trained(model, images, device, torch.float64) for device in (card, torch.device("cpu")))
    assert there.loss == pytest.approx(here.loss, rel=1e-9)
    assert there.gradients.keys() == here.gradients.keys()
    sizes = {part: parameter.detach().norm() for part, parameter in model.named_parameters()}
    for part, truth in here.gradients.items():
        # the shares of all channels add up to nothing in front of a normalisation: what is left there is rounding
        size = max(float(truth.norm()), 1e-3 * float(sizes[part]), 1e-6)
        assert float((there.gradients[part] - truth).norm()) <= 1e-6 * size, part
    for part, truth in here.moves.items():
        assert float((there.moves[part] - truth).norm()) <= 1e-6 * max(float(truth.norm()), 1e-6), part


@pytest.mark.parametrize("name", NETS)
def test_the_loss_in_float32_is_that_of_the_cpu_in_float64(name: str, card: torch.device) -> None:
    model = built(name)
    images = images_for(model, 2, (64, 96))
    there, truth = trained(model, images, card, torch.float32), trained(model, images, torch.device("cpu"), torch.float64)
    assert there.loss == pytest.approx(truth.loss, rel=1e-3)
