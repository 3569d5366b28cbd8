"""Every engine, in every precision, for five nets at full width: it takes half an hour (`make test-engines`)."""

from collections.abc import Iterator

import pytest
import torch
from alike import assert_alike, image
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fullconv.inference.engine import Engine
from fullconv.inference.engines.compiled import CompiledEngine
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.graph import onnx_of
from fullconv.inference.engines.onnxruntime import OnnxRuntimeEngine
from fullconv.inference.engines.openvino import OpenVinoEngine
from fullconv.inference.engines.precision import torch_precisions
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec

pytestmark = pytest.mark.long
NETS = ["caffe-vgg16", "squeezenet1_1", "efficientnet_lite0", "resnet18", "minivgg"]
SIZES = ((1, 1), (1, 300), (31, 33), (375, 500), (500, 375), (1000, 1000))
ENGINES = ["eager", "compiled", "openvino", "onnxruntime"]


@pytest.fixture(scope="module", params=NETS)
def net(request: pytest.FixtureRequest) -> FCN:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name=f"fcn8s-{request.param}"), {"semantic": 21}).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.01)
    return model.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def onnx(net: FCN) -> bytes:
    return onnx_of(net)


def engines(name: str, model: FCN, onnx: bytes) -> Iterator[tuple[str, Engine]]:
    """Yield an engine in every precision that it has here."""
    precisions = torch_precisions(torch.device("cpu"))
    if name in ("eager", "compiled"):
        kind = EagerEngine if name == "eager" else CompiledEngine
        yield from ((precision, kind(model, precision)) for precision in precisions)
    elif name == "openvino":
        yield from ((precision, OpenVinoEngine(model, precision, onnx)) for precision in precisions)
    else:
        yield "fp32", OnnxRuntimeEngine(model, "fp32", onnx)


@pytest.mark.parametrize("name", ENGINES)
def test_logits_and_labels_of_the_net(net: FCN, onnx: bytes, name: str) -> None:
    torch.compiler.reset()
    runs = list(engines(name, net, onnx))

    def check(size: tuple[int, int]) -> None:
        with torch.inference_mode():
            truth = net(image(size))["semantic"]
            for precision, run in runs:
                for _ in range(2):  # the second image of a size goes another way where a net is run in its window
                    assert_alike(run(image(size))["semantic"], truth, precision, (name, precision, size), 0.5)

    for size in SIZES:
        check(size)
    settings(max_examples=10, deadline=None)(given(st.tuples(st.integers(1, 400), st.integers(1, 400)))(check))()
