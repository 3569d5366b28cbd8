"""SIFT Flow in files of its own format, written here; the lists against those of the reference."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from official_files import fill, lines
from PIL import Image

from fullconv.data import open_dataset
from fullconv.data.sets.siftflow import HEADS, SIFTFlow
from fullconv.doctor.sources import open_sources, read_target
from fullconv.errors import DataError, SpecError
from fullconv.evaluation import evaluate
from fullconv.metrics import metrics_of
from fullconv.spec import DataSpec

LISTS = Path(str(resources.files("fullconv.data.sets") / "lists"))
OUTDOOR = "spatial_envelope_256x256_static_8outdoorcategories"
NAME = "coast_natu975"
"""The first of test."""
SEMANTIC = np.array([[0, 1, 2], [28, 33, 9]])
GEOMETRIC = np.array([[-1, 1, 2], [3, 1, 0]])
BOTH = ("semantic", "geometric")


def write(root: Path, name: str, semantic: np.ndarray, geometric: np.ndarray) -> None:
    pixels = np.full((*SEMANTIC.shape, 3), 90, np.uint8)
    Image.fromarray(pixels).save(root / "Images" / OUTDOOR / f"{name}.jpg")
    names = np.array([f"class {number}" for number in range(33)], object)
    scipy.io.savemat(root / "SemanticLabels" / OUTDOOR / f"{name}.mat", {"S": semantic, "names": names})
    scipy.io.savemat(root / "GeoLabels" / OUTDOOR / f"{name}.mat", {"S": geometric, "names": names[:3]})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("Images", "SemanticLabels", "GeoLabels"):
        (tmp_path / folder / OUTDOOR).mkdir(parents=True)
    write(tmp_path, NAME, SEMANTIC.astype(np.uint8), GEOMETRIC.astype(np.int16))
    add(tmp_path, "test")
    return tmp_path


def add(root: Path, split: str) -> None:
    for folder, suffix in (("Images", ".jpg"), ("SemanticLabels", ".mat"), ("GeoLabels", ".mat")):
        fill(root / folder / OUTDOOR, NAME, lines(LISTS / f"siftflow-{split}.txt"), suffix)


def spec(root: Path, *heads: str) -> DataSpec:
    return DataSpec(name="siftflow", root=root, train="trainval", val="test", heads=heads or BOTH)


def test_both_truths_count_from_zero_and_void_is_255(root: Path) -> None:
    data = open_dataset(spec(root), "test")
    sample = data[0]
    assert (data.name, sample.name, len(data)) == ("siftflow test", NAME, 200)
    assert sample.inputs["rgb"].shape == (3, 2, 3)
    assert sample.targets["semantic"].tolist() == [[255, 0, 1], [27, 32, 8]]
    assert sample.targets["geometric"].tolist() == [[255, 0, 1], [2, 0, 255]]
    semantic, geometric = (data.labels[head] for head in BOTH)
    assert [semantic.names[label] for label in (0, 27, 32, 8)] == ["awning", "sky", "window", "cow"]
    assert geometric.names == ("sky", "horizontal", "vertical")
    assert len(semantic) == 33


def test_labels_stored_as_doubles_are_the_same(root: Path) -> None:
    (root / "SemanticLabels" / OUTDOOR / f"{NAME}.mat").unlink()
    scipy.io.savemat(root / "SemanticLabels" / OUTDOOR / f"{NAME}.mat", {"S": SEMANTIC.astype(float)})
    assert open_dataset(spec(root), "test")[0].targets["semantic"].tolist() == [[255, 0, 1], [27, 32, 8]]


def test_the_splits_are_the_references(root: Path) -> None:
    add(root, "trainval")
    ids = {split: SIFTFlow(root, split).ids for split in ("trainval", "test")}
    assert {split: len(set(found)) for split, found in ids.items()} == {"trainval": 2486, "test": 200}
    assert not set(ids["trainval"]) & set(ids["test"])
    assert not {"highway_bost181", "street_urb506"} & {*ids["trainval"], *ids["test"]}
    with pytest.raises(DataError, match=r"no split 'val' of SIFT Flow; there are trainval, test"):
        SIFTFlow(root, "val")


def test_classes_that_test_lacks_are_left_out_of_the_mean() -> None:
    # truth has all but cow, desert and moon; everything is right but one stray pixel called cow
    names = HEADS["semantic"].labels.names
    absent = [names.index(name) for name in ("cow", "desert", "moon")]
    matrix = np.diag([0 if label in absent else 100 for label in range(33)]).astype(np.int64)
    matrix[names.index("sea"), names.index("cow")] = 1
    assert metrics_of(matrix).mean_iu == pytest.approx((29 + 100 / 101) / 30, abs=1e-12)
    assert metrics_of(matrix, absent="union").mean_iu == pytest.approx((29 + 100 / 101) / 31, abs=1e-12)


def test_files_whose_truth_lacks_classes_are_measured_on_the_others(root: Path) -> None:
    """200 official files hold awning, balcony, sky, window and cow; building is predicted for awning, desert for void."""
    data = open_dataset(spec(root), "test")
    semantic, geometric = (data.labels[head] for head in BOTH)
    guess = np.array([[semantic.names.index("desert"), semantic.names.index("building"), 1], [27, 32, 8]])
    report = evaluate(lambda inputs: guess, data, semantic)
    right = {"balcony": 1.0, "sky": 1.0, "window": 1.0, "cow": 1.0}
    assert {name: iu for name, iu, _, pixels in report.rows() if pixels} == {"awning": 0.0, **right}
    assert (report.classes, report.images, int(report.matrix.matrix.sum())) == (5, 200, 200 * 5)
    assert report.metrics.mean_iu == pytest.approx(4 / 5, abs=1e-12)
    assert report.metrics.mean_accuracy == pytest.approx(4 / 5, abs=1e-12)
    # the reference's score.py counts building, which is only predicted; desert stands on void alone and counts nowhere
    assert evaluate(lambda inputs: guess, data, semantic, absent="union").metrics.mean_iu == pytest.approx(4 / 6, abs=1e-12)
    other = evaluate(lambda inputs: np.zeros((2, 3), int), data, geometric, head="geometric")  # sky, and void twice
    assert int(other.matrix.matrix.sum()) == 200 * 4
    assert other.metrics.pixel_accuracy == pytest.approx(2 / 4)


def test_a_copy_without_the_other_truth_is_enough_for_one_head(root: Path) -> None:
    (root / "GeoLabels").rename(root / "elsewhere")
    assert open_dataset(spec(root, "semantic"), "test")[0].targets.keys() == {"semantic"}
    with pytest.raises(
        DataError, match=r"siftflow test: files are missing in .*: 200 of 200 GeoLabels/.*/ID.mat \(coast_natu975"
    ):
        open_dataset(spec(root), "test")


def test_its_name_alone_means_the_official_splits(root: Path) -> None:
    add(root, "trainval")
    sources = open_sources(read_target("siftflow", root))
    assert [(source.split, len(source.dataset)) for source in sources] == [("trainval", 2486), ("test", 200)]


def test_a_head_that_there_is_not(root: Path) -> None:
    with pytest.raises(SpecError, match=r"siftflow test has the heads semantic, geometric; data.heads asks for \['depth'\]"):
        open_dataset(spec(root, "depth"), "test")


def test_the_folder_of_the_archive_is_found(root: Path) -> None:
    inner = root / "SiftFlowDataset"
    inner.mkdir()
    for folder in ("Images", "SemanticLabels", "GeoLabels"):
        (root / folder).rename(inner / folder)
    assert len(open_dataset(spec(root), "test")) == 200


def test_faults_of_the_copy_are_named(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (root / "Images" / OUTDOOR / f"{NAME}.jpg").unlink()
    for name in lines(LISTS / "siftflow-test.txt")[:7]:
        (root / "SemanticLabels" / OUTDOOR / f"{name}.mat").unlink()
    with pytest.raises(
        DataError,
        match=r"1 of 200 Images/.*/ID.jpg \(coast_natu975\); 7 of 200 SemanticLabels/.*/ID.mat \(coast_natu975, .*, …\)",
    ):
        open_dataset(spec(root), "test")
    with pytest.raises(DataError, match=r"siftflow needs its folder .*--root DIR\); got None"):
        open_dataset(DataSpec(name="siftflow"), "test")
    with pytest.raises(DataError, match=r"no SIFT Flow in .*: looked for Images/spatial_envelope.* unpack SiftFlowDataset.zip"):
        open_dataset(spec(tmp_path_factory.mktemp("empty")), "test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"S": np.full((2, 3), 34)}, r"SemanticLabels/.*\.mat: S must hold whole numbers 0 to 33; 6 px have others, such as 34$"),
        ({"S": np.array([[1, -1, 1.5], [1, np.nan, 3]])}, r"0 to 33; 3 px have others, such as -1, 1.5, nan"),
        ({"S": np.ones((2, 3, 3))}, r"S must be a label map \(H, W\); it is \w+ \(2, 3, 3\)"),
        ({"S": "a text"}, r"S must be a label map"),
        ({"labels": np.ones((2, 3))}, r"no S in it; it has labels"),
        ({"S": np.ones((4, 3))}, r"coast_natu975: images and masks must have one height and width; got rgb 2x3, semantic 4x3"),
    ],
)  # fmt: skip
def test_a_damaged_truth_is_one_clear_line(root: Path, content: dict[str, object], message: str) -> None:
    path = root / "SemanticLabels" / OUTDOOR / f"{NAME}.mat"
    path.unlink()
    scipy.io.savemat(path, content)
    with pytest.raises(DataError, match=message):
        open_dataset(spec(root), "test")[0]


def test_another_matlab_version_and_a_torn_file_are_named(root: Path) -> None:
    path = root / "GeoLabels" / OUTDOOR / f"{NAME}.mat"
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(b" " * 512 + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DataError, match=r"GeoLabels/.*coast_natu975.mat: a MATLAB 7.3 file, and this data set has version 5"):
        open_dataset(spec(root), "test")[0]
    path.write_bytes(whole[:150])
    with pytest.raises(DataError, match=r"GeoLabels/.*coast_natu975.mat: cannot be read as a MATLAB file"):
        open_dataset(spec(root), "test")[0]


@pytest.mark.realdata
def test_the_lists_are_the_references(shared_data: Path) -> None:
    for split in ("trainval", "test"):
        assert lines(LISTS / f"siftflow-{split}.txt") == lines(shared_data / "lists" / "sift-flow" / f"{split}.txt")
    table = (shared_data / "lists" / "sift-flow" / "classes.txt").read_text().splitlines()
    named = [line.split(maxsplit=1)[1] for line in table if line[:2].isdigit()]
    assert named == [*HEADS["semantic"].labels.names, *HEADS["geometric"].labels.names]
