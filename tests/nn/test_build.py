"""Models built without memory are the models that are built with it."""

import pytest
import torch

from fullconv.nn.build import build_model, build_on_meta
from fullconv.spec import ModelSpec


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(name="fcn16s-minivgg", streams=("rgb", "hha")),
        ModelSpec(name="fcn32s-minivgg", streams=("rgb+depth",)),
        ModelSpec(name="fcn8s-regnet_x_400mf"),
    ],
    ids=lambda spec: f"{spec.name}-{spec.streams[-1]}",
)
def test_on_meta_it_is_the_same_model(spec: ModelSpec) -> None:
    heads = {"semantic": 3}
    shadow, model = build_on_meta(spec, heads), build_model(spec, heads)
    assert all(parameter.device.type == "meta" for parameter in shadow.parameters())
    assert [(n, p.shape) for n, p in shadow.state_dict().items()] == [(n, p.shape) for n, p in model.state_dict().items()]
    assert shadow.geometry.sizes((37, 50)) == model.geometry.sizes((37, 50))


def test_the_largest_regnet_needs_no_memory() -> None:
    """Its 644 million weights would take 2.6 GB; its widths are computed with tensors that must hold numbers."""
    model = build_on_meta(ModelSpec(name="fcn32s-regnet_y_128gf"), {"semantic": 1})
    assert {tensor.device for tensor in model.state_dict().values()} == {torch.device("meta")}
