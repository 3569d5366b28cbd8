"""Classifiers as people write them become dense scorers that compute the same, or are refused with layer and reason."""

import copy

import pytest
import torch
from torch import Tensor, nn
from tutorial_classifiers import CLASSIFIERS, Written

from fullconv.errors import GeometryError
from fullconv.nn.convolutionalize import convolutionalize
from fullconv.nn.proof import prove

DENSE = {name: written for name, written in CLASSIFIERS.items() if not written.refused}
PADDED = (
    "batch norm of vectors, softmax", "mean of mean", "mean of axes, layer norm", "functions and parameters", "scaled cosine",
    "average pooling by a number", "resnet18, new last layer", "frozen mobilenet, new head", "children of a resnet",
)  # fmt: skip
UNPADDED = [name for name in DENSE if name not in PADDED]


def built(written: Written) -> nn.Module:
    """Return the net in eval mode, its norms as different from each other as after training."""
    torch.manual_seed(0)
    net = written.build().eval()
    for part in net.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.running_mean, std=0.1)
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)):
            nn.init.normal_(part.weight, 1, 0.2)
            nn.init.normal_(part.bias, std=0.1)
    return net


@pytest.mark.parametrize("name", DENSE)
def test_it_is_proven_the_same_at_the_native_size_and_slid(name: str) -> None:
    net = built(DENSE[name])
    dense = convolutionalize(net, DENSE[name].size)
    proof = prove(dense, net)
    assert proof.holds, str(proof)
    assert proof.slid is not None
    assert ("as they are" in proof.compared) == (name in UNPADDED)
    assert dense.geometry.sizes(DENSE[name].size)[-1] == (1, 1)


@pytest.mark.parametrize("name", UNPADDED)
def test_it_is_the_classifier_on_every_window(name: str) -> None:
    net = built(DENSE[name]).double()
    height, width = DENSE[name].size
    dense = convolutionalize(net, (height, width))
    down, across = (int(place.stride) for axis in (0, 1) if (place := dense.geometry.place(-1, axis)) is not None)
    image = torch.randn(1, dense.channels, height + 2 * down, width + 3 * across, dtype=torch.float64)
    windows = [image[0, :, y * down :, x * across :][:, :height, :width] for y in range(3) for x in range(4)]
    with torch.no_grad():
        found, truth = dense(image)[0], net(torch.stack(windows))
    assert found.shape[1:] == (3, 4)
    assert (found.flatten(1).T.flatten() - truth.flatten()).abs().max() < 1e-10
    assert found.std() > 1e-4  # what is compared differs from place to place


@pytest.mark.parametrize("name", [name for name, written in CLASSIFIERS.items() if written.refused])
def test_it_is_refused_with_layer_and_reason(name: str) -> None:
    written = CLASSIFIERS[name]
    with pytest.raises(GeometryError, match=written.refused):
        convolutionalize(written.build(), written.size)


@pytest.mark.parametrize("name", DENSE)
def test_copies_states_and_modes(name: str) -> None:
    """A deep copy has weights of its own, a state goes into another dense net, and train and eval reach every layer."""
    written = DENSE[name]
    if written.size == (64, 64):
        return  # nothing of its own beside the last layer
    dense = convolutionalize(built(written), written.size)
    images = torch.randn(2, dense.channels, *written.size, generator=torch.Generator().manual_seed(1))
    twin = copy.deepcopy(dense)
    fresh = convolutionalize(written.build(), written.size).eval()
    before = {key: value.clone() for key, value in dense.state_dict().items()}
    fresh.load_state_dict(before)
    with torch.no_grad():
        truth = dense(images)
        for parameter in dense.parameters():
            parameter.zero_()
        torch.testing.assert_close(twin(images), truth, rtol=0, atol=0)
        torch.testing.assert_close(fresh(images), truth, rtol=0, atol=0)
        dense.load_state_dict(before)
        dense.train()
        drops = [part for part in dense.modules() if isinstance(part, (nn.Dropout, nn.Dropout2d))]
        if drops:
            assert not torch.equal(dense(images), dense(images))
        dense.load_state_dict(before)  # the statistics of batch norm have moved
        torch.testing.assert_close(dense.eval()(images), truth, rtol=0, atol=0)


def dropped(net: nn.Module, images: Tensor) -> bool:
    with torch.no_grad():
        return not torch.equal(net(images), net(images))


@pytest.mark.parametrize("training", [True, False])
def test_functional_dropout_follows_the_mode_whatever_it_was(training: bool) -> None:
    written = DENSE["mnist with functional dropout"]
    net = written.build().train(training)
    dense = convolutionalize(net, written.size)
    images = torch.randn(1, 1, *written.size)
    assert dense.training == training
    assert not dropped(dense.eval(), images)
    assert dropped(dense.train(), images)
    for part in dense.modules():  # nn.Dropout2d aside: the one by function drops too
        if isinstance(part, nn.Dropout2d):
            part.p = 0.0
    assert dropped(dense, images)


def test_layers_frozen_by_mode_stay_so() -> None:
    """Batch norm that its owner has put in eval mode inside a net that trains is not put back."""
    net = DENSE["children of a resnet"].build().train()
    norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    for part in norms:
        part.eval()
    dense = convolutionalize(net, (64, 64))
    assert dense.training
    assert not any(part.training for part in norms)
    assert not any(part.training for part in dense.modules() if isinstance(part, nn.BatchNorm2d))


def test_frozen_layers_stay_frozen_and_share_their_weights() -> None:
    net = DENSE["frozen mobilenet, new head"].build()
    dense = convolutionalize(net, (64, 64))
    trained = {name for name, parameter in dense.named_parameters() if parameter.requires_grad}
    assert trained == {f"graph.classifier.{i}.{kind}" for i in (1, 3) for kind in ("weight", "bias")}
    assert dense.graph.get_submodule("classifier.1").weight.data_ptr() == net.classifier[1].weight.data_ptr()


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        (
            "blitz",
            (28, 28),
            r"size 28×28 px does not fit: fc1 is written for 400 numbers and would get 256; it fits images of 32×32",
        ),
        ("view with numbers", (44, 44), r"view is written for 400 numbers and would get 1024; it fits images of 32×32 px"),
        ("view with numbers", (52, 52), r"view is written for 400 numbers and would get 1600; it fits images of 32×32 px"),
        ("blitz", (8, 8), r"size 8×8 px does not fit: conv2 stops \(.*\); it fits images of 32×32 px"),
        ("batch norm of the flattened map", (25, 25), r"norm is written for 128 numbers and would get 200; it fits .* 19×19 px"),
        ("layer norm of the flattened map", (20, 20), r"net\.4 is written for 54 numbers and would get 96; it fits .* 14×14 px"),
        ("mnist example", (32, 32), r"fc1 is written for 2304 numbers and would get 3136; it fits images of 28×28 px"),
        ("flatten first", (224, 224), r"1 is written for 784 numbers and would get 150528; it fits images of 28×28 px"),
    ],
)
def test_a_wrong_native_size_is_named_with_one_that_fits(name: str, size: tuple[int, int], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        convolutionalize(CLASSIFIERS[name].build(), size)


@pytest.mark.parametrize("stride", [(2, 1), (1, 2), (3, 2)])
def test_strides_are_proven_along_each_axis(stride: tuple[int, int]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3, stride, padding=1), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten(), nn.LazyLinear(4)
    ).eval()  # fmt: skip
    net(torch.zeros(1, 3, 14, 17))
    proof = prove(convolutionalize(net, (14, 17)), net)
    assert proof.holds, str(proof)
    assert f"every {stride[0]}×{stride[1]} px" in proof.compared


def test_a_norm_behind_the_whole_map_that_is_used_otherwise_fails_its_proof() -> None:
    """The proof sees one number that differs, in a norm of the head too."""
    net = built(DENSE["batch norm of the flattened map"])
    dense = convolutionalize(copy.deepcopy(net), (19, 19))
    with torch.no_grad():
        net.get_submodule("norm").running_mean[77] += 0.5
    assert not prove(dense, net).holds
