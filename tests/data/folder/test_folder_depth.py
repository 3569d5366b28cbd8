"""The user's own images with depth: what is read, what is refused, and a net that learns from it and labels new pairs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.cli import main
from fullconv.data import open_dataset
from fullconv.data.depth.hha import hha
from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.doctor.examine import diagnose, open_context
from fullconv.doctor.repair import repair
from fullconv.errors import DataError, FullconvError, SpecError
from fullconv.spec import DataSpec, FolderSpec

CAMERA = "60,60,32,24,48,64"
SIZE = (48, 64)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three training and two validation images of a slope whose near half is of class 1; depth in millimetres with a hole."""
    root = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for split, names in (("train", ("a", "sub/b", "c.1")), ("val", ("d", "e"))):
        for name in names:
            depth = np.linspace(4000, 1000, SIZE[0])[:, None] + rng.uniform(0, 300, SIZE)
            depth[:3, :3] = 0
            pictures = {
                f"images/{split}/{name}.jpg": Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)),
                f"masks/{split}/{name}.png": Image.fromarray((depth < 2500).astype(np.uint8)),
                f"depth/{split}/{name}.png": Image.fromarray(depth.astype(np.uint16)),
            }
            for path, picture in pictures.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                picture.save(root / path)
    return root


def spec(root: Path, *streams: str, hha: Path | None = None, **folder: object) -> DataSpec:
    given = {"depth": "depth/{split}", "depth_unit": "millimetres", "camera": CAMERA} | folder
    labels = {"far": 0, "near": 1}
    return DataSpec(name="folder", root=root, streams=streams, labels=labels, hha=hha, folder=FolderSpec(**given))  # type: ignore[arg-type]


def test_streams_are_what_the_files_hold(own: Path, tmp_path: Path) -> None:
    dataset = open_dataset(spec(own, "rgb", "depth", "hha", hha=tmp_path), "train")
    assert [dataset[index].name for index in range(len(dataset))] == ["a", "c.1", "sub/b"]
    sample = dataset[2]
    with Image.open(own / "depth/train/sub/b.png") as picture:
        metres = np.asarray(picture).astype(np.float32) / 1000
    np.testing.assert_allclose(sample.inputs["depth"].numpy(), metres[None], rtol=1e-6)
    encoded = hha(metres, Intrinsics(60, 60, 32, 24, SIZE))
    np.testing.assert_array_equal(sample.inputs["hha"].numpy(), encoded.transpose(2, 0, 1))
    with Image.open(tmp_path / "train/sub/b.png") as kept:
        np.testing.assert_array_equal(np.asarray(kept), encoded)
    assert list(open_dataset(spec(own, "hha"), "val")[0].inputs) == ["hha"]
    assert list(open_dataset(spec(own, "rgb", depth_unit=None), "val")[0].inputs) == ["rgb"]


def test_kept_hha_of_equal_names_is_told_apart_and_follows_depth_and_camera(own: Path, tmp_path: Path) -> None:
    root = tmp_path / "own"
    for split, name in (("train", "a"), ("val", "d")):
        for kind, suffix in (("images", "jpg"), ("masks", "png"), ("depth", "png")):
            (root / kind / split).mkdir(parents=True)
            (root / kind / split / f"1.{suffix}").write_bytes((own / kind / split / f"{name}.{suffix}").read_bytes())

    def read(split: str, camera: str = CAMERA, kept: Path | None = tmp_path / "hha") -> np.ndarray:
        return open_dataset(spec(root, "hha", hha=kept, camera=camera), split)[0].inputs["hha"].numpy()

    for split, camera in (("train", CAMERA), ("val", CAMERA), ("val", "80,80,32,24,48,64"), ("val", CAMERA)):
        np.testing.assert_array_equal(read(split, camera), read(split, camera, kept=None))
    assert (read("train") != read("val")).any()
    (root / "depth/val/1.png").write_bytes((own / "depth/val/e.png").read_bytes())
    np.testing.assert_array_equal(read("val"), read("val", kept=None))
    assert sorted(str(path.relative_to(tmp_path / "hha")) for path in (tmp_path / "hha").rglob("*.png")) == [
        "train/1.png",
        "val/1.png",
    ]


def test_a_list_names_depth_of_any_name(own: Path, tmp_path: Path) -> None:
    root = tmp_path / "own"
    shutil.copytree(own, root)
    for number, name in enumerate(("a", "sub/b", "c.1")):
        (root / "depth/train" / f"{name}.png").rename(root / f"{number}.5.png")
    rows = [
        *(f"images/train/{name}.jpg,masks/train/{name}.png,train,{n}.5.png" for n, name in enumerate(("a", "sub/b", "c.1"))),
        *(f"images/val/{name}.jpg,masks/val/{name}.png,val,depth/val/{name}.png" for name in ("d", "e")),
    ]
    (root / "pairs.csv").write_text("\n".join(["image,mask,split,depth", *rows]))
    listed = spec(root, "depth", depth=None, pairs=Path("pairs.csv"))
    found = open_dataset(listed, "train")
    named = open_dataset(spec(own, "depth"), "train")
    expected = {named[index].name: named[index] for index in range(3)}
    assert len(found) == 3
    for index in range(3):
        sample = found[index]
        same = expected[sample.name.removeprefix("images/train/")]
        np.testing.assert_array_equal(sample.inputs["depth"].numpy(), same.inputs["depth"].numpy())
    (root / "1.5.png").write_bytes(b"x")
    (root / "2.5.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images have no depth in .*pairs.csv: images/train/c.1; the column depth names"):
        open_dataset(listed, "train")
    context = open_context(listed)
    kinds = {finding.kind: finding.names for finding in diagnose(context).findings if finding.level == "error"}
    assert kinds == {"images without depth": ("images/train/c.1",), "unreadable depth maps": ("images/train/sub/b",)}
    repair(context, tmp_path / "fixed")
    fixed = listed.model_copy(update={"root": tmp_path / "fixed"})
    assert [open_dataset(fixed, split)[0].name for split in ("train", "val")] == ["images/train/a", "images/val/d"]
    (root / "pairs.csv").write_text("\n".join(["image,mask,split", *(row.rpartition(",")[0] for row in rows)]))
    with pytest.raises(
        DataError, match=r"3 of 3 images have no depth in .*pairs.csv: .*; the column depth names a file for each"
    ):
        open_dataset(listed, "train")


@pytest.mark.parametrize("start", ["{root}/", "../own/"], ids=["absolute", "from elsewhere"])
def test_kept_hha_stays_in_its_folder_whatever_a_list_calls_its_images(start: str, own: Path, tmp_path: Path) -> None:
    root = tmp_path / "own"
    shutil.copytree(own, root)
    with Image.open(root / "images/train/a.jpg") as picture:
        picture.save(root / "images/train/a.png")  # where a name with another suffix would lead
    before = {path: path.read_bytes() for path in root.rglob("*.*")}
    path = start.format(root=root)
    (root / "pairs.csv").write_text(
        f"image,mask,split,depth\n{path}images/train/a.png,{path}masks/train/a.png,train,{path}depth/train/a.png\n"
    )
    listed = spec(root, "hha", depth=None, pairs=Path("pairs.csv"), hha=root / "kept/hha")
    expected = open_dataset(spec(own, "hha"), "train")[0].inputs["hha"].numpy()
    for _ in range(2):
        np.testing.assert_array_equal(open_dataset(listed, "train")[0].inputs["hha"].numpy(), expected)
    assert len(list((root / "kept/hha/train").rglob("*.png"))) == 1
    assert all(path.read_bytes() == content for path, content in before.items())


def test_drawn_splits_find_their_depth(own: Path) -> None:
    flat = {"images": "images", "masks": "masks", "depth": "depth", "val_share": 0.5}
    parts = [open_dataset(spec(own, "depth", **flat), split) for split in ("train", "val")]
    assert sum(map(len, parts)) == 5
    assert all(sample.inputs["depth"].shape == (1, *SIZE) for part in parts for sample in (part[0], part[len(part) - 1]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": None}, r"the streams rgb, hha of a folder need its depth: set data.folder.depth"),
        ({"depth": "nothing/{split}"}, r"3 of 3 images have no depth in .*nothing/train: a, c.1, sub/b; depth maps have their"),
        ({"depth_unit": None}, r"data.folder.depth_unit is missing"),
        ({"depth_unit": "inches"}, r"inches"),
        ({"camera": None}, r"HHA needs the camera: set data.folder.camera"),
        ({"camera": "kinect"}, r"no camera 'kinect'; give nyud, or FX,FY,CX,CY,HEIGHT,WIDTH"),
    ],
)
def test_what_is_missing_is_said_at_once(own: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises((DataError, SpecError), match=message):
        open_dataset(spec(own, "rgb", "hha", **changes), "train")


def test_what_is_wrong_with_a_file_names_it(own: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.png, read as metres: the median depth is .* millimetres taken for metres"):
        open_dataset(spec(own, "depth", depth_unit="metres"), "train")[0]
    with pytest.raises(DataError, match=r"a.png: the camera is given for pictures of 50x50 and this one is 48x64"):
        open_dataset(spec(own, "hha", camera="60,60,25,25,50,50"), "train")[0]
    small = tmp_path / "depth" / "val"
    small.mkdir(parents=True)
    for name in ("d", "e"):
        Image.fromarray(np.full((24, 32), 2000, np.uint16)).save(small / f"{name}.png")
    with pytest.raises(DataError, match=r"d.png: the depth is \(24, 32\) and the picture \(48, 64\)"):
        open_dataset(spec(own, "depth", depth=f"{tmp_path}/depth/{{split}}"), "val")[0]


def test_depth_goes_by_split_as_images_do() -> None:
    with pytest.raises(ValueError, match=r"depth 'depth' must have \{split\} where images 'images/\{split\}' have it"):
        FolderSpec(depth="depth")


def test_a_net_learns_from_depth_and_labels_new_pairs(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = {
        "model": {"name": "fcn32s-minivgg", "streams": ["rgb+depth"]},
        "data": spec(own, "rgb", "depth").model_dump(mode="json", include={"name", "root", "labels", "folder", "streams"}),
        "train": {"stages": [32], "steps": 2, "batch_size": 2, "accelerator": "cpu"},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["train", f"{tmp_path}/own.yaml", "--out", f"{tmp_path}/run"]) == 0
    assert main(["evaluate", f"{tmp_path}/run/model.safetensors", "--data", f"{tmp_path}/own.yaml"]) == 0
    command = ["predict", f"{tmp_path}/run/model.safetensors", f"{own}/images/val", "--out", f"{tmp_path}/labels"]
    assert main([*command, "--depth", f"{own}/depth/val", "--depth-unit", "millimetres"]) == 0
    with Image.open(own / "depth/val/d.png") as depth:
        values = np.asarray(depth)
    assert f"depth: d.jpg has a median of {np.median(values[values > 0]) / 1000:.2g} m\n" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == ["d.png", "e.png"]


def test_a_wrong_stream_is_still_named(own: Path) -> None:
    with pytest.raises(FullconvError, match=r"folder has the streams rgb, depth, hha; asked for are rgb, thermal"):
        open_dataset(spec(own, "rgb", "thermal"), "train")
