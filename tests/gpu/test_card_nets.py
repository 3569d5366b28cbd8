"""Every kind of net: its logits, its labels and its gradients on a card against those of the CPU."""

import copy

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


def trained(model: FCN, images: dict[str, torch.Tensor], device: torch.device) -> tuple[float, FCN]:
    """Return the loss and the net after a step."""
    model = copy.deepcopy(model).train().to(device, memory_format=torch.channels_last)
    optimizer = build_optimizer(model, OptimizerSpec(learning_rate=1e-3), 1e-3)
    logits = model({name: each.to(device) for name, each in images.items()})
    loss = torch.zeros((), device=device)
    for head, found in logits.items():
        target = (torch.arange(found.shape[-1], device=device) // 16 % model.heads[head]).expand(len(found), *found.shape[2:])
        loss = loss + nn.functional.cross_entropy(found, target)
    loss.backward()
    optimizer.step()
    return loss.item(), model.cpu()


@pytest.mark.parametrize("name", NETS)
def test_a_step_of_training_is_that_of_the_cpu(name: str, card: torch.device) -> None:
    model = built(name)
    images = images_for(model, 2, (64, 96))
    (there, moved), (here, expected) = (trained(model, images, device) for device in (card, torch.device("cpu")))
    assert there == pytest.approx(here, rel=1e-3)
    for (part, found), truth in zip(moved.named_parameters(), expected.parameters(), strict=True):
        assert (found.grad is None) == (truth.grad is None)
        if found.grad is None or truth.grad is None:
            continue
        # the shares of all channels add up to nothing in front of a normalisation: what is left there is rounding
        size = max(float(truth.grad.norm()), 1e-3 * float(truth.norm()))
        assert float((found.grad - truth.grad).norm()) <= 1e-3 * size, part
    before = dict(model.named_parameters())
    changes = [
        (found.detach() - truth.detach(), truth.detach() - before[name].detach())
        for (name, found), truth in zip(moved.named_parameters(), expected.parameters(), strict=True)
    ]
    off, whole = (torch.cat([pair[place].flatten() for pair in changes]).norm() for place in (0, 1))
    assert float(off) <= 1e-3 * float(whole)
