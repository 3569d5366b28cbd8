"""Exported files that are cut short, of others or untrue, and exports onto disks that end: one line, and nothing half written."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

import fullconv
from fullconv.cli import main
from fullconv.errors import DataError, FullconvError, SpecError, WeightsError
from fullconv.inference.exported import ExportedEngine
from fullconv.interop.export import Exported, export_checkpoint
from small_disk import files_of_at_most

Export = Callable[..., tuple[Path, Exported]]
Make = Callable[..., Path]
FORMATS = ("onnx", "openvino", "torch")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch.onnx")


# --- files ---


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("format", FORMATS)
def test_files_cut_short(exported: Export, tmp_path: Path, capfd: pytest.CaptureFixture[str], format: str, part: float) -> None:
    whole, _ = exported(format)
    cut = tmp_path / whole.name
    content = whole.read_bytes()
    cut.write_bytes(content[: int(part * len(content))])
    with pytest.raises(WeightsError, match=r"cannot be opened: .*copy it again"):
        fullconv.load(cut, "cpu")
    assert capfd.readouterr().err == ""  # runtimes print nothing of their own


def test_openvino_without_its_own_weights(exported: Export, tmp_path: Path) -> None:
    whole, found = exported("openvino")
    assert found.files == (whole, whole.with_suffix(".bin"))
    graph, weights = (Path(shutil.copy(file, tmp_path)) for file in found.files)
    assert fullconv.load(graph, "cpu").labels
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(WeightsError, match=r"the weights in .*\.bin are not those of .*\.xml; copy both again"):
        fullconv.load(graph, "cpu")
    weights.write_bytes(content[:1000])
    with pytest.raises(WeightsError, match=r"cannot be opened: .*; copy it again"):
        fullconv.load(graph, "cpu")
    weights.unlink()
    with pytest.raises(WeightsError, match=r"cannot be opened: .*; copy it again"):
        fullconv.load(graph, "cpu")


def test_files_from_elsewhere(exported: Export, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file; give a file that `fullconv export` wrote"):
        fullconv.load(tmp_path / "net.onnx")
    proto = onnx.load(exported("onnx")[0])
    (entry,) = proto.metadata_props
    for text, said in (
        ("{", "the metadata of .* are damaged"),
        ('{"export_format": 2}', "has export format 2; this version reads 1"),
        ('{"export_format": 1, "heads": 3}', "the metadata of .* are damaged"),
    ):
        entry.value = text
        onnx.save(proto, tmp_path / "net.onnx")
        with pytest.raises(WeightsError, match=said):
            fullconv.load(tmp_path / "net.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match="says nothing about its classes and images"):
        fullconv.load(tmp_path / "net.onnx")


def head(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["heads"]["semantic"].update(changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda said: said["inputs"]["rgb"].update(dtype="load"), "are damaged .*load"),
        (lambda said: said["inputs"]["rgb"].update(dtype=[]), "are damaged"),
        (lambda said: said["inputs"]["rgb"].update(dtype="uint8"), "does not run on 1 image of"),
        (lambda said: said["inputs"]["rgb"].update(channels=5), "does not run on 1 image of"),
        (lambda said: said["inputs"]["rgb"].update(channels=10**15), "are damaged .*its inputs have 1000000000000000 channels"),
        (lambda said: said["inputs"]["rgb"].update(channels=-1), "are damaged .*its inputs have -1 channels"),
        (lambda said: said.update(inputs={"smell": said["inputs"]["rgb"]}), r"are damaged .*the inputs \['smell'\]"),
        (lambda said: said.update(inputs={}), r"are damaged .*the inputs \[\]"),
        (lambda said: said.update(inputs=["rgb"]), "are damaged"),
        (lambda said: said["inputs"].update(hha=said["inputs"]["rgb"]), "does not run on 1 image of"),
        (lambda said: said.update(heads={}), r"are damaged .*it has the heads \[\]"),
        (lambda said: said["heads"].update(other=said["heads"]["semantic"]), "by its metadata it gives .*, float32"),
        (
            head(names=["a", "b"], colors=[[0, 0, 0], [9, 9, 9]]),
            r"gives float32 \(1, 7, 11, 14\) .* gives float32 \(1, 2, 11, 14\)",
        ),
        (head(names=[str(number) for number in range(10**6)]), "are damaged .*1 to 255 different names"),
        (lambda said: said.update(scale=float("nan")), "its scale is nan"),
        (lambda said: said.update(scale=-1), "its scale is -1"),
        (lambda said: said.update(threshold="high"), "are damaged .*high"),
        (lambda said: said.update(gives="scores"), "are damaged .*scores"),
        (lambda said: said.update(gives="labels"), "does not run|by its metadata it gives uint8"),
        (lambda said: said.update(image=3), "are damaged"),
        (lambda said: said.update(masks=3), "are damaged"),
    ],
)
def test_metadata_that_are_not_true(
    exported: Export, tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    proto = onnx.load(exported("onnx")[0])
    (entry,) = proto.metadata_props
    metadata = json.loads(entry.value)
    change(metadata)
    entry.value = json.dumps(metadata)
    onnx.save(proto, tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match=said):
        fullconv.load(tmp_path / "net.onnx", "cpu")


def write_graph(path: Path, metadata: dict[str, Any], type: int, operator: str, **options: Any) -> None:
    """One operator between an image and what ought to be logits."""
    image = helper.make_tensor_value_info("rgb", TensorProto.FLOAT, ["N", 3, "H", "W"])
    output = helper.make_tensor_value_info("semantic", type, None)
    graph = helper.make_graph([helper.make_node(operator, ["rgb"], ["semantic"], **options)], "g", [image], [output])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    proto.metadata_props.add(key="fullconv", value=json.dumps(metadata))
    onnx.save(proto, path)


@pytest.mark.parametrize(
    ("operator", "options", "type", "said"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, TensorProto.FLOAT, r"gives float32 \(1, 3, 5, 7\) for an image"),
        ("ReduceMean", {}, TensorProto.FLOAT, r"gives float32 \(1, 1, 1, 1\) for an image of 11×14"),
        ("Cast", {"to": TensorProto.INT32}, TensorProto.INT32, r"gives int32 \(1, 3, 11, 14\) for an image"),
        ("Cast", {"to": TensorProto.STRING}, TensorProto.STRING, "does not run on 1 image of 11×14"),
    ],
)
def test_graphs_of_others_under_our_metadata(
    exported: Export, tmp_path: Path, operator: str, options: dict[str, Any], type: int, said: str
) -> None:
    write_graph(tmp_path / "net.onnx", exported("onnx")[1].metadata, type, operator, **options)
    with pytest.raises(WeightsError, match=said):
        fullconv.load(tmp_path / "net.onnx", "cpu")


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt2"])
def test_other_files_under_their_names(checkpoint: Path, tmp_path: Path, suffix: str) -> None:
    net = tmp_path / f"net{suffix}"
    for content in (b"hello", checkpoint.read_bytes()):
        net.write_bytes(content)
        with pytest.raises(WeightsError, match=r"cannot be opened|is not from fullconv"):
            fullconv.load(net, "cpu")
    torch.save({"a": 1}, net)
    with pytest.raises(WeightsError, match="cannot be opened"):
        fullconv.load(net, "cpu")


def test_where_a_checkpoint_is_wanted(exported: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = exported("torch")
    with pytest.raises(SpecError, match=r"is an exported file already; export the model\.safetensors that it was made from"):
        export_checkpoint(path, tmp_path / "again.pt2", format="torch")
    given = ("train", "scenes-fcn32s-minivgg", "--model.weights", str(path), "--out", str(tmp_path / "run"))
    assert main(given) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_evaluated_on_other_classes(exported: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metadata = exported("onnx")[1].metadata
    metadata = metadata | {
        "heads": {"semantic": metadata["heads"]["semantic"] | {"names": ["a", "b", "c"], "colors": [[k] * 3 for k in range(3)]}}
    }
    write_graph(tmp_path / "three.onnx", metadata, TensorProto.FLOAT, "Relu")
    assert main(["evaluate", str(tmp_path / "three.onnx"), "--data", "scenes", "--count", "1"]) == 1
    assert "the model has 3 classes, the data 7" in capsys.readouterr().err


# --- exporting ---


def test_folders_that_do_not_calibrate(checkpoint: Path, make_checkpoint: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 images; give 2 or more"):
        export_checkpoint(checkpoint, tmp_path / "net.onnx", precision="int8", calibrate=tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        export_checkpoint(checkpoint, tmp_path / "net.onnx", precision="int8", calibrate=tmp_path / "photos")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="0 images; give 2 or more"):
        export_checkpoint(checkpoint, tmp_path / "net.onnx", precision="int8", calibrate=tmp_path)
    with pytest.raises(DataError, match=r"notes\.txt: no such folder"):
        export_checkpoint(checkpoint, tmp_path / "net.onnx", precision="int8", calibrate=tmp_path / "notes.txt")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="1 images; give 2 or more"):
        export_checkpoint(checkpoint, tmp_path / "net.onnx", precision="int8", calibrate=tmp_path)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"b\.png: cannot be read"):
        export_checkpoint(checkpoint, tmp_path / "net.onnx", precision="int8", calibrate=tmp_path)
    two = make_checkpoint(streams=("rgb", "hha"))
    with pytest.raises(SpecError, match="the model reads rgb, hha; export it as fp16"):
        export_checkpoint(two, tmp_path / "net.onnx", precision="int8", calibrate=tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png", "notes.txt"]


@pytest.mark.parametrize(
    ("format", "precision", "module", "extra"),
    [
        ("onnx", "fp32", "onnxruntime", "onnx"),
        ("onnx", "fp32", "onnxscript", "onnx"),
        ("openvino", "fp32", "openvino", "openvino"),
        ("openvino", "fp16", "onnx", "openvino"),
        ("onnx", "int8", "nncf", "int8"),
    ],
)
def test_what_is_not_installed_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, precision: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    out = tmp_path / f"net{'.xml' if format == 'openvino' else '.onnx'}"
    calibrate = tmp_path if precision == "int8" else None
    with pytest.raises(SpecError, match=rf"this needs {module}, .*pip install 'fullconv\[{extra}\]'"):
        export_checkpoint("never-read.safetensors", out, format=format, precision=precision, calibrate=calibrate)  # type: ignore[arg-type]  # names


def test_a_folder_in_the_files_place(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "net.pt2").mkdir()
    with pytest.raises(SpecError, match=r"net\.pt2: a folder; give the name of a file in it"):
        export_checkpoint(checkpoint, tmp_path / "net.pt2", format="torch")
    (tmp_path / "file").write_text("")
    with pytest.raises(FullconvError, match=r"cannot write .*untouched"):
        export_checkpoint(checkpoint, tmp_path / "file" / "net.pt2", format="torch")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "net.pt2"]


def test_a_disk_that_ends(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python ignores SIGXFSZ, so a file that grows too large is an error as a full disk is."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    old = tmp_path / "net.pt2"
    old.write_bytes(b"an older one")
    with files_of_at_most(100_000), pytest.raises(FullconvError, match=r"cannot write the file to be tried, .*set TMPDIR"):
        export_checkpoint(checkpoint, old, format="torch")
    assert old.read_bytes() == b"an older one"
    assert not list((tmp_path / "scratch").iterdir())


def test_openvinos_two_files_are_both_new_or_both_old(exported: Export, tmp_path: Path) -> None:
    from fullconv.interop.export.export import _put

    new, _ = exported("openvino")
    graph, weights = tmp_path / "net.xml", tmp_path / "net.bin"
    graph.write_bytes(b"old graph")
    weights.write_bytes(b"old weights")
    with files_of_at_most(200_000), pytest.raises(FullconvError, match=r"cannot write .*net\.bin: .*untouched"):
        _put(new, graph)
    assert (graph.read_bytes(), weights.read_bytes()) == (b"old graph", b"old weights")
    assert len(list(tmp_path.iterdir())) == 2
    assert _put(new, graph) == (graph, weights)
    assert ExportedEngine(graph, "cpu").heads


def test_ctrl_c_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the file is tried, which takes the most time."""
    scratch, out = tmp_path / "scratch", tmp_path / "out" / "net.pt2"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def interrupted(*arguments: object) -> None:
        assert list(scratch.glob("*/model.pt2"))
        raise KeyboardInterrupt

    monkeypatch.setattr("fullconv.interop.export.export.measure", interrupted)
    assert main(["export", str(checkpoint), "--format", "torch", "--out", str(out)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"
    assert not list(scratch.iterdir())
    assert not out.exists()
