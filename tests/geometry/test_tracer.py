"""Traced nets follow .train() and .eval(), and the nets they were traced from stay as they were."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torchvision.ops import StochasticDepth

from fullconv.errors import GeometryError
from fullconv.geometry.trace import Tracer, trace


class Dropping(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5, training=self.training)


class Always(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5)


class Normalising(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("var", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.mean, self.var, training=self.training, momentum=0.0)


def read(net: nn.Module) -> fx.GraphModule:
    return fx.GraphModule(net, Tracer().trace(net))


@pytest.mark.parametrize("part", [Dropping(), Normalising(), StochasticDepth(0.9, "batch"), nn.Dropout(0.5)])
@pytest.mark.parametrize("training", [True, False])
def test_a_traced_net_follows_train_and_eval(part: nn.Module, training: bool) -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), part).train(training)
    images = torch.rand(4, 3, 8, 8)
    traced = read(net)
    for other in (traced, copy.deepcopy(traced), read(traced)):
        for mode in (True, False, True):
            torch.manual_seed(1)
            expected = net.train(mode)(images)
            torch.manual_seed(1)
            assert torch.equal(other.train(mode)(images), expected)


def test_dropout_that_is_always_on_stays_on() -> None:
    traced = read(Always().eval()).eval()
    assert (traced(torch.ones(1, 3, 9, 9)) == 0).any()


def test_tracing_leaves_the_net_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), Dropping(), nn.BatchNorm2d(3))
    before, images = str(net), torch.rand(1, 3, 8, 8)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    trace(net)
    read(net)
    assert str(net) == before
    assert all(type(part.training) is bool for part in net.modules())
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert net.eval()(images).shape == images.shape
    pickle.dumps(net)


def test_another_path_while_training_is_refused_and_eval_is_the_way_out() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.side = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.main(x) + self.side(x) if self.training else self.main(x)

    with pytest.raises(GeometryError, match=r"Auxiliary takes another path while training .* call .eval\(\) first"):
        trace(Auxiliary())
    assert [layer.name for layer in trace(Auxiliary().eval()).layers] == ["image", "main"]


def test_a_batch_norm_with_more_to_it_is_kept_whole_and_read_inside() -> None:
    class Activated(nn.BatchNorm2d):
        def __init__(self, channels: int, after: nn.Module) -> None:
            super().__init__(channels)
            self.after = after

        def forward(self, x: Tensor) -> Tensor:
            training = self.training or self.running_mean is None
            if self.training and self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
            found = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training)
            return self.after(found)

    net = nn.Sequential(nn.Conv2d(3, 4, 3), Activated(4, nn.ReLU()))
    assert trace(net).receptive_field(-1) == 3
    assert net[1].num_batches_tracked == 0  # type: ignore[index]
    traced = read(net)
    traced.train()(torch.rand(2, 3, 9, 9))
    assert net[1].num_batches_tracked == 1  # type: ignore[index]  # shared, and trained as ever
    with pytest.raises(GeometryError, match=r"1 \(Activated\): it is none of the convolutions"):
        trace(nn.Sequential(nn.Conv2d(3, 4, 3), Activated(4, nn.MaxPool2d(2))))
