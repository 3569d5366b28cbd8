"""The rule behind ``auto``, and what is said where an engine or a precision is not to be had."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image

import fullconv
from fullconv.errors import SpecError
from fullconv.inference.engines import choose
from fullconv.inference.engines.choose import MANY, choose_engine
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.openvino import OpenVinoEngine
from fullconv.inference.engines.precision import torch_precisions
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec


@pytest.fixture(scope="module")
def model() -> FCN:
    return build_model("fcn32s-minivgg", 2)


def test_auto_converts_for_many_pixels_only(model: FCN) -> None:
    few = choose_engine(model, "auto", pixels=MANY - 1)
    assert isinstance(few.engine, EagerEngine)
    assert few.about == (
        "engine: eager in fp32 on cpu, as openvino takes seconds to convert a net, which pays from 100 megapixels on (auto)"
    )
    names = [choose.by_rule(torch.device("cpu"), pixels)[0] for pixels in (1, MANY - 1, MANY, 10 * MANY, None)]
    assert names == ["eager", "eager", "openvino", "openvino", "openvino"]
    assert choose.by_rule(torch.device("cuda"), MANY)[0] == "eager"


def test_auto_on_a_card_asks_what_convolutions_alone_are_rounded_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch raises where it is asked for one answer for all operations, and they differ."""
    precision = torch.backends.cudnn.conv.fp32_precision
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    found = []
    try:
        for each in ("tf32", "ieee"):
            torch.backends.cudnn.conv.fp32_precision = each
            found.append(choose._on_card(torch.device("cuda")))
    finally:
        torch.backends.cudnn.conv.fp32_precision = precision
    assert found == ["fp32", "fp16"]


def test_auto_leaves_a_net_to_eager_where_that_computes_little_of_it() -> None:
    found = choose_engine(build_model(ModelSpec(name="fcn32s-narrow-vgg16", padding="paper"), 2), "auto")
    assert isinstance(found.engine, EagerEngine)
    assert found.about == "engine: eager in fp32 on cpu, as it gets along with 65% of this net's multiplications (auto)"


def test_pixels_are_counted_until_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    files = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "none.png", tmp_path / "a.png"]
    assert choose.pixels_of(files) == 1200
    monkeypatch.setattr(choose, "MANY", 600)
    assert choose.pixels_of(files) == 600


def test_auto_without_openvino(model: FCN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    about = choose_engine(model, "auto").about
    assert about == "engine: eager in fp32 on cpu, as openvino is not installed (auto; pip install 'fullconv[openvino]')"


def test_auto_takes_the_net_as_it_is_when_it_cannot_be_converted(model: FCN, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: FCN) -> bytes:
        raise SpecError("the net is too large")

    monkeypatch.setattr("fullconv.inference.engines.openvino.onnx_of", refuse)
    found = choose_engine(model, "auto")
    assert isinstance(found.engine, EagerEngine)
    assert found.about == "engine: eager in fp32 on cpu, as the net is too large (auto)"
    with pytest.raises(SpecError, match="the net is too large"):
        choose_engine(model, "openvino")


@pytest.mark.parametrize(
    ("engine", "package", "extra"), [("openvino", "openvino", "openvino"), ("onnxruntime", "onnxscript", "onnx")]
)
def test_an_engine_that_is_not_installed_names_its_extra(
    engine: str, package: str, extra: str, model: FCN, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fullconv.inference.engines.openvino.onnx_of", lambda model: b"")
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(SpecError, match=rf"not installed; pip install 'fullconv\[{extra}\]'"):
        choose_engine(model, engine)


def test_what_an_engine_does_not_have(model: FCN) -> None:
    with pytest.raises(SpecError, match="no engine 'tensorrt'; accepted are auto, eager, compiled, openvino, onnxruntime"):
        choose_engine(model, "tensorrt")
    with pytest.raises(SpecError, match="onnxruntime has no bf16 on any processor; it computes fp32 here"):
        choose_engine(model, "onnxruntime", "bf16")
    with pytest.raises(SpecError, match="eager has no fp16 on this CPU; it computes fp32"):
        choose_engine(model, "eager", "fp16")
    for engine in ("eager", "openvino", "onnxruntime"):
        with pytest.raises(SpecError, match=rf"{engine} has no int8, .* fullconv export --precision int8 --calibrate FOLDER"):
            choose_engine(model, engine, "int8")
    elsewhere = build_model("fcn32s-minivgg", 2).to("meta")
    with pytest.raises(SpecError, match="openvino computes on the CPU, and the device is meta; give the device cpu"):
        choose_engine(elsewhere, "openvino")


@pytest.mark.parametrize(
    ("flags", "machine", "known"),
    [
        ({"avx512_bf16": True}, "x86_64", ["fp32", "bf16"]),
        ({"avx2": True}, "x86_64", ["fp32"]),
        ({"avx512_bf16": True}, "riscv64", ["fp32"]),
        ({"bf16": True}, "aarch64", ["fp32", "bf16"]),
    ],
)
def test_bfloat16_is_offered_where_the_processor_has_it(
    flags: Mapping[str, bool], machine: str, known: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert torch_precisions(torch.device("cpu")) == known


@pytest.mark.usefixtures("onnx_table")
def test_load_takes_an_engine(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, checkpoint = build_model("fcn32s-minivgg", 3), tmp_path / "model.safetensors"
    for parameter in net.score_parameters():
        torch.nn.init.normal_(parameter)
    save_checkpoint(checkpoint, net, {"semantic": LabelSet(("sky", "sea", "sand"))})
    plain = fullconv.load(checkpoint, "cpu")
    other = fullconv.load(checkpoint, "cpu", engine="auto")
    assert isinstance(plain.engine, EagerEngine)
    assert isinstance(other.engine, OpenVinoEngine)
    torch.manual_seed(0)
    images = {"rgb": torch.randint(0, 256, (3, 40, 61), dtype=torch.uint8)}
    torch.testing.assert_close(other.logits(images)["semantic"], plain.logits(images)["semantic"], rtol=1e-4, atol=1e-4)
    assert other.model.heads == plain.model.heads
    assert other.use_engine("eager") == "engine: eager in fp32 on cpu"
    assert isinstance(other.engine, EagerEngine)
