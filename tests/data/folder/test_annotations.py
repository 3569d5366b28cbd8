"""Exports of annotation tools as ground truth: recognised, paired, drawn, checked; and what is wrong with them in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from exports import EXPORTS, H, W, coco, labelme, roboflow, truth, via, write_images, write_json, yolo
from PIL import Image

from fullconv.data import open_dataset
from fullconv.data.folder.annotations import annotated_pairs, load, values_of
from fullconv.data.folder.guess import guess_spec
from fullconv.data.folder.init_recipe import starter
from fullconv.data.folder.layout import guess_layout
from fullconv.doctor.examine import examine, open_context
from fullconv.doctor.repair import copied, repair
from fullconv.errors import DataError, SpecError
from fullconv.spec import DataSpec, FolderSpec, Recipe
from fullconv.spec.recipe import load_recipe

LABELS = {"background": 0, "cat": 1, "dog": 2}


def init(root: Path) -> Recipe:
    path = root.parent / "own.yaml"
    path.write_text(starter(root, "own", preferred=False), encoding="utf-8")
    return load_recipe(path)


def recipe_for(root: Path, annotations: str, **more: object) -> DataSpec:
    folder = FolderSpec(images="images", annotations=annotations, **more)
    return DataSpec(name="folder", root=root, labels=LABELS, folder=folder, val="train")


def masks_of(spec: DataSpec) -> dict[str, np.ndarray]:
    samples = [sample for split in dict.fromkeys((spec.train, spec.val)) for sample in open_dataset(spec, split)]
    return {sample.name: sample.targets["semantic"].numpy() for sample in samples}


@pytest.mark.parametrize("name", EXPORTS)
def test_what_init_writes_reads_the_masks_that_the_tool_means(name: str, tmp_path: Path) -> None:
    write, expected = EXPORTS[name]
    root = tmp_path / "own"
    root.mkdir()
    write(root)
    if "roboflow" in name or "yolo" in name:
        data = init(root).data
    else:  # two images may all fall to one split when they are drawn
        data = init(root).data.model_copy(update={"train": "train", "val": "train"})
        data = data.model_copy(update={"folder": data.folder.model_copy(update={"val_share": 0.0})})
    assert list(data.labels) == list(LABELS)
    found = masks_of(data)
    assert len(found) == (3 if "roboflow" in name or "yolo" in name else 2)
    for mask in found.values():
        np.testing.assert_array_equal(mask, expected)
    assert not examine(data).of("error")


def test_splits_of_an_export_are_those_of_the_recipe(tmp_path: Path) -> None:
    yolo(tmp_path / "own")
    recipe = init(tmp_path / "own")
    assert (recipe.data.train, recipe.data.val) == ("train", "val")
    assert [sample.name for sample in open_dataset(recipe.data, "val")] == ["valid/images/c"]
    assert "does not list" not in starter(tmp_path / "own", "own", preferred=False)
    root = tmp_path / "two"
    write_images(root / "images", ("a", "b", "c"))
    coco(root, ["a.jpg", "b.jpg"], "annotations/instances_train2017.json")
    coco(root, ["c.jpg"], "annotations/instances_val2017.json")
    write_json(root / "annotations" / "captions_train2017.json", {"images": [], "annotations": []})
    recipe = init(root)
    assert recipe.data.folder.annotations == "annotations/instances_{split}.json"
    assert [len(open_dataset(recipe.data, split)) for split in (recipe.data.train, recipe.data.val)] == [2, 1]


def test_a_class_that_an_export_gains_moves_no_other(tmp_path: Path) -> None:
    coco(tmp_path)
    spec = recipe_for(tmp_path, "annotations/instances_default.json")
    path = tmp_path / "annotations" / "instances_default.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 0, "name": "ant"}, *content["categories"]]
    path.write_text(json.dumps(content))
    np.testing.assert_array_equal(masks_of(spec)["a"], truth("cat"))
    content["annotations"].append({**content["annotations"][0], "category_id": 0})
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"1 shapes of the class 'ant', which data.labels does not have.*rename: \{ant: \w+\}"):
        open_dataset(spec, "train")
    renamed = recipe_for(
        tmp_path, "annotations/instances_default.json", rename={"ant": "background", "dog": "ignore"}, val_share=0
    )
    assert set(np.unique(masks_of(renamed)["b"])) == {0, 1, 255}
    with pytest.raises(SpecError, match=r"rename: ant counts as 'bee', which is not in data.labels"):
        values_of(LABELS, {"ant": "bee"})


def test_crowds_are_ignored_and_lie_below(tmp_path: Path) -> None:
    coco(tmp_path)
    path = tmp_path / "annotations" / "instances_default.json"
    content = json.loads(path.read_text())
    content["annotations"][1]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    data = init(tmp_path).data
    assert data.labels == {**LABELS, "__ignore__": "ignore"}
    expected = truth("cat")
    expected[expected == 2] = 255
    np.testing.assert_array_equal(load_mask(data, "a"), expected)


def load_mask(data: DataSpec, name: str) -> np.ndarray:
    folder = data.folder.model_copy(update={"val_share": 0.0})
    return masks_of(data.model_copy(update={"val": "train", "folder": folder}))[name]


@pytest.mark.parametrize(
    "file",
    ["C:\\Users\\me\\images\\a.jpg", "/home/me/photos/a.jpg", "A.JPG", "https://host/x/a.jpg?size=1", "images/a.png", "%61.jpg"],
)
def test_images_are_found_whatever_machine_named_them(file: str, tmp_path: Path) -> None:
    coco(tmp_path, [file])
    found = annotated_pairs(tmp_path, FolderSpec(images="images", annotations="annotations/instances_default.json"), "train")
    assert [pair.image for pair in found.pairs] == [tmp_path / "images" / "a.jpg"]
    assert found.unlisted == 1


def test_images_that_are_not_there_are_told(tmp_path: Path) -> None:
    coco(tmp_path, ["a.jpg", "gone.jpg"])
    text = starter(tmp_path, "own", preferred=False)
    assert "# Note: 1 images that it lists are not there, such as gone.jpg" in text
    assert "# Note: 1 images that it does not list are left out" in text
    spec = recipe_for(tmp_path, "annotations/instances_default.json", val_share=0.0)
    found = {finding.kind: finding.what for finding in examine(spec).findings}
    assert found["annotated images missing"] == "1 image that the annotations list and that is not there: gone.jpg"
    assert found["images without annotations"] == "1 image that the annotations do not list, left out"
    (tmp_path / "images" / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"none of its 2 images is among the 1 in .*images: a.jpg, gone.jpg; put them there"):
        starter(tmp_path, "own", preferred=False)


@pytest.mark.parametrize(("files", "how"), [(["a.jpg", "a.jpg"], ";"), (["a.jpg", "A.JPG"], ", as 'a.jpg' and as 'A.JPG';")])
def test_an_image_that_is_listed_twice_is_told(files: list[str], how: str, tmp_path: Path) -> None:
    coco(tmp_path, files)
    with pytest.raises(DataError, match=rf"lists .*a.jpg twice{how} keep one of them"):
        annotated_pairs(tmp_path, FolderSpec(images="images", annotations="annotations/instances_default.json"), "train")


def test_two_images_that_fit_are_asked_about(tmp_path: Path) -> None:
    coco(tmp_path)
    write_images(tmp_path / "copy")
    spec = FolderSpec(images="elsewhere", annotations="annotations/instances_default.json")
    with pytest.raises(DataError, match=r"'a.jpg' may be .*copy/a.jpg or .*images/a.jpg; set data.folder.images"):
        annotated_pairs(tmp_path, spec, "train")


def test_a_mask_of_another_size_than_its_image_is_refused(tmp_path: Path) -> None:
    coco(tmp_path)
    Image.new("RGB", (W + 1, H)).save(tmp_path / "images" / "a.jpg")
    spec = recipe_for(tmp_path, "annotations/instances_default.json")
    with pytest.raises(DataError, match=rf"instances_default.json \(a.jpg\): the mask is {H}×{W} but its image a.jpg is"):
        masks_of(spec.model_copy(update={"folder": spec.folder.model_copy(update={"val_share": 0.0})}))
    assert any("size" in finding.kind for finding in examine(spec).of("error"))


def test_which_attribute_of_via_is_the_class_is_asked(tmp_path: Path) -> None:
    via(tmp_path)
    path = tmp_path / "via_project.json"
    path.write_text(path.read_text().replace('{"kind": "dog"}', '{"kind": "dog", "age": "old"}'))
    with pytest.raises(DataError, match=r"regions have the attributes kind, age.*data.folder.class_attribute: kind"):
        starter(tmp_path, "own", preferred=False)
    assert load(path, "kind").classes == ("cat", "dog")


def test_a_folder_is_checked_as_the_recipe_of_it(tmp_path: Path) -> None:
    labelme(tmp_path)
    assert guess_spec(tmp_path).labels == LABELS


def test_fix_writes_masks_and_a_list(tmp_path: Path) -> None:
    coco(tmp_path / "own")
    spec = recipe_for(tmp_path / "own", "annotations/instances_default.json")
    spec = spec.model_copy(update={"folder": spec.folder.model_copy(update={"val_share": 0.0})})
    done = repair(open_context(spec), tmp_path / "fixed")
    assert done.kept == 2
    again = masks_of(copied(spec, tmp_path / "fixed"))
    for mask in again.values():
        np.testing.assert_array_equal(mask, truth("cat"))
    assert len(again) == 2


def test_special_names_of_labelme(tmp_path: Path) -> None:
    labelme(tmp_path)
    for path in tmp_path.glob("*.json"):
        path.write_text(path.read_text().replace('"cat"', '"__ignore__"').replace('"dog"', '"_background_"'))
    (tmp_path / "b.json").write_text((tmp_path / "b.json").read_text().replace("_background_", "cow"))
    data = init(tmp_path).data
    assert data.labels == {"background": 0, "cow": 1, "__ignore__": "ignore"}
    assert set(np.unique(load_mask(data, "a"))) == {0, 255}


def test_several_exports_are_asked_about(tmp_path: Path) -> None:
    coco(tmp_path, where="one.json")
    coco(tmp_path, where="two.json")
    with pytest.raises(DataError, match=r"2 files of annotations in .*: one.json, two.json; move those away"):
        starter(tmp_path, "own", preferred=False)


def test_a_folder_of_two_parts_of_an_export(tmp_path: Path) -> None:
    coco(tmp_path, ["a.jpg"], where="parts/one.json")
    coco(tmp_path, ["b.jpg"], where="parts/two.json")
    found = annotated_pairs(tmp_path, FolderSpec(images="images", annotations="parts"), "train")
    assert [pair.name for pair in found.pairs] == ["a", "b"]


def test_corners_far_outside_the_image(tmp_path: Path) -> None:
    coco(tmp_path)
    path = tmp_path / "annotations" / "instances_default.json"
    content = json.loads(path.read_text())
    content["annotations"] = [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": [[-1000, -1000, 1000, -1000, 1000, 1000, -1000, 1000]],
            "iscrowd": 0,
        }
    ]
    path.write_text(json.dumps(content))
    spec = recipe_for(tmp_path, "annotations/instances_default.json", val_share=0.0)
    found = masks_of(spec)
    assert (found["a"] == 1).all()
    assert (found["b"] == 0).all()


def rewritten(path: Path, **parts: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))


def annotations_of(path: Path) -> list[dict[str, object]]:
    return list(json.loads(path.read_text())["annotations"])


@pytest.mark.parametrize("kind", ["boxes", "none", "of other images", "crowds"])
def test_annotations_that_all_fall_away_get_no_recipe(kind: str, tmp_path: Path) -> None:
    coco(tmp_path)
    path = tmp_path / "annotations" / "instances_default.json"
    change = {"boxes": {"segmentation": []}, "none": {}, "of other images": {"image_id": 77}, "crowds": {"iscrowd": 1}}[kind]
    rewritten(path, annotations=[one | change for one in annotations_of(path)] if kind != "none" else [])
    came = {
        "boxes": "only 4 × box without segmentation, left out",
        "none": "no shapes at all",
        "of other images": "only 4 × annotation of an image that the file does not list, left out",
        "crowds": "no shapes at all",
    }[kind]
    with pytest.raises(DataError, match=f"2 images and no shape of a class that can be drawn; {came}; export segmentations"):
        starter(tmp_path, "own", preferred=False)


def test_ids_that_are_numbers_here_and_texts_there(tmp_path: Path) -> None:
    coco(tmp_path)
    path = tmp_path / "annotations" / "instances_default.json"
    changed = [
        one | {"image_id": str(one["image_id"]), "category_id": float(str(one["category_id"]))} for one in annotations_of(path)
    ]
    rewritten(path, annotations=changed)
    spec = recipe_for(tmp_path, "annotations/instances_default.json", val_share=0.0)
    assert len(masks_of(spec)) == 2
    for mask in masks_of(spec).values():
        np.testing.assert_array_equal(mask, truth("cat"))


def test_names_are_trimmed_and_those_that_differ_by_case_are_told(tmp_path: Path) -> None:
    labelme(tmp_path)
    for name, spelling in (("a", "Cat "), ("b", " cat")):
        file = tmp_path / f"{name}.json"
        file.write_text(file.read_text().replace('"cat"', f'"{spelling}"').replace('"dog"', f'"dog{" " * (name == "a")}"'))
    text = starter(tmp_path, "own", preferred=False)
    assert "# Note: the classes Cat, cat differ by case only: if they are one, say so by data.folder.rename: {cat: Cat}" in text
    spec = init(tmp_path).data
    assert list(spec.labels) == ["background", "Cat", "dog", "cat"]
    found = {finding.kind: finding for finding in examine(spec).findings}["classes that differ by case"]
    assert (found.level, found.what) == ("warning", "classes that differ by case only: Cat, cat")
    spec.folder.rename["cat"] = "Cat"
    assert "classes that differ by case" not in {finding.kind for finding in examine(spec).findings}


def test_init_says_how_many_images_an_export_has(tmp_path: Path) -> None:
    yolo(tmp_path / "own")
    said = guess_layout(tmp_path / "own").said
    assert said == "YOLO annotations in data.yaml: 2 images to train on, 1 to validate on; masks are drawn from them"
    roboflow(tmp_path / "three")
    assert "test" not in guess_layout(tmp_path / "three").said
    (tmp_path / "three" / "valid").rename(tmp_path / "three" / "test")
    roboflow(tmp_path / "three")
    assert (
        "; there is a split test as well: `fullconv evaluate MODEL --data RECIPE --split test`"
        in guess_layout(tmp_path / "three").said
    )
    labelme(tmp_path / "two")
    assert guess_layout(tmp_path / "two").said.startswith("LabelMe annotations in two: 2 images, of which 20 % are drawn")
