"""Packed convolutions against the layers that they stand for."""

import pytest
import torch
from torch import Tensor, fx, nn

from fullconv.geometry.trace import Tracer
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.folded import FoldedConv2d, folded
from fullconv.inference.engines.packed import PackedConv2d, can_pack
from fullconv.nn.backbones.fixed_padding import SameConv2d
from fullconv.nn.build import build_model

pytestmark = pytest.mark.skipif(not can_pack(torch.device("cpu")), reason="convolutions are packed on x86 processors alone")


class Layers(nn.Module):
    """Every kind of convolution and of what may follow it."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, 8, 3, padding=1)
        self.one = nn.Conv2d(8, 8, 3, padding=2, dilation=2, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.six = nn.ReLU6(inplace=True)
        self.deep = nn.Conv2d(8, 16, (5, 3), stride=(2, 1), padding=(1, 0), groups=8)
        self.swish = nn.SiLU()
        self.same = SameConv2d(16, 16, 3, stride=2, bias=False)
        self.other = nn.BatchNorm2d(16, affine=False)
        self.hard = nn.Hardswish()
        self.even = SameConv2d(16, 8, 3)
        self.twice = nn.Conv2d(8, 8, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (N, 16, h, w)."""
        maps = self.six(self.norm(self.one(self.plain(images))))  # nothing follows the first
        maps = self.hard(self.other(self.same(self.swish(self.deep(maps)))))
        maps = self.even(maps)  # read twice, so its activation stays outside
        maps = torch.cat([torch.relu(maps), maps], 1)
        return torch.relu(self.twice(maps[:, :8])) + self.twice(maps[:, 8:])  # one layer, called twice


def graph_of(model: nn.Module) -> fx.GraphModule:
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 2)
                nn.init.normal_(part.bias)
    return fx.GraphModule(model.eval(), Tracer().trace(model))


@pytest.mark.parametrize("kind", [PackedConv2d, FoldedConv2d])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_packed_layers_give_what_the_layers_give(kind: type[FoldedConv2d], dtype: torch.dtype, tolerance: float) -> None:
    graph = graph_of(Layers())
    before = str(graph.graph)
    made = folded(graph, dtype, kind)
    kinds = [type(part) for part in made.modules()]
    assert kinds.count(kind) == 5
    assert kinds.count(nn.Conv2d) == 1  # the one that is called twice
    assert not {nn.BatchNorm2d, nn.ReLU6, nn.SiLU, nn.Hardswish}.intersection(kinds)
    with torch.inference_mode():
        for size in ((2, 3, 33, 40), (1, 3, 16, 9)):  # weights are packed at the first
            images = torch.randn(size)
            truth = graph(images)
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
                found = made(images).float()
            assert found.shape == truth.shape
            assert float((found - truth).abs().max()) <= tolerance * float(truth.abs().max())
    assert str(graph.graph) == before


def test_weights_that_change_are_packed_again() -> None:
    model = build_model("fcn8s-minivgg", 3).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.1)
    engine = EagerEngine(model)
    images = {"rgb": torch.randint(0, 256, (1, 3, 40, 50), dtype=torch.uint8)}
    found = []
    for change in (1.0, 0.5):
        with torch.no_grad():
            for parameter in model.trunk_parameters():
                parameter.mul_(change)
            truth = model(images)["semantic"]
        found.append(engine(images)["semantic"])
        torch.testing.assert_close(found[-1], truth, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(*found)
    model.load_state_dict({name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()})
    assert not engine(images)["semantic"].any()
