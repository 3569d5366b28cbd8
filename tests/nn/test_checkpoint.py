import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fullconv.errors import FullconvError, WeightsError
from fullconv.labels import LabelSet, voc_colors
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import KEY, load_checkpoint, read_header, save_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.nn.normalise import Normalise
from fullconv.spec import ModelSpec
from small_disk import files_of_at_most

LABELS = {"semantic": LabelSet(("floor", "wall", "sky"), voc_colors(3))}
GREY = {"channels": "RGB", "range": [0, 1], "mean": [0], "std": [1]}
HISTORY = [{"stage": "32s", "steps": 3}]


@pytest.fixture(scope="module")
def model() -> FCN:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn16s-minivgg", deconvolution="learned"), {"semantic": 3})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.normalise["rgb"] = Normalise({"channels": "BGR", "range": [0, 255], "mean": [1, 2, 3], "std": [4, 5, 6]})
    return model.eval()


@pytest.fixture
def path(model: FCN, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "model.safetensors", model, LABELS, HISTORY)
    return tmp_path / "model.safetensors"


def test_a_model_comes_back_with_all_that_it_needs(model: FCN, path: Path) -> None:
    found = load_checkpoint(path)
    image = torch.randint(0, 256, (1, 3, 37, 50), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(found.model(image)["semantic"], model(image)["semantic"])
    assert found.labels == LABELS
    assert found.history == HISTORY
    assert found.model.spec == model.spec
    assert found.model.preprocessing == model.preprocessing
    assert found.header["format"] == 2
    assert found.header["versions"].keys() >= {"fullconv", "torch"}
    assert not found.model.training
    assert read_header(path) == found.header


@pytest.mark.parametrize("labels", [["a", "b", "c"], {"semantic": ["a", "b", "c"]}, LABELS["semantic"]])
def test_labels_are_a_label_set_for_each_head(model: FCN, labels: object, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"give a LabelSet for every head, such as \{'semantic': LabelSet\(names\)\}"):
        save_checkpoint(tmp_path / "m.safetensors", model, labels)  # type: ignore[arg-type]  # that is what is tested


def test_labels_must_fit_the_heads(model: FCN, tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"label sets for the heads \['other'\] do not fit a model with the heads \{'semantic': 3\}"
    ):
        save_checkpoint(tmp_path / "m.safetensors", model, {"other": LABELS["semantic"]})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no checkpoint .*m.safetensors: no such file; give a model.safetensors"):
        load_checkpoint(tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match="it is a folder"):
        load_checkpoint(tmp_path)


def test_a_name_that_is_too_long() -> None:
    with pytest.raises(WeightsError, match=r"cannot read a+: File name too long"):
        load_checkpoint("a" * 5000)


def test_an_empty_file(path: Path) -> None:
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match="is empty; copy it again"):
        load_checkpoint(path)


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.999])
def test_a_file_cut_short(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: max(1, int(len(content) * share))])
    with pytest.raises(WeightsError, match="is damaged or cut short"):
        load_checkpoint(path)


def test_noise(path: Path) -> None:
    path.write_bytes(b"\xff" * 1000)
    with pytest.raises(WeightsError, match=r"is no .safetensors file; give a model.safetensors"):
        load_checkpoint(path)


@pytest.mark.parametrize("zip_format", [True, False])
def test_a_pickle_is_never_opened(path: Path, zip_format: bool) -> None:
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(WeightsError, match=r"is a pickle \(.pt, .pth, .ckpt\), which could run code and is never opened"):
        load_checkpoint(path)


@pytest.mark.parametrize("metadata", [None, {"preprocessing": "{}"}])
def test_weights_of_another_kind(path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"a": torch.zeros(2)}, path, metadata)
    with pytest.raises(
        WeightsError, match=r"holds weights, but no fullconv model: (it has no header|its header has preprocessing)"
    ):
        load_checkpoint(path)


def rewrite(path: Path, **changes: object) -> None:
    header = read_header(path) | changes
    save_file(load_file(path), path, {KEY: json.dumps({k: v for k, v in header.items() if v is not None})})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "has format 3; this version reads the formats 1 to 2: update fullconv"),
        ({"format": None}, "has format None"),
        ({"heads": None}, "contradicts itself: KeyError: 'heads'"),
        ({"heads": {"semantic": {"names": ["a"]}}}, "contradicts itself: a label set needs names, colors"),
        ({"heads": {"semantic": LabelSet(("a", "b"), voc_colors(2)).to_dict()}}, "contradicts itself: RuntimeError"),
        ({"model": {"name": "fcn8s-minivgg"}}, "contradicts itself: RuntimeError"),
        ({"model": {"name": "fcn8s-nonesuch"}}, "a backbone that is not here: no backbone is called 'nonesuch'"),
        ({"model": {"nam": "fcn8s-minivgg"}}, "contradicts itself: ValidationError"),
        ({"preprocessing": {"rgb": GREY}}, r"contradicts itself: preprocessing .* is not of rgb, which has 3 channels"),
        ({"preprocessing": {"rgb": {"channels": "log depth", "mean": [7.8]}}}, "is not of rgb, which has 3 channels"),
        ({"preprocessing": {"rgb": GREY | {"mean": [0] * 3, "std": [math.inf] * 3}}}, "preprocessing .* is not known"),
        ({"preprocessing": {"rgb": GREY | {"mean": [10**400] * 3}}}, "contradicts itself: preprocessing .* is not complete"),
        ({"scale": 10**400}, "contradicts itself: OverflowError"),
        ({"preprocessing": {"rgb": {}}}, "contradicts itself: preprocessing"),
        ({"preprocessing": {"thermal": GREY}}, "contradicts itself: it prepares thermal, and reads rgb"),
        ({"preprocessing": {}}, "contradicts itself: it prepares nothing, and reads rgb"),
    ],
)  # fmt: skip
def test_a_header_that_does_not_fit(path: Path, changes: dict[str, object], message: str) -> None:
    rewrite(path, **changes)
    with pytest.raises(WeightsError, match=message) as raised:
        load_checkpoint(path)
    assert "\n" not in str(raised.value)


def test_a_header_that_is_no_json(path: Path) -> None:
    save_file({"a": torch.zeros(2)}, path, {KEY: "{"})
    with pytest.raises(WeightsError, match="has a damaged header"):
        load_checkpoint(path)


def test_an_unwritable_place(model: FCN, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FullconvError, match=r"cannot write .*file/m.safetensors: .* choose another folder"):
        save_checkpoint(tmp_path / "file" / "m.safetensors", model, LABELS)


def test_a_full_disk_keeps_the_old_file(model: FCN, path: Path) -> None:
    before = path.read_bytes()
    with (
        files_of_at_most(100_000),
        pytest.raises(FullconvError, match=f"cannot write {path}: .* What was there before is untouched; free space"),
    ):
        save_checkpoint(path, model, LABELS, [{"stage": "other"}])
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_kill_while_saving_leaves_a_whole_file(path: Path) -> None:
    script = """
import os, signal, sys, time, torch
from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint
torch.set_num_threads(1)
found = load_checkpoint(sys.argv[1])
for delay in (0.0, 0.004, 0.011, 0.03, 0.07):
    child = os.fork()
    if child == 0:
        while True:
            save_checkpoint(sys.argv[1], found.model, found.labels)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(*load_checkpoint(sys.argv[1]).labels)
"""
    # Python 3.12 and later say of every fork beside threads, which torch has, that it may lock up
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "semantic\n" * 5


def test_a_file_of_format_1_is_read(model: FCN, path: Path) -> None:
    """Its names are written out here; FCN-16s has the score layers 32 and 16 and upsamplings to 16 and to the image."""
    old = {
        "core.heads.semantic.score.rgb.0.weight": "score.semantic.rgb.32.weight",
        "core.heads.semantic.score.rgb.0.bias": "score.semantic.rgb.32.bias",
        "core.heads.semantic.score.rgb.1.weight": "score.semantic.rgb.16.weight",
        "core.heads.semantic.score.rgb.1.bias": "score.semantic.rgb.16.bias",
        "core.heads.semantic.upsample.0.weight": "upsample.semantic.16.weight",
        "core.heads.semantic.upsample.1.weight": "upsample.semantic.1.weight",
    }
    tensors = {old.get(name, name.replace("core.trunks", "trunks")): value for name, value in load_file(path).items()}
    tensors |= {"normalise.rgb.mean": torch.zeros(3, 1, 1), "normalise.rgb.std": torch.ones(3, 1, 1)}
    header = read_header(path) | {"format": 1}
    save_file(tensors, path, {KEY: json.dumps(header)})
    image = torch.randint(0, 256, (1, 3, 37, 50), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(load_checkpoint(path).model(image)["semantic"], model(image)["semantic"])


def test_a_file_that_does_not_say_where_its_maps_lie_has_them_in_their_windows(tmp_path: Path) -> None:
    path = tmp_path / "lite.safetensors"
    model = build_model(ModelSpec(name="fcn32s-efficientnet_lite0", centre="window"), 2)
    save_checkpoint(path, model, {"semantic": LabelSet(("a", "b"))})
    header = read_header(path)
    del header["model"]["centre"]
    save_file(load_file(path), path, {KEY: json.dumps(header)})
    older = load_checkpoint(path).model
    assert older.alignment == model.alignment
    assert older.alignment != build_model("fcn32s-efficientnet_lite0", 2).alignment


def test_preprocessing_stands_in_the_header_alone(path: Path) -> None:
    assert not [name for name in load_file(path) if name.startswith("normalise")]
    assert read_header(path)["preprocessing"]["rgb"]["mean"] == [1, 2, 3]
