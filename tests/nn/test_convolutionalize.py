"""A classifier made convolutional gives what the classifier gives, window by window."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fullconv.errors import GeometryError
from fullconv.nn.convolutionalize import convolutionalize
from fullconv.nn.proof import prove


def slid(classifier: nn.Module, image: torch.Tensor, window: int, stride: int) -> torch.Tensor:
    """Return logits (K, h, w) of the classifier applied to every window, one at a time."""
    height, width = image.shape[-2:]
    rows = [
        torch.stack(
            [classifier(image[:, :, y : y + window, x : x + window])[0] for x in range(0, width - window + 1, stride)],
            1,
        )
        for y in range(0, height - window + 1, stride)
    ]
    return torch.stack(rows, 1)


NETS = {
    "dense layers": lambda: nn.Sequential(
        nn.Conv2d(3, 5, 3, 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(5 * 3 * 3, 7),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(7, 4),
    ),
    "global pooling": lambda: nn.Sequential(
        nn.Conv2d(3, 5, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)
    ),
    "pooling to 2x2": lambda: nn.Sequential(
        nn.Conv2d(3, 5, 2, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 4)
    ),
}
NATIVE = {"dense layers": 15, "global pooling": 15, "pooling to 2x2": 16}
STRIDE = {"dense layers": 4, "global pooling": 2, "pooling to 2x2": 2}


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=15)
@given(st.integers(0, 20), st.integers(0, 20))
def test_without_padding_it_is_the_slid_classifier(name: str, more_rows: int, more_columns: int) -> None:
    torch.manual_seed(0)
    net = NETS[name]().double().eval()
    native = NATIVE[name]
    dense = convolutionalize(net, (native, native))
    image = torch.randn(1, 3, native + more_rows, native + more_columns, dtype=torch.float64)
    with torch.no_grad():
        found = dense(image)[0]
        truth = slid(net, image, native, STRIDE[name])
    height, width = truth.shape[1:]
    assert found.shape[1] - height in (
        0,
        1,
    )  # one window more may start where only its padding-free part of the stride fits
    torch.testing.assert_close(found[:, :height, :width], truth, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NETS)
def test_the_proof_compares_windows_as_they_are(name: str) -> None:
    net = NETS[name]().eval()
    proof = prove(convolutionalize(net, (NATIVE[name], NATIVE[name])), net)
    assert proof.holds
    assert proof.slid is not None
    assert "as they are" in proof.compared


@pytest.mark.parametrize("broken", ["weight", "layer"])
def test_the_proof_fails_when_the_nets_differ(broken: str) -> None:
    net = NETS["dense layers"]().eval()
    dense = convolutionalize(net, (15, 15))
    other = NETS["dense layers"]().eval()
    if broken == "weight":
        other.load_state_dict(net.state_dict())
        with torch.no_grad():
            other[-1].weight[0, 0] += 1e-2
    proof = prove(dense, other)
    assert not proof.holds
    assert str(proof).startswith("NOT EQUAL")


def test_weights_are_shared_and_dropout_kept() -> None:
    net = NETS["dense layers"]()
    dense = convolutionalize(net, (15, 15))
    conv = dense.graph.get_submodule("4")
    assert conv.weight.data_ptr() == net[4].weight.data_ptr()
    assert any(isinstance(part, nn.Dropout) for part in dense.modules())
    assert list(dense.rewrites) == ["3", "4", "7"]


def test_a_net_without_a_classifier_is_refused() -> None:
    with pytest.raises(GeometryError, match="does not end like a classifier"):
        convolutionalize(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))


def test_unequal_windows_are_refused() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(GeometryError, match=r"pools \(13, 13\) entries to \(4, 4\) in windows of unequal size"):
        convolutionalize(net, (15, 15))


def test_control_flow_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(GeometryError, match=r"Branching cannot be traced by torch\.fx"):
        convolutionalize(Branching())
