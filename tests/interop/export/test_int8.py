"""int8: what is quantised, what is measured, and what is not written."""

import importlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from PIL import Image
from torch import Tensor

import fullconv
from fullconv.data.scenes.scenes import SEMANTIC, render
from fullconv.errors import WeightsError
from fullconv.interop.export import Exported, export_checkpoint, quantise
from fullconv.interop.export.quantise import MARGIN, Calibration, quantised_onnx
from fullconv.labelmap import LabelMap
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import ModelSpec

SIZE = (48, 64)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net that knows what values the masks of :func:`photos` have."""
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn16s-shallow", hidden_layers=False), {"semantic": len(SEMANTIC)})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    path = tmp_path_factory.mktemp("int8") / "model.safetensors"
    save_checkpoint(path, model, {"semantic": SEMANTIC}, label_maps={"semantic": LabelMap.identity(SEMANTIC)})
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set's folder: images and masks of the same names."""
    root = tmp_path_factory.mktemp("photos")
    for index in range(10):
        scene = render(0, "train", index, SIZE)
        for folder, pixels in (("images", scene.image), ("masks", scene.semantic)):
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(root / folder / f"{index}.png")
    return root


def test_backbone_in_eight_bits_and_logits_in_float(trained: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.xml"
    found = export_checkpoint(trained, out, format="openvino", precision="int8", calibrate=photos, most_changed=0.2)
    model = openvino.Core().read_model(out)
    weights: dict[str, set[str]] = {}
    for operation in model.get_ordered_ops():
        if "Convolution" in operation.get_type_name():
            weights.setdefault(operation.get_type_name(), set()).add(_stored(operation.input_value(1).get_node()))
    assert weights["Convolution"] == {"i8", "f32"}
    assert weights["GroupConvolutionBackpropData"] == {"f32"}
    assert set(found.mean_iu) == {"before", "after", "images"}
    assert found.metadata["parity"]["mean_iu"] == found.mean_iu
    assert re.search(r"mean IU on .*; \d of \d+ convolutions are in 8 bits", found.said)
    image = render(0, "test", 1, (75, 101)).image
    mine, theirs = (fullconv.load(path, "cpu").predict(image, probabilities=True) for path in (out, trained))
    assert np.abs(mine.probabilities - theirs.probabilities).max() > 0
    assert (mine.labels != theirs.labels).mean() < 0.2


def test_layers_go_back_to_float_until_few_labels_change(exported: Callable[..., tuple[Path, Exported]]) -> None:
    """With a tolerance that all layers in 8 bits break: it is kept, on the images of the search, by fewer of them."""
    path, _ = exported("onnx")
    images = [[torch.from_numpy(render(0, "train", index, SIZE).image).permute(2, 0, 1)[None].float()] for index in range(6)]

    def labels_of(outputs: Sequence[Tensor]) -> list[Tensor]:
        return [logits.argmax(1) for logits in outputs]

    def quantised(most_changed: float) -> tuple[int, float]:
        proto, said = quantised_onnx(onnx.load(path), Calibration(["rgb"], images, images, labels_of, most_changed))
        count = re.match(r"(\d+) of 6 convolutions", said)
        assert count is not None, said
        sessions = [
            onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
            for graph in (path.read_bytes(), proto.SerializeToString())
        ]
        found = [[session.run(None, {"rgb": one.numpy()})[0].argmax(1) for (one,) in images] for session in sessions]
        return int(count[1]), float(np.mean([own != other for own, other in zip(*found, strict=True)]))

    loose, changed = quantised(1.0)
    assert changed > 0
    strict, less = quantised(1.8 * changed)
    assert less <= MARGIN * 1.8 * changed
    assert 0 < strict < loose


def _stored(node: openvino.Node) -> str:
    """The type in which a weight is stored, behind what brings it back to float."""
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return node.get_element_type().get_type_name()


def test_what_changes_too_many_labels_is_not_written(trained: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    (plain / "deep").mkdir(parents=True)
    for index in range(4):
        Image.fromarray(render(1, "train", index, SIZE).image).save(plain / "deep" / f"{index}.png")
    out = tmp_path / "net.onnx"
    out.write_bytes(b"an older one")
    with pytest.raises(WeightsError, match=r"net\.onnx is not written: beside the checkpoint .* % of labels differ, and 0 % are"):
        export_checkpoint(trained, out, precision="int8", calibrate=plain, most_changed=0.0)
    assert out.read_bytes() == b"an older one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "plain"]


def test_the_library_sends_no_usage_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    from openvino_telemetry.utils.sender import TelemetrySender

    sent: list[object] = []
    monkeypatch.setattr(TelemetrySender, "send", lambda self, *given: sent.append(given))
    wrapper = importlib.import_module("nncf.telemetry.wrapper")
    real = wrapper.NNCFTelemetry()  # under pytest the library takes another by itself
    real._impl.consent = True  # as where nobody has opted out
    monkeypatch.setattr(wrapper, "telemetry", real)
    real.send_event("nncf", "quantize", "before")
    assert len(sent) == 1
    quantise.keep_nncf_to_itself()
    real.send_event("nncf", "quantize", "after")
    assert len(sent) == 1
