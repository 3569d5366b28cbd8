"""Every engine in every precision against the plain net, at sizes from one pixel to a megapixel: logits and labels."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from alike import assert_alike, image
from torch import nn

from fullconv.errors import SpecError
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

# tests/nn/test_export.py converts eight nets at ten sizes
SIZES = ((1, 1), (1, 300), (31, 33), (375, 500))
LARGE = (1000, 1000)
"""The largest, of one image."""


def build(name: str = "fcn8s-minivgg") -> FCN:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name=name), {"semantic": 4}).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.01)
    return model.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def converted(onnx_table: None) -> tuple[FCN, bytes]:
    """A net, and what it is as ONNX, which takes seconds to make."""
    model = build()
    return model, onnx_of(model)


def engines(model: FCN, onnx: bytes) -> Iterator[tuple[str, str, Engine]]:
    for precision in torch_precisions(torch.device("cpu")):
        yield "eager", precision, EagerEngine(model, precision)
        yield "openvino", precision, OpenVinoEngine(model, precision, onnx)
    yield "onnxruntime", "fp32", OnnxRuntimeEngine(model, "fp32", onnx)


def test_every_engine_gives_the_logits_and_labels_of_the_net(converted: tuple[FCN, bytes]) -> None:
    model, onnx = converted
    with torch.inference_mode():
        truths = {size: model(image(size))["semantic"] for size in (*SIZES, LARGE)}
    for engine, precision, run in engines(model, onnx):
        with torch.inference_mode():
            for size, truth in truths.items():
                assert_alike(run(image(size))["semantic"], truth, precision, (engine, precision, size))


def test_the_compiled_net_at_several_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the C++ of inductor, which takes a minute: what is traced, and what is made of it, is the same."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    model = build("fcn32s-minivgg")  # tests/nn/test_export.py compiles nets with skips
    torch.compiler.reset()
    run = CompiledEngine(model)
    with torch.inference_mode():
        for size in ((64, 97), (31, 33)):
            assert_alike(run(image(size))["semantic"], model(image(size))["semantic"], "fp32", size)
        with torch._dynamo.config.patch(recompile_limit=1):  # sides of one pixel are compiled apart, and here nothing more is
            assert_alike(run(image((20, 1)))["semantic"], model(image((20, 1)))["semantic"], "fp32", "one column")


def test_a_net_that_cannot_be_compiled_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: object, inputs: object) -> object:
        raise RuntimeError("g++: not found")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=broken))
    torch.compiler.reset()
    run = CompiledEngine(build("fcn32s-minivgg"))
    said = pytest.raises(SpecError, match=r"torch.compile cannot compile .* it needs a C\+\+ compiler such as g\+\+")
    with torch.inference_mode(), said:
        run(image((64, 97)))


def test_two_images_together_and_floats_and_threads(converted: tuple[FCN, bytes]) -> None:
    """Batches of two, and float images, which resizing makes, through what is converted for any number of float images."""
    model, onnx = converted
    pair = {"rgb": torch.cat([image((40, 52))["rgb"], image((40, 52))["rgb"].flip(3)])}
    with torch.inference_mode():
        truth = model(pair)["semantic"]
    runs = OpenVinoEngine(model, "fp32", onnx), OnnxRuntimeEngine(model, "fp32", onnx)
    images = [image((20 + number, 30)) for number in range(24)]
    for run in runs:
        for given in (pair, {"rgb": pair["rgb"].float()}):
            assert_alike(run(given)["semantic"].detach(), truth, "fp32", type(run))
        with pytest.raises(SpecError, match=r"rgb goes from .* the model reads 0–255"):
            run({"rgb": pair["rgb"] / 255 - 2})
        alone = [run(one)["semantic"] for one in images]
        with ThreadPoolExecutor(4) as threads:
            for found, logits in zip(threads.map(run, images), alone, strict=True):
                assert torch.equal(found["semantic"], logits)
