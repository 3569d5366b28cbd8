"""The engine eager on nets padded by 100 px, which it runs in their windows of influence from the second image of a size on."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.precision import torch_precisions
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec

TOLERANCE = {"fp32": (1e-4, 1e-4), "bf16": (0.2, 0.04)}
"""Of any logit, and of the root of the mean square, as shares of the largest; docs/engines.md states them."""


@pytest.fixture(scope="module")
def model() -> FCN:
    torch.manual_seed(0)
    made = build_model(ModelSpec(name="fcn8s-narrow-vgg16", padding="paper"), 4).eval()
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    for parameter in made.score_parameters():
        nn.init.normal_(parameter, std=0.1)
    return made


@pytest.mark.parametrize("precision", torch_precisions(torch.device("cpu")))
def test_every_image_of_a_size_gets_the_logits_of_the_net(precision: str, model: FCN) -> None:
    engine = EagerEngine(model, precision)

    @settings(max_examples=4, deadline=None)
    @given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**16))
    def check(height: int, width: int, seed: int) -> None:
        torch.manual_seed(seed)
        for images in torch.randint(0, 256, (3, 2, 3, height, width), dtype=torch.uint8):
            found, truth = engine({"rgb": images})["semantic"], model(images)["semantic"]
            assert found.shape == truth.shape
            largest, usual = (share * float(truth.abs().max()) for share in TOLERANCE[precision])
            assert float((found - truth).abs().max()) <= largest
            assert float((found - truth).square().mean().sqrt()) <= usual
        assert engine.computed((height, width)) < 0.9

    with torch.inference_mode():
        check()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_net_in_other_numbers_as_a_whole(dtype: torch.dtype) -> None:
    net = build_model("fcn8s-minivgg", 2).eval().to(dtype)
    images = torch.randint(0, 256, (1, 3, 37, 50), dtype=torch.uint8)
    with torch.inference_mode():
        found, truth = EagerEngine(net)({"rgb": images})["semantic"], net(images)["semantic"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, truth.float(), rtol=0, atol=1e-5 + 2 * torch.finfo(dtype).eps * float(truth.abs().max()))
