"""Exported files give what the checkpoint gives, say what they are, and are refused when they do not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from PIL import Image

import fullconv
from fullconv.cli import main
from fullconv.data.scenes.scenes import Scenes, render
from fullconv.errors import SpecError
from fullconv.inference.exported import KEY, ExportedEngine
from fullconv.interop.export import Exported, export_checkpoint
from fullconv.interop.export.export import SUFFIX_OF
from fullconv.interop.export.graph import with_half_weights
from fullconv.interop.export.parity import CHANGED, SIZES, Parity, SizeParity, measure
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.float16 import MANY, as_float16

Export = Callable[..., tuple[Path, Exported]]
Make = Callable[..., Path]
CLOSE = 1e-4
FORMATS = ("onnx", "openvino", "torch")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch.onnx")


def photo(height: int = 75, width: int = 101, index: int = 5) -> np.ndarray:
    return render(0, "test", index, (height, width)).image


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_predicts_as_its_checkpoint(exported: Export, checkpoint: Path, format: str) -> None:
    path, found = exported(format)
    assert found.parity.logits is not None
    assert found.parity.logits <= CLOSE
    one, other = fullconv.load(path, "cpu"), fullconv.load(checkpoint, "cpu")
    assert one.labels == other.labels
    for image in (photo(), photo(1, 1), photo(33, 7)):
        mine, theirs = (predictor.predict(image, probabilities=True) for predictor in (one, other))
        np.testing.assert_allclose(mine.probabilities, theirs.probabilities, atol=CLOSE)
        np.testing.assert_array_equal(mine.labels, theirs.labels)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_half_precision_halves_the_file(exported: Export, checkpoint: Path, format: str) -> None:
    """In two formats; `benchmarks/export_parity.py` does all three."""
    (whole, _), (half, found) = exported(format), exported(format, "fp16")
    if format == "openvino":
        whole, half = whole.with_suffix(".bin"), half.with_suffix(".bin")
    assert half.stat().st_size < 0.65 * whole.stat().st_size
    assert found.parity.changed <= 0.001
    assert found.metadata["precision"] == "fp16"
    image = photo()
    half = half.with_suffix(SUFFIX_OF[format])
    changed = fullconv.load(half, "cpu").predict(image).labels != fullconv.load(checkpoint, "cpu").predict(image).labels
    assert changed.mean() <= 0.002


def test_one_rule_says_what_is_stored_in_half(exported: Export, checkpoint: Path) -> None:
    """Checkpoints, graphs of PyTorch and OpenVINO's files keep the same weights in 16 bits: those of many numbers."""
    model = load_checkpoint(checkpoint).model
    stored = {name: tensor.dtype == torch.float16 for name, tensor in as_float16(dict(model.named_parameters())).items()}
    assert 0 < sum(stored.values()) < len(stored)
    halved = dict(with_half_weights(model).named_parameters())
    for name, is_half in stored.items():
        owner, _, last = name.rpartition(".")
        assert halved[f"{owner}.parametrizations.{last}.original0" if is_half else name].dtype == (
            torch.float16 if is_half else torch.float32
        )
    operations = openvino.Core().read_model(exported("openvino", "fp16")[0]).get_ordered_ops()
    constants = [each for each in operations if each.get_type_name() == "Constant"]
    sizes = {
        kind: {each.get_data().size for each in constants if each.get_element_type().get_type_name() == kind}
        for kind in ("f16", "f32")
    }
    assert min(sizes["f16"]) >= MANY > max(sizes["f32"])


def test_upsampling_is_exported_as_it_is_and_sizes_are_free(exported: Export) -> None:
    graph = onnx.load(exported("onnx")[0]).graph
    kinds = {node.op_type for node in graph.node}
    assert "ConvTranspose" in kinds
    assert not kinds & {"Resize", "Upsample"}
    axes = [[axis.dim_param or axis.dim_value for axis in port.type.tensor_type.shape.dim] for port in graph.input]
    assert axes == [["N", 3, "H", "W"]]
    assert [port.name for port in (*graph.input, *graph.output)] == ["rgb", "semantic"]
    model = openvino.Core().read_model(exported("openvino")[0])
    kinds = {operation.get_type_name() for operation in model.get_ordered_ops()}
    assert "GroupConvolutionBackpropData" in kinds
    assert not any(kind.startswith(("Interpolate", "Resize")) for kind in kinds)
    assert [axis.is_dynamic for axis in model.inputs[0].partial_shape] == [True, False, True, True]


def test_the_metadata_are_in_each_file(exported: Export, checkpoint: Path) -> None:
    header = load_checkpoint(checkpoint).header
    session = onnxruntime.InferenceSession(exported("onnx")[0], providers=["CPUExecutionProvider"])
    texts = [
        session.get_modelmeta().custom_metadata_map[KEY],
        openvino.Core().read_model(exported("openvino")[0]).get_rt_info(KEY).value,
    ]
    extra = {"fullconv.json": ""}
    torch.export.load(exported("torch")[0], extra_files=extra)
    for text in (*texts, extra["fullconv.json"]):
        said = json.loads(text)
        for key in ("model", "heads", "preprocessing", "image", "masks", "scale"):
            assert said[key] == header[key], key
        assert said["inputs"] == {"rgb": {"dtype": "float32", "layout": "NCHW", "channels": 3}}
        assert [(size["images"], size["height"], size["width"]) for size in said["parity"]["sizes"]] == list(SIZES)


def test_tiles_of_the_halo_and_grid_in_the_file_give_the_whole_image(exported: Export) -> None:
    path, found = exported("onnx")
    halo, grid = found.metadata["tiling"]["halo"], found.metadata["tiling"]["grid"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    side = 2 * halo + 5 * grid
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, side, 40)).astype(np.float32)
    (whole,) = session.run(None, {"rgb": image})
    top = grid
    (tile,) = session.run(None, {"rgb": image[:, :, top:]})
    inside = whole[:, :, top + halo :]
    np.testing.assert_allclose(tile[:, :, halo:], inside, atol=CLOSE * np.abs(whole).max())
    (shifted,) = session.run(None, {"rgb": image[:, :, top + 1 :]})  # off the grid it is another net
    assert np.abs(shifted[:, :, halo:] - whole[:, :, top + 1 + halo :]).max() > 100 * CLOSE * np.abs(whole).max()


def test_pixels_in_labels_out(exported: Export, checkpoint: Path) -> None:
    """Of PyTorch, whose graph the others are made of; tests/docs/test_export_page.py does it with ONNX."""
    path, found = exported("torch", embed_pixels=True)
    image = photo()
    labels = torch.export.load(path).module()({"rgb": torch.from_numpy(image[None])})["semantic"]
    assert labels.dtype == torch.uint8
    np.testing.assert_array_equal(labels[0], fullconv.load(checkpoint, "cpu").predict(image).labels)
    assert found.metadata["gives"] == "labels"
    with pytest.raises(SpecError, match="exported with --embed-pixels: it gives labels"):
        fullconv.load(path, "cpu").predict(image)


def test_a_threshold_goes_into_the_file_and_into_the_graph(make_checkpoint: Make, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(std=0.05)  # so that the net is not sure
    image = photo()
    probability = fullconv.load(checkpoint, "cpu").predict(image, probabilities=True).probabilities
    assert probability is not None
    threshold = float(np.quantile(probability[1], 0.3))
    for name, pixels in (("logits.pt2", False), ("labels.pt2", True)):
        export_checkpoint(checkpoint, tmp_path / name, format="torch", embed_pixels=pixels, threshold=threshold)
    truth = fullconv.load(checkpoint, "cpu", threshold).predict(image).labels
    np.testing.assert_array_equal(fullconv.load(tmp_path / "logits.pt2", "cpu").predict(image).labels, truth)
    engine = ExportedEngine(tmp_path / "labels.pt2", "cpu")
    (labels,) = engine.run(engine.prepared({"rgb": torch.from_numpy(image).permute(2, 0, 1)[None]}))
    np.testing.assert_array_equal(labels[0].numpy(), truth)
    other = fullconv.load(tmp_path / "logits.pt2", "cpu", 0.5).predict(image).labels
    assert (other != truth).any()


def test_the_scale_is_told_and_not_embedded(make_checkpoint: Make, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(scale=0.5)
    out = tmp_path / "half.pt2"
    export_checkpoint(checkpoint, out, format="torch")
    image = photo()
    np.testing.assert_array_equal(*(fullconv.load(path, "cpu").predict(image).labels for path in (out, checkpoint)))
    with pytest.raises(SpecError, match=r"learned images at 0\.5 of their size, and a graph from pixels to labels cannot resize"):
        export_checkpoint(checkpoint, tmp_path / "labels.pt2", format="torch", embed_pixels=True)


def test_two_streams_and_two_heads(make_checkpoint: Make, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(heads={"semantic": 7, "geometric": 3}, streams=("rgb", "hha"))
    out = tmp_path / "two.pt2"
    found = export_checkpoint(checkpoint, out, format="torch")
    assert list(found.metadata["inputs"]) == ["rgb", "hha"]
    sample = Scenes("test", 1, (49, 66), streams=("rgb", "hha"))[0].inputs
    mine, theirs = (fullconv.load(path, "cpu").logits(sample) for path in (out, checkpoint))
    assert list(mine) == ["semantic", "geometric"]
    for head in mine:
        np.testing.assert_allclose(mine[head], theirs[head], atol=CLOSE * float(theirs[head].abs().max()))


def test_another_net_is_told_from_the_file(exported: Export, make_checkpoint: Make) -> None:
    other = load_checkpoint(make_checkpoint(heads={"semantic": 7}, seed=1)).model
    parity = measure(other, ExportedEngine(exported("torch")[0], "cpu"), "fp32", None)
    assert parity.fault is not None
    assert "logits differ by up to" in parity.fault


def test_a_file_of_one_size_is_told(checkpoint: Path, exported: Export, tmp_path: Path) -> None:
    """What an exporter may write without a word: a graph for the size that it was traced with."""
    model, (good, _) = load_checkpoint(checkpoint).model, exported("torch")
    extra = {"fullconv.json": ""}
    torch.export.load(good, extra_files=extra)
    static = torch.export.export(model, ({"rgb": torch.zeros(1, 3, 64, 96)},))
    torch.export.save(static, tmp_path / "static.pt2", extra_files=extra)
    parity = measure(model, ExportedEngine(tmp_path / "static.pt2", "cpu"), "fp32", None)
    assert parity.fault is not None
    assert "it does not run at 1 images of 1×1" in parity.fault


def test_what_each_precision_allows() -> None:
    def fault(precision: str, logits: float | None, changed: int, ties: int = 0) -> str | None:
        size = SizeParity(1, 100, 100, logits, changed, ties, 10_000)
        return Parity(precision, (size,), CHANGED[precision]).fault

    assert fault("fp32", 9e-4, 0) is None
    assert fault("fp32", 9e-4, 7, 7) is None
    assert "0.001 is allowed" in str(fault("fp32", 2e-3, 0))
    assert "differ by up to nan" in str(fault("fp32", float("nan"), 0))
    assert "0.07 % of labels differ" in str(fault("fp32", None, 7, 6))
    assert fault("fp16", 0.5, 10) is None
    assert "0.1 % are allowed" in str(fault("fp16", 0.0, 11, 11))
    assert fault("int8", 0.5, 100) is None
    assert "1 % are allowed" in str(fault("int8", 0.5, 101))


def test_evaluate_measures_a_file_beside_its_checkpoint(
    exported: Export, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = exported("onnx")
    assert main(["evaluate", str(checkpoint), str(path), "--data", "scenes", "--count", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    one, other = found["models"].values()
    assert one["mean_iu"] == other["mean_iu"]


def test_predict_takes_a_file_and_the_command_line_exports(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo()).save(tmp_path / "photo.png")
    out = tmp_path / "net.pt2"
    assert main(["export", str(checkpoint), "--format", "torch", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == [str(out)]
    for model, folder in ((out, "a"), (checkpoint, "b")):
        assert main(["predict", str(model), str(tmp_path / "photo.png"), "--out", str(tmp_path / folder)]) == 0
    np.testing.assert_array_equal(*(np.asarray(Image.open(tmp_path / folder / "photo.png")) for folder in ("a", "b")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"out": "net.onnx", "format": "torch"}, r"a file of the format torch ends in \.pt2"),
        ({"precision": "int8"}, "int8 needs --calibrate DIR"),
        ({"calibrate": "."}, "--calibrate is for int8, and the precision is fp32"),
        ({"out": "net.pt2", "format": "torch", "precision": "int8", "calibrate": "."}, "torch takes fp32 and fp16"),
        (
            {"most_changed": 0.5},
            r"--most-changed 0\.5: it is a share of labels, 0 to 1, and of fp16 and int8; the precision is fp32",
        ),
        ({"threshold": 0.3}, "a threshold is for one class against another, and semantic has 7 classes"),
    ],
)
def test_options_that_do_not_go_together(checkpoint: Path, tmp_path: Path, options: dict[str, object], said: str) -> None:
    given = {"out": "net.onnx", "format": "onnx", "embed_pixels": True} | options
    with pytest.raises(SpecError, match=said):
        export_checkpoint(checkpoint, tmp_path / str(given.pop("out")), **given)  # type: ignore[arg-type]  # of several kinds
    assert not list(tmp_path.iterdir())


def test_runtimes_without_a_device(exported: Export) -> None:
    with pytest.raises(SpecError, match="OpenVINO files are run on the CPU; got the device 'cuda'"):
        fullconv.load(exported("openvino")[0], "cuda")
    with pytest.raises(SpecError, match="torch finds no device 'nothing' here"):
        fullconv.load(exported("onnx")[0], "nothing")
