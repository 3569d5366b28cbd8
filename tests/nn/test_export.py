"""Nets that are exported or compiled once run at every size: against the eager net, at sizes that they were not traced with."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim
from torchvision.models.resnet import BasicBlock
from torchvision.models.squeezenet import Fire

from fullconv.inference.engines.openvino import core
from fullconv.nn.backbones import BACKBONES, Classifier
from fullconv.nn.backbones.caffe import initialise
from fullconv.nn.backbones.efficientnet_lite import Block
from fullconv.nn.backbones.fixed_padding import SameConv2d
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec

CLOSE = 1e-4
SIZES = ((1, 1), (2, 3), (1, 300), (31, 33), (32, 32), (65, 64), (97, 301), (233, 150), (375, 500), (700, 500))


def shallow_lite0() -> nn.Module:
    """EfficientNet-Lite with one narrow block at every stride, of both kernels: a trace costs time by the layer."""
    return initialise(
        nn.Sequential(
            *(SameConv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
            *(Block(8, 16, 3, 2, 1), Block(16, 24, 5, 2, 1), Block(24, 32, 3, 2, 1), Block(32, 48, 5, 2, 3)),
            *(nn.Conv2d(48, 96, 1, bias=False), nn.BatchNorm2d(96), nn.ReLU6()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10)),
        )
    )


def shallow_resnet() -> nn.Module:
    """ResNet's stem and a narrow block at every stride; the first keeps its channels, the others project what they add."""

    def smaller(given: int, out: int) -> BasicBlock:
        return BasicBlock(given, out, 2, nn.Sequential(nn.Conv2d(given, out, 1, 2, bias=False), nn.BatchNorm2d(out)))

    return initialise(
        nn.Sequential(
            *(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
            *(BasicBlock(8, 8), smaller(8, 16), smaller(16, 32), smaller(32, 64)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
        )
    )


def shallow_squeezenet() -> nn.Module:
    """SqueezeNet 1.1, narrow, with one of two alike blocks between its pools, which round up."""
    pool = partial(nn.MaxPool2d, 3, 2, ceil_mode=True)
    return initialise(
        nn.Sequential(
            *(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), pool(), Fire(8, 4, 8, 8), pool(), Fire(16, 4, 16, 16), pool()),
            *(Fire(32, 8, 24, 24), nn.Dropout(), nn.Conv2d(48, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
    )


def shallow_vgg() -> nn.Module:
    """VGG with one convolution before each of its five pools, for images of 96x96; tests/interop/export has them of two."""
    layers: list[nn.Module] = []
    for given, out in pairwise((3, 8, 16, 32, 48, 64)):
        layers += [nn.Conv2d(given, out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return initialise(
        nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 3 * 3, 128), nn.ReLU(), nn.Dropout(), nn.Linear(128, 10))
    )


SHALLOW = {
    "shallow-lite0": Classifier(shallow_lite0, 224),
    "shallow-resnet": Classifier(shallow_resnet, 224),
    "shallow-squeezenet": Classifier(shallow_squeezenet, 224),
    "shallow-vgg": Classifier(shallow_vgg, 96),
}
NETS = {
    "pad 100": (ModelSpec(name="fcn8s-shallow-vgg", padding="paper"), {"semantic": 4}),
    "caffe, pools of three": (ModelSpec(name="fcn32s-narrow-alexnet"), {"semantic": 4}),
    "pools that round up": (ModelSpec(name="fcn8s-shallow-squeezenet"), {"semantic": 4}),
    "residual": (ModelSpec(name="fcn32s-shallow-resnet"), {"semantic": 4}),
    "fixed pads": (ModelSpec(name="fcn16s-shallow-lite0"), {"semantic": 4}),
    "two heads, learned": (ModelSpec(name="fcn16s-shallow-vgg", deconvolution="learned"), {"semantic": 4, "geometric": 3}),
    "colour and HHA": (ModelSpec(name="fcn32s-shallow-vgg", streams=("rgb", "hha")), {"semantic": 4}),
    "colour with depth": (ModelSpec(name="fcn32s-shallow-vgg", streams=("rgb+depth",)), {"semantic": 4}),
}
SMALL = ("pad 100", "colour with depth")
"""Those that are compiled for small images and for equal sides as well; of the others one graph must do for all above."""


@pytest.fixture(autouse=True)
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backbones of these tests alone."""
    for name, classifier in SHALLOW.items():
        monkeypatch.setitem(BACKBONES, name, classifier)


def build(name: str) -> FCN:
    spec, heads = NETS[name]
    torch.manual_seed(0)
    model = build_model(spec, heads).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.01)
    return model


def inputs(model: FCN, size: tuple[int, int], images: int = 1) -> dict[str, Tensor]:
    torch.manual_seed(size[0])
    depth = torch.rand(images, 1, *size) * 8
    return {
        name: depth if name == "depth" else torch.randint(0, 256, (images, 3, *size), dtype=torch.uint8) for name in model.inputs
    }


def every_size(model: FCN) -> tuple[dict[str, dict[int, Dim]]]:
    """What ``dynamic_shapes`` takes: the axes that may have any length."""
    return ({name: {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC} for name in model.inputs},)


def cases(model: FCN, batches: tuple[int, int] = (1, 2)) -> Iterator[tuple[dict[str, Tensor], dict[str, np.ndarray]]]:
    """Batches of two lengths, the longer of small images, with what the eager net says of them."""
    for size in SIZES:
        given = inputs(model, size, batches[size[1] in (3, 33, 64, 301)])
        with torch.inference_mode():
            yield given, {head: logits.numpy() for head, logits in model(given).items()}


def far(found: np.ndarray, truth: np.ndarray) -> float:
    assert found.shape == truth.shape
    return float(np.abs(found - truth).max()) / max(1.0, float(np.abs(truth).max()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch.onnx")
@pytest.mark.usefixtures("onnx_table")
@pytest.mark.parametrize("name", NETS)
def test_one_export_runs_at_every_size(name: str, tmp_path: Path) -> None:
    model = build(name)
    program = torch.export.export(model, (inputs(model, (64, 96), 2),), dynamic_shapes=every_size(model))
    file = str(tmp_path / "net.onnx")
    torch.onnx.export(program, dynamo=True, optimize=False, verbose=False).save(file)  # the engines simplify the graph themselves
    alone = onnxruntime.SessionOptions()
    alone.intra_op_num_threads = 1  # threads that wait for each other take the time of other tests
    session = onnxruntime.InferenceSession(file, alone, providers=["CPUExecutionProvider"])
    # its own choice on some processors is bfloat16
    compiled = core().compile_model(
        openvino.convert_model(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    # a net that is never padded has maps of one entry for tiny images: export guards against those, and computes them right
    exported = program.module(check_guards=bool(model.alignment.padding.period))
    for given, truth in cases(model):
        feed = {port.name: tensor.numpy() for port, tensor in zip(session.get_inputs(), given.values(), strict=True)}
        answers = {
            "torch.export": [logits.detach().numpy() for logits in exported(given).values()],
            "onnxruntime": session.run(None, feed),
            "openvino": list(compiled(list(feed.values())).values()),
        }
        for engine, answer in answers.items():
            for found, logits in zip(answer, truth.values(), strict=True):
                assert far(found, logits) <= CLOSE, (engine, logits.shape)


@pytest.mark.parametrize(
    ("name", "smallest", "graphs"), [(name, 1 if name in SMALL else 64, 3 if name in SMALL else 1) for name in NETS]
)
def test_compiled_whole_once_for_every_size(name: str, smallest: int, graphs: int) -> None:
    model = build(name)
    torch.compiler.reset()
    counted = CompileCounterWithBackend("eager")
    compiled = torch.compile(model, dynamic=True, fullgraph=True, backend=counted)
    # 1, and 3 beside three channels, are constants to the compiler, and graphs of their own
    for given, truth in cases(model, (2, 4)):
        size = next(iter(given.values())).shape[2:]
        if min(size) < smallest or 1 in size:
            continue
        with torch.inference_mode():
            for head, logits in compiled(given).items():
                assert far(logits.numpy(), truth[head]) <= CLOSE
    if name == "pad 100" and torch.__version__ < "2.13":
        return  # PyTorch 2.11 asks of every pool whether its map is odd, and compiles such sizes anew; other nets avoid them
    assert counted.frame_count <= graphs


def test_fifty_sizes_need_few_graphs() -> None:
    model = build("caffe, pools of three")
    torch.compiler.reset()
    graphs = CompileCounterWithBackend("eager")
    compiled = torch.compile(model, dynamic=True, fullgraph=True, backend=graphs)
    for i in range(50):
        given = inputs(model, (1 + i * 37 % 101, 1 + i * 53 % 157))
        with torch.inference_mode():
            assert far(compiled(given)["semantic"].numpy(), model(given)["semantic"].numpy()) <= CLOSE
    assert graphs.frame_count <= 4


def test_the_core_exports_by_itself() -> None:
    model = build("caffe, pools of three")
    normal = {"rgb": model.fit(model.normalise["rgb"](inputs(model, (64, 96), 2)["rgb"]))}
    program = torch.export.export(model.core, (normal,), dynamic_shapes=every_size(model))
    for given, truth in cases(model):
        padded = {"rgb": model.fit(model.normalise["rgb"](given["rgb"]))}
        with torch.inference_mode():
            logits = model.crop(program.module()(padded)["semantic"], given["rgb"])
        assert far(logits.numpy(), truth["semantic"]) <= CLOSE
