"""NYUDv2 in its three layouts, written here; the real copy where it is."""

import os
import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image
from torch.utils.data import DataLoader

from fullconv.data import open_dataset
from fullconv.data.sets.nyud import NYUDv2
from fullconv.data.sets.nyud_layouts import ImageFolder, MatFile, ReferenceFolder
from fullconv.errors import DataError, SpecError
from fullconv.spec import DataSpec

SIZE = 5, 7
SAMPLES = 5001, 5003, 5010
"""Frames that the fixtures give content: one of test, train and val each."""


def image_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)


def metres_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 9999, SIZE).astype(np.float32) / 1000


def labels_of(number: int) -> np.ndarray:
    """0 is unlabelled, 1 to 40 are classes."""
    return np.random.default_rng(number).integers(0, 41, SIZE, np.uint8)


def expected_mask(number: int) -> np.ndarray:
    return np.array([[255 if value == 0 else value - 1 for value in row] for row in labels_of(number).tolist()], np.uint8)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reference")
    for folder in ("data/images", "data/depth", "segmentation"):
        (root / folder).mkdir(parents=True)
    for number in range(5001, 6450):
        content = number if number in SAMPLES else 1
        Image.fromarray(image_of(content)).save(root / "data/images" / f"img_{number}.png")
        Image.fromarray((metres_of(content) * 1000).round().astype(np.uint16)).save(root / "data/depth" / f"img_{number}.png")
        scipy.io.savemat(root / "segmentation" / f"img_{number}.mat", {"segmentation": labels_of(content)})
    return root


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("official")
    # 894 names, of which number n means class 1 + (n - 1) % 40; frames store names that lead to the wanted labels
    mapping = np.arange(894) % 40 + 1
    scipy.io.savemat(root / "classMapping40.mat", {"mapClass": mapping.astype(np.float64)[None]})
    images, depths = np.zeros((1449, 3, 7, 5), np.uint8), np.zeros((1449, 7, 5), np.float32)
    labels = np.zeros((1449, 7, 5), np.uint16)
    for number in SAMPLES:
        images[number - 5001] = image_of(number).transpose(2, 1, 0)
        depths[number - 5001] = metres_of(number).T
        wanted = labels_of(number).T.astype(np.uint16)
        labels[number - 5001] = np.where(wanted == 0, 0, wanted + 40 * (number % 20))
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"], file["depths"], file["labels"] = images, depths, labels
    return root


@pytest.mark.parametrize("layout", ["reference", "official"])
@pytest.mark.parametrize(("split", "number"), [("test", 5001), ("train", 5003), ("val", 5010), ("trainval", 5010)])
def test_a_frame_is_what_was_written(layout: str, split: str, number: int, request: pytest.FixtureRequest) -> None:
    spec = DataSpec(name="nyudv2", root=request.getfixturevalue(layout), streams=("rgb", "depth"))
    data = open_dataset(spec, split)
    sample = next(data[index] for index in range(len(data)) if data.dataset.ids[index] == number)  # type: ignore[attr-defined]
    assert sample.name == str(number)
    assert (sample.inputs["rgb"].numpy() == image_of(number).transpose(2, 0, 1)).all()
    np.testing.assert_allclose(sample.inputs["depth"].numpy()[0], metres_of(number), atol=1e-6)
    assert (sample.targets["semantic"].numpy() == expected_mask(number)).all()


def test_split_counts_are_the_official_ones(reference: Path) -> None:
    ids = {split: set(NYUDv2(ReferenceFolder(reference), split).ids) for split in ("train", "val", "trainval", "test")}
    assert {split: len(found) for split, found in ids.items()} == {"train": 381, "val": 414, "trainval": 795, "test": 654}
    assert ids["train"] | ids["val"] == ids["trainval"]
    assert ids["trainval"] | ids["test"] == set(range(5001, 6450))


def test_depth_is_read_only_when_it_is_asked_for(reference: Path) -> None:
    sample = open_dataset(DataSpec(name="nyudv2", root=reference), "test")[0]
    assert set(sample.inputs) == {"rgb"}


def test_the_official_file_can_be_read_by_workers(official: Path) -> None:
    data = NYUDv2(MatFile(official), "test")
    before = data[0].inputs["rgb"].numpy()
    loaded = next(iter(DataLoader(data, batch_size=None, num_workers=1)))  # type: ignore[arg-type]
    assert (loaded.inputs["rgb"].numpy() == before).all()
    assert (pickle.loads(pickle.dumps(data))[0].inputs["rgb"].numpy() == before).all()


def write_pictures(root: Path, number: int, depth: np.ndarray) -> None:
    for folder in ("images", "labels40", "depths"):
        (root / folder).mkdir(exist_ok=True)
    Image.fromarray(image_of(number)).save(root / "images" / f"{number - 5001}.jpg")
    Image.fromarray(expected_mask(number)).save(root / "labels40" / f"{number - 5001}.png")
    Image.fromarray(depth).save(root / "depths" / f"{number - 5001}.png")


def test_plain_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path, 5001, np.array([[0, 51, 255]], np.uint8))
    write_pictures(tmp_path, 5002, np.array([[0, 2000, 9999]], np.uint16))
    frames = ImageFolder(tmp_path)
    assert frames.ids() == {5001, 5002}
    np.testing.assert_allclose(frames.depth(5001), [[0, 2, 10]], atol=1e-6)
    np.testing.assert_allclose(frames.depth(5002), [[0, 2, 9.999]], atol=1e-6)
    assert (frames.mask(5001) == expected_mask(5001)).all()
    with pytest.raises(DataError, match=r"nyudv2 test: 652 of 654 frames are missing in .*looked for images/8.jpg.*: 5009"):
        NYUDv2(frames, "test")


def test_faults_are_named(tmp_path: Path, reference: Path) -> None:
    with pytest.raises(DataError, match=r"nyudv2 needs its folder"):
        open_dataset(DataSpec(name="nyudv2"), "test")
    with pytest.raises(DataError, match=r"no NYUDv2 in .*looked for nyu_depth_v2_labeled.mat with classMapping40.mat"):
        open_dataset(DataSpec(name="nyudv2", root=tmp_path), "test")
    with pytest.raises(DataError, match=r"no split 'dev' of NYUDv2; there are train, val, trainval, test"):
        NYUDv2(ReferenceFolder(reference), "dev")
    with pytest.raises(SpecError, match=r"nyudv2 has the streams rgb, depth, hha; asked for are infrared"):
        open_dataset(DataSpec(name="nyudv2", root=reference, streams=("infrared",)), "test")
    with pytest.raises(SpecError, match=r"camvid has the streams rgb; asked for are depth"):
        open_dataset(DataSpec(name="camvid", streams=("depth",)), "train")
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(DataError, match=r"nyu_depth_v2_labeled.mat needs classMapping40.mat beside it"):
        open_dataset(DataSpec(name="nyudv2", root=tmp_path), "test")
    scipy.io.savemat(tmp_path / "classMapping40.mat", {"mapClass": np.arange(894)})
    with pytest.raises(DataError, match=r"mapClass must map to 1..40; it has 0..893"):
        open_dataset(DataSpec(name="nyudv2", root=tmp_path), "test")
    scipy.io.savemat(tmp_path / "classMapping40.mat", {"mapClass": np.arange(894) % 40 + 1})
    with pytest.raises(DataError, match=r"labeled.mat: not a MATLAB 7.3 file"):
        open_dataset(DataSpec(name="nyudv2", root=tmp_path), "test")


@pytest.mark.parametrize("name", ["images", "depths", "labels"])
def test_a_damaged_official_file(name: str, official: Path, tmp_path: Path) -> None:
    (tmp_path / "classMapping40.mat").write_bytes((official / "classMapping40.mat").read_bytes())
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(official / "nyu_depth_v2_labeled.mat") as whole, h5py.File(path, "w", userblock_size=512) as file:
        for other in ("images", "depths", "labels"):
            values = whole[other][:]
            values[8] = 201  # frame 5009, the third of the test split: told from the others by its bytes
            file.create_dataset(other, data=values, chunks=(1, *values.shape[1:]), fletcher32=True)
        block = file[name][8].tobytes()
    content = path.read_bytes()
    assert content.count(block) == 1
    path.write_bytes(content.replace(block, b"\xff\xfe\xfd" + block[3:]))
    data = NYUDv2(MatFile(tmp_path), "test")
    assert data.ids[2] == 5009
    assert (data[0].inputs["rgb"].numpy() == image_of(5001).transpose(2, 0, 1)).all()
    with pytest.raises(DataError, match=rf"labeled.mat: {name} of frame 5009 is damaged \(.+\); copy it again"):
        data[2]


@pytest.mark.parametrize(
    "change",
    [{"images": np.zeros((4, 7, 5))}, {"depths": np.zeros((4, 5, 7))}, {"labels": np.zeros((3, 7, 5))}, {"labels": np.zeros(())}],
)
def test_an_official_file_of_other_shapes(change: dict[str, np.ndarray], official: Path, tmp_path: Path) -> None:
    (tmp_path / "classMapping40.mat").write_bytes((official / "classMapping40.mat").read_bytes())
    arrays = {"images": np.zeros((4, 3, 7, 5)), "depths": np.zeros((4, 7, 5)), "labels": np.zeros((4, 7, 5))} | change
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array
    with pytest.raises(DataError, match=r"must have images \(N, 3, W, H\), depths and labels \(N, W, H\); it has images \("):
        MatFile(tmp_path)


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ({"labels": np.int16}, "labels int16"),
        ({"images": np.float32}, "images float32"),
        ({"depths": np.uint16}, "depths uint16"),
    ],
)
def test_an_official_file_of_other_numbers(kinds: dict[str, type], found: str, official: Path, tmp_path: Path) -> None:
    (tmp_path / "classMapping40.mat").write_bytes((official / "classMapping40.mat").read_bytes())
    shapes = {"images": (4, 3, 7, 5), "depths": (4, 7, 5), "labels": (4, 7, 5)}
    kinds = {"images": np.uint8, "depths": np.float32, "labels": np.uint16} | kinds
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        for name, shape in shapes.items():
            file[name] = np.zeros(shape, kinds[name])
    with pytest.raises(DataError, match=rf"must have images uint8, depths float, labels unsigned; it has .*{found}"):
        MatFile(tmp_path)


def test_a_mapping_that_holds_no_whole_numbers(official: Path, tmp_path: Path) -> None:
    for mapping in (np.full(894, 1.5), np.full(894, np.nan), np.array("text")):
        scipy.io.savemat(tmp_path / "classMapping40.mat", {"mapClass": mapping})
        with pytest.raises(DataError, match=r"mapClass must hold whole numbers"):
            MatFile(tmp_path)


def test_depth_that_is_no_number_is_a_hole(official: Path, tmp_path: Path) -> None:
    for name in ("classMapping40.mat", "nyu_depth_v2_labeled.mat"):
        (tmp_path / name).write_bytes((official / name).read_bytes())
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["depths"][0, :3, 0] = [np.nan, np.inf, -2]
    assert MatFile(tmp_path).depth(5001)[0, :3].tolist() == [0, 0, 0]


def test_depth_is_looked_for_before_hours_of_training_when_it_is_read(tmp_path: Path, reference: Path) -> None:
    shutil.copytree(reference, tmp_path / "copy", copy_function=os.link)
    (tmp_path / "copy/data/depth/img_5003.png").unlink()
    frames = ReferenceFolder(tmp_path / "copy")
    assert len(NYUDv2(frames, "train", ("rgb",))) == len(NYUDv2(frames, "train", ("rgb", "hha"), tmp_path / "kept")) == 381
    for streams in (("rgb", "depth"), ("hha",)):
        with pytest.raises(DataError, match=r"1 of 381 frames are missing .* and data/depth/img_5003.png\): 5003; complete"):
            NYUDv2(frames, "train", streams)


@pytest.mark.realdata
def test_the_real_frames(shared_data: Path) -> None:
    data = NYUDv2(ImageFolder(shared_data / "nyudv2"), "trainval")
    own = sorted(5001 + int(line) for line in (shared_data / "nyudv2" / "train.txt").read_text().split())
    assert data.ids == own
    sample = data[0]
    assert sample.size == (480, 640)
    assert 0.5 < float(sample.inputs["depth"].max()) <= 10
    assert int(sample.targets["semantic"].unique()[0]) >= 0
