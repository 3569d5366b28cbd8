"""Every command that takes the name of a data set, on every data set that has one, with nothing but the name and its folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from made_sets import MADE, SIZE

from fullconv.cli import main
from fullconv.cli.ground_truth import open_ground_truth
from fullconv.data import DATASETS, open_dataset, spec_of
from fullconv.data.sets.cards import CARDS
from fullconv.errors import DataError
from fullconv.inference.load import load
from fullconv.labels import VOC
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import DataSpec, ModelSpec
from fullconv.spec.recipe import load_recipe

NAMES = [name for name in DATASETS if name != "folder"]
ENDS = {  # the labels of the corner, of the middle and of the upper edge
    "voc2012": ("background", "person", None),
    "camvid": ("sky", "car", None),
    "cityscapes": ("road", "car", None),
    "ade20k": ("wall", "flag", None),
    "oxford-pets": ("background", "pet", None),
    "coco-stuff": ("person", "wood", None),
    "loveda": ("background", "agriculture", None),
    "kvasir": ("background", "polyp", "background"),
    "siftflow": ("awning", "sky", None),
}


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each, made when it is first asked for."""

    class Copies(dict[str, Path]):
        def __missing__(self, name: str) -> Path:
            self[name] = tmp_path_factory.mktemp(name)
            MADE[name](self[name])
            return self[name]

    return Copies()


def test_all_are_here() -> None:
    assert sorted(MADE) == sorted(CARDS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_evaluate_tune_check_and_train_take_the_name(
    name: str, copies: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copies[name]
    recipe = {"data": {"name": name, "root": str(root), "train": CARDS[name].train, "val": CARDS[name].val, "size": None}}
    data = load_recipe("scenes-fcn32s-minivgg", recipe).data
    assert (data.train, data.val) == (spec_of(name).train, spec_of(name).val)
    found = {split: open_dataset(data, split) for split in (data.train, data.val)}
    assert all(len(each) and each[0].targets["semantic"].shape[-2:] == each[0].size for each in found.values())
    labels = found[data.train].labels["semantic"]
    assert labels == found[data.val].labels["semantic"]
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn32s-minivgg", hidden_layers=False), {"semantic": len(labels)})
    save_checkpoint(tmp_path / "model.safetensors", model, {"semantic": labels})
    place = [] if name == "scenes" else ["--root", str(root)]
    asked = [str(tmp_path / "model.safetensors"), "--data", name, *place, "--count", "1", "--json"]
    assert main(["evaluate", *asked]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["images"] == 1
    assert measured["dataset"].endswith(f" {data.val}")
    predictor = load(tmp_path / "model.safetensors", "cpu")
    tuned = open_ground_truth(name, root, None, 1, "semantic", [predictor], refined=True, default="train")  # as tune opens it
    assert (len(tuned), len(tuned[0].inputs)) == (1, 1)
    assert tuned.labels["semantic"] == labels


def test_tune_itself_on_the_set_on_which_it_failed(
    copies: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn32s-minivgg", hidden_layers=False), {"semantic": len(VOC)})
    save_checkpoint(tmp_path / "model.safetensors", model, {"semantic": VOC})
    root = copies["sbd-voc2011"]
    command = [
        "tune",
        str(tmp_path / "model.safetensors"),
        "--data",
        "sbd-voc2011",
        "--root",
        str(root),
        "--count",
        "1",
        "--json",
    ]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "sbd train"


@pytest.mark.parametrize("name", ["voc2012", "camvid", "cityscapes", "ade20k", "oxford-pets", "coco-stuff", "loveda", "kvasir"])
def test_data_check_takes_the_name(name: str, copies: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["data", "check", name, "--root", str(copies[name]), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (code, [finding["what"] for finding in found["findings"] if finding["level"] == "error"]) == (0, [])


@pytest.mark.parametrize("name", ENDS)
def test_values_mean_what_the_authors_say(name: str, copies: dict[str, Path]) -> None:
    spec = spec_of(name, copies[name])
    data = open_dataset(spec, spec.val)
    sample = data[0]
    labels = sample.targets["semantic"].numpy()
    assert labels.shape == SIZE
    names = dict(enumerate(data.labels["semantic"].names))
    assert tuple(names.get(int(labels[at])) for at in ((15, 0), (8, 10), (0, 0))) == ENDS[name]
    assert (labels[labels >= len(names)] == 255).all()


def test_counts_of_classes_and_what_is_not_measured() -> None:
    from fullconv.data.sets.ade20k import ADE20K_FOLDER
    from fullconv.data.sets.cityscapes import CITYSCAPES_FOLDER
    from fullconv.data.sets.coco_stuff import COCO_STUFF_FOLDER

    for folder, classes, values in ((CITYSCAPES_FOLDER, 19, 34), (ADE20K_FOLDER, 150, 151), (COCO_STUFF_FOLDER, 171, 171)):
        meaning = dict(folder.layouts[0][1].meaning)
        assert len(folder.layouts[0][1].labels) == classes
        assert len(meaning) - (255 in meaning) == values
        assert sorted({*meaning.values()} - {255}) == list(range(classes))
    absent = np.flatnonzero([value not in COCO_STUFF_FOLDER.layouts[0][1].meaning for value in range(182)])
    assert absent.tolist() == [11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90]  # labels.txt's 12, 26, … less one


@pytest.mark.parametrize("name", [name for name in NAMES if name != "scenes"])
def test_a_missing_folder_says_where_it_is_got_from(name: str, tmp_path: Path) -> None:
    spec = spec_of(name)
    with pytest.raises(DataError, match=r"needs its folder") as caught:
        open_dataset(spec, spec.val)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"looked for"):
        open_dataset(spec_of(name, tmp_path), spec.val)


@pytest.mark.parametrize(("name", "message"), [("cityscapes", "its masks are all void"), ("loveda", "it is not published")])
def test_a_split_without_truth_is_told(name: str, message: str, copies: dict[str, Path]) -> None:
    with pytest.raises(DataError, match=rf"{name} test has no ground truth: {message}"):
        open_dataset(DataSpec(name=name, root=copies[name]), "test")
    with pytest.raises(DataError, match=rf"no split 'dev' of {name}; there are train, val"):
        open_dataset(DataSpec(name=name, root=copies[name]), "dev")
    with pytest.raises(DataError, match=rf"fullconv data sets {name}"):
        open_dataset(DataSpec(name=name, root=copies["kvasir"]), "val")


def test_a_jpeg_mask_is_cut_at_half(tmp_path: Path) -> None:
    MADE["kvasir"](tmp_path)
    data = open_dataset(spec_of("kvasir", tmp_path), "train")
    other = open_dataset(spec_of("kvasir", tmp_path), "val")
    assert len(data) + len(other) == 30
    truth = np.zeros(SIZE, np.uint8)
    truth[4:12, 6:18] = 1
    assert (data[0].targets["semantic"].numpy() != truth).mean() < 0.03  # JPEG moves a border by a pixel at most
    for split, name in (("train", "cju3"), ("val", "cju4")):
        (tmp_path / "Kvasir-SEG" / f"{split}.txt").write_text(f"{name}.jpg\n")
    assert [open_dataset(spec_of("kvasir", tmp_path), split)[0].name for split in ("train", "val")] == ["cju3", "cju4"]


def test_the_list_of_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "sets"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in NAMES)
    assert main(["data", "sets", "--json"]) == 0
    assert sorted(json.loads(capsys.readouterr().out)) == sorted(NAMES)
    assert main(["data", "sets", "loveda"]) == 0
    told = capsys.readouterr().out
    for part in (
        "CC BY-NC-SA 4.0",
        "de2b196043ed9b4af1690b3f9a7d558f",
        "Train/Rural/images_png/0.png",
        "data check loveda --root DIR",
    ):
        assert part in told
    assert main(["data", "sets", "lovda"]) == 1
    assert "did you mean loveda?" in capsys.readouterr().err
