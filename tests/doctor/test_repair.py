"""Repaired copies: what is repaired, what is left, and that the source stays as it was."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from planted import Folder, mask, photograph, to_palette, turned

from fullconv.data import open_dataset
from fullconv.data.archive import MARK
from fullconv.data.sample import RGB, SEMANTIC
from fullconv.doctor import examine
from fullconv.doctor.examine import open_context
from fullconv.doctor.repair import TURNS, Repair, copied, repair, settings_of_copy
from fullconv.errors import SpecError
from fullconv.spec import DataSpec, FolderSpec


def state(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(root.rglob("*")) if p.is_file()}


def repaired(own: Folder, out: Path, **changes: object) -> tuple[Repair, DataSpec]:
    before = state(own.root)
    done = repair(open_context(own.spec(**changes)), out)
    assert state(own.root) == before
    return done, own.spec(**changes).model_copy(update={"root": out})


def test_a_sound_folder_is_copied_as_it_is(folder: Folder, tmp_path: Path) -> None:
    (folder.root / "classes.txt").write_text("ground\n")
    done, _ = repaired(folder, tmp_path / "copy")
    assert done == Repair(kept=14)
    assert state(tmp_path / "copy") == state(folder.root)
    assert done.summary() == "14 pairs copied, nothing to repair"


def test_what_cannot_be_read_or_is_alone_is_left_out(folder: Folder, tmp_path: Path) -> None:
    folder.image(0).write_bytes(folder.image(0).read_bytes()[:500])
    folder.mask(11).write_bytes(b"x")
    folder.mask(4).unlink()
    folder.image(5).unlink()
    done, spec = repaired(folder, tmp_path / "copy")
    assert (done.kept, sorted(done.left_out)) == (10, ["0", "11", "4", "5"])
    found = examine(spec)
    assert found.of("error") + found.of("warning") == []
    assert found.pairs == {"train": 7, "val": 3}


@pytest.mark.parametrize("orientation", range(5, 9))
@pytest.mark.parametrize("both", [True, False], ids=["mask too", "image only"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_rotations_are_applied(folder: Folder, tmp_path: Path, orientation: int, both: bool, suffix: str) -> None:
    folder.image(0).unlink()
    path, original = folder.image(0).with_suffix(suffix), photograph(0, (48, 64) if both else (64, 48))
    turned(path, original, orientation)
    with Image.open(path) as first:  # what JPEG cost the first time it may cost once more
        loss = np.abs(np.array(first).astype(int) - np.array(original)).mean()
    before = open_dataset(folder.spec(), "train")[0]
    done, spec = repaired(folder, tmp_path / "copy")
    assert done.turned == ["0"]
    after = open_dataset(spec, "train")[0]
    found = examine(spec)
    assert found.of("error") + found.of("warning") == []
    assert not any(finding.kind == "EXIF rotation" for finding in found.findings)
    image, labels = before.inputs[RGB].numpy().transpose(1, 2, 0), before.targets[SEMANTIC].numpy()
    if both:  # both were read as stored, and both are upright now
        image = np.array(Image.fromarray(np.ascontiguousarray(image)).transpose(TURNS[orientation]))
        labels = np.array(Image.fromarray(labels).transpose(TURNS[orientation]))
    assert after.targets[SEMANTIC].numpy().tolist() == labels.tolist()
    apart = np.abs(after.inputs[RGB].numpy().transpose(1, 2, 0).astype(int) - image)
    assert apart.mean() <= loss


def test_a_jpeg_whose_values_are_all_known_becomes_png(folder: Folder, tmp_path: Path) -> None:
    labels = np.zeros((48, 64), np.uint8)
    labels[:, 32:] = 248  # along a border of blocks nothing is lost
    for number in range(14):
        folder.mask(number).unlink()
        Image.fromarray(labels).save(folder.mask(number).with_suffix(".jpg"), quality=95)
    done, spec = repaired(folder, tmp_path / "copy", labels={"ground": 0, "house": 248})
    assert len(done.resaved) == 14
    assert (open_dataset(spec, "val")[0].targets[SEMANTIC].numpy() == (labels > 0)).all()
    found = examine(spec)
    assert found.of("error") + found.of("warning") == []


def test_the_palettes_colours_become_its_indices(folder: Folder, tmp_path: Path) -> None:
    for number in range(14):
        image = to_palette(mask(number))
        (image.convert("RGB") if number in (3, 12) else image).save(folder.mask(number))
    done, spec = repaired(folder, tmp_path / "copy")
    assert done.indexed == ["3", "12"]
    val = open_dataset(spec, "val")
    assert (val[2].targets[SEMANTIC].numpy() == mask(12)).all()


def test_what_only_a_person_knows_is_left(folder: Folder, tmp_path: Path) -> None:
    labels = mask(0)
    labels[20:30, 20:30] = 9
    Image.fromarray(labels).save(folder.mask(0))
    Image.fromarray(mask(1, (24, 32))).save(folder.mask(1))
    turned(folder.image(2), photograph(2), 3)
    before = {f.kind for f in folder.examine().findings if f.level != "note"}
    done, spec = repaired(folder, tmp_path / "copy")
    assert done == Repair(kept=14)
    assert {f.kind for f in examine(spec).findings if f.level != "note"} == before
    assert len(before) == 3


def test_a_list_of_pairs_is_written_anew(folder: Folder, tmp_path: Path) -> None:
    rows = [(folder.image(n), folder.mask(n), "train" if n < 10 else "val") for n in range(14)]
    lines = [f"{image.relative_to(folder.root)},{labels.relative_to(folder.root)},{split}" for image, labels, split in rows]
    (folder.root / "pairs.csv").write_text("\n".join(["image,mask,split", *lines]))
    folder.mask(1).unlink()
    done, spec = repaired(folder, tmp_path / "copy", folder=FolderSpec(pairs=Path("pairs.csv")))
    assert done.kept == 13
    assert len(open_dataset(spec, "train")) == 9


def test_a_list_in_a_folder_of_its_own(folder: Folder, tmp_path: Path) -> None:
    lists = folder.root / "lists"
    lists.mkdir()
    rows = [(folder.image(n), folder.mask(n), "train" if n < 10 else "val") for n in range(14)]
    lines = [",".join((os.path.relpath(image, lists), os.path.relpath(labels, lists), split)) for image, labels, split in rows]
    (lists / "pairs.csv").write_text("\n".join(["image,mask,split", *lines]))
    done, spec = repaired(folder, tmp_path / "copy", folder=FolderSpec(pairs=Path("lists/pairs.csv")))
    assert done.kept == 14
    assert len(open_dataset(spec, "train")) == 10


def test_a_list_elsewhere_is_never_written_to(folder: Folder, tmp_path: Path) -> None:
    lines = [f"{folder.image(n)},{folder.mask(n)},{'train' if n < 10 else 'val'}" for n in range(14)]
    outside = folder.root.parent / "pairs.csv"
    outside.write_text("\n".join(["image,mask,split", *lines]))
    before = outside.read_bytes()
    for pairs in (outside, Path("../pairs.csv")):
        context = open_context(folder.spec(folder=FolderSpec(pairs=pairs)))
        with pytest.raises(
            SpecError, match=r"--fix copies folders that hold their list; .*pairs.csv lies elsewhere: put it into"
        ):
            repair(context, tmp_path / "copy")
    assert outside.read_bytes() == before
    assert not (tmp_path / "copy").exists()


def test_nothing_is_overwritten_and_only_folders_are_copied(folder: Folder, tmp_path: Path) -> None:
    context = open_context(folder.spec())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    for out in (folder.root, folder.root / "inside", tmp_path / "full", tmp_path / "full" / "a"):
        with pytest.raises(SpecError, match="must be a new or empty folder outside"):
            repair(context, out)
    with pytest.raises(SpecError, match="--fix copies folders of your own; scenes"):
        repair(open_context(DataSpec(name="scenes", count=1, val_count=1, size=(32, 32))), tmp_path / "x")


def test_an_interrupted_copy_leaves_nothing(folder: Folder, tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repair(open_context(folder.spec()), tmp_path / "copy", stop)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_masks_of_one_class_each_and_lists_of_splits_become_a_list(tmp_path: Path) -> None:
    root, draw = tmp_path / "own", np.random.default_rng(0)
    for number in range(4):
        for name in ("road", "car"):
            (root / "masks" / name).mkdir(parents=True, exist_ok=True)
            mask = (draw.random((20, 24)) < 0.3).astype(np.uint8) * 255
            Image.fromarray(mask).save(root / "masks" / name / f"{number}.png")
        (root / "images").mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(root / "images" / f"{number}.png")
    (root / "lists").mkdir()
    (root / "lists/train.txt").write_text("0\n1\n2\n")
    (root / "lists/val.txt").write_text("3\n")
    settings = {"images": "images", "masks": "masks/{class}", "classes": ("road", "car"), "lists": "lists/{split}.txt"}
    labels = {"background": 0, "road": 1, "car": 2}
    spec = DataSpec(name="folder", root=root, folder=FolderSpec(**settings), labels=labels)
    repair(open_context(spec), tmp_path / "copy")
    assert settings_of_copy(spec, tmp_path / "copy").endswith(
        " --data.folder.lists null --data.folder.classes [] --data.folder.pairs pairs-drawn.csv"
    )
    again = copied(spec, tmp_path / "copy")
    for split in ("train", "val"):
        before, after = open_dataset(spec, split), open_dataset(again, split)
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            assert torch.equal(one.targets["semantic"], other.targets["semantic"])


def test_what_marks_an_unpacked_zip_is_not_copied(folder: Folder, tmp_path: Path) -> None:
    (folder.root / MARK).write_text("{}")
    repaired(folder, tmp_path / "copy")
    assert not (tmp_path / "copy" / MARK).exists()
