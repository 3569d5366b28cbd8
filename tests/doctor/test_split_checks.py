"""What the doctor says of splits: few images to measure on, groups that are cut, and tiny folders from init on."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from planted import Folder, mask, photograph, says

from fullconv.data import open_dataset
from fullconv.data.folder.init_recipe import starter
from fullconv.doctor import examine
from fullconv.doctor.sources import open_sources
from fullconv.spec import DataSpec, FolderSpec
from fullconv.spec.recipe import load_recipe


def flat(root: Path, count: int) -> Path:
    for number in range(count):
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / "masks").mkdir(exist_ok=True)
        photograph(number).save(root / "images" / f"{number:03}.png")
        Image.fromarray(mask(number)).save(root / "masks" / f"{number:03}.png")
    return root


def recipe_of(root: Path) -> DataSpec:
    path = root.parent / f"{root.name}.yaml"
    path.write_text(starter(root, root.name, preferred=False))
    return load_recipe(path).data


@pytest.mark.parametrize(("count", "val"), [(2, 1), (3, 1), (4, 1), (8, 2), (9, 2)])
def test_every_small_folder_has_one_to_validate_on_and_a_warning(tmp_path: Path, count: int, val: int) -> None:
    spec = recipe_of(flat(tmp_path / "tiny", count))
    assert (len(open_dataset(spec, spec.train)), len(open_dataset(spec, spec.val))) == (count - val, val)
    (finding,) = [found for found in examine(spec).findings if found.kind == "few images to measure on"]
    says(finding, "warning", val, rf"^of {count} images {val} (is|are) drawn to validate on")
    assert "fullconv crossval" in finding.fix


def test_from_ten_on_it_is_a_note_and_with_enough_nothing(tmp_path: Path) -> None:
    spec = recipe_of(flat(tmp_path / "some", 12))
    (finding,) = [found for found in examine(spec).findings if found.kind == "few images to measure on"]
    assert (finding.level, finding.count) == ("note", 2)
    more = spec.model_copy(update={"folder": spec.folder.model_copy(update={"val_share": 0.83})})
    assert "few images to measure on" not in {found.kind for found in examine(more).findings}


def test_one_pair_is_trained_and_measured_on_with_a_warning(tmp_path: Path) -> None:
    spec = recipe_of(flat(tmp_path / "one", 1))
    assert (spec.train, spec.val) == ("train", "train")
    assert "scores on it say nothing about new images" in (tmp_path / "one.yaml").read_text()
    found = examine(spec)
    assert found.of("error") == []
    assert [finding.kind for finding in found.of("warning")] == ["no validation split"]


def test_groups_on_both_sides_of_given_splits(folder: Folder) -> None:
    for number in (10, 11):
        for path in (folder.image(number), folder.mask(number)):
            shutil.move(path, path.with_name(f"1{number}{path.suffix}"))  # 110 and 111, as 1 in train
    spec = folder.spec(folder=FolderSpec(group="{stem[:1]}"))
    (finding,) = [found for found in examine(spec).findings if found.kind == "groups on both sides"]
    says(finding, "error", 1, r"^1 group in train and in val: 1; 4 images of val$")
    strange = folder.spec(folder=FolderSpec(group="film([0-9]+)"))
    assert "images without a group" in {found.kind for found in examine(strange).of("error")}


def test_training_looks_into_pairs_spread_over_a_split(folder: Folder) -> None:
    sources = open_sources(folder.spec(), most=3)
    assert [[pair.name for pair in source.pairs] for source in sources] == [["0", "3", "6"], ["10", "11", "12"]]
    assert examine(folder.spec(), most=3).pairs == {"train": 3, "val": 3}
    assert examine(folder.spec(), most=4).pairs == {"train": 4, "val": 4}
