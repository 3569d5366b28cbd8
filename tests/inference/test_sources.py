"""An image may be given in seven ways, alone or in a list; what could be misread is refused."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.scenes.scenes import SEMANTIC, Scenes
from fullconv.errors import DataError, SpecError
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.inference.sources import as_array
from fullconv.labels import LabelSet, voc_colors
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.spec import ModelSpec


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return load(checkpoint, "cpu")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (41, 67, 3), np.uint8)


def test_every_way_to_give_an_image_gives_the_same(predictor: Predictor, image: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(image).save(path)
    expected = predictor.predict(image).labels
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
    with path.open("rb") as opened:
        opened.read(5)  # it is read from its start
        ways = [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), opened, Image.fromarray(image), image, tensor]
        for way in ways:
            np.testing.assert_array_equal(predictor.predict(way).labels, expected)
        for found in predictor.predict(ways):
            np.testing.assert_array_equal(found.labels, expected)
        assert not opened.closed


def test_grey_tensors_and_views() -> None:
    grey = torch.arange(24, dtype=torch.uint8).reshape(1, 4, 6)
    assert as_array(grey).tolist() == np.repeat(grey[0].numpy()[..., None], 3, 2).tolist()
    colors = torch.arange(72, dtype=torch.uint8).reshape(4, 6, 3).permute(2, 0, 1)  # lies in memory the other way round
    assert as_array(colors).tolist() == torch.arange(72).reshape(4, 6, 3).tolist()


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(3, 4, 6), r"values 0 to 255; got float32 \(3, 4, 6\); from 0 to 1 it is \(255 \* image\)\.round"),
        (torch.full((3, 4, 6), 200.0), r"got float32 \(3, 4, 6\)"),
        (torch.zeros(3, 4, 6, dtype=torch.float16), r"got float16"),
        (torch.zeros(3, 4, 6, dtype=torch.int64), r"got int64 \(3, 4, 6\)$"),
        (torch.zeros(4, 6, 3, dtype=torch.uint8), r"got uint8 \(4, 6, 3\); channels come first: image\.permute\(2, 0, 1\)"),
        (torch.zeros(2, 3, 4, 6, dtype=torch.uint8), r"\(2, 3, 4, 6\); give the images of a batch as a list"),
        (torch.zeros(4, 6, dtype=torch.uint8), r"got uint8 \(4, 6\)$"),
        (torch.zeros(4, 4, 6, dtype=torch.uint8), r"got uint8 \(4, 4, 6\)$"),
        (torch.zeros(3, 0, 6, dtype=torch.uint8), r"got uint8 \(3, 0, 6\)$"),
    ],
)
def test_tensors_that_could_be_misread_are_refused(predictor: Predictor, tensor: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=rf"^an image as tensor is uint8 \(3, H, W\) RGB or \(1, H, W\) grey.*{message}"):
        predictor.predict(tensor)


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (torch.zeros(3, 4, 6, dtype=torch.uint8).to_sparse(), "sparse_coo"),
        (torch.zeros(3, 4, 6, dtype=torch.uint8, device="meta"), r"no values \(device meta\)"),
    ],
)
def test_tensors_without_pixels_are_refused(predictor: Predictor, tensor: torch.Tensor, kind: str) -> None:
    with pytest.raises(DataError, match=rf"one beside the other; got a tensor with {kind}$"):
        predictor.predict(tensor)


@pytest.mark.parametrize(
    ("array", "got"),
    [
        (np.zeros((4, 6, 3)), r"float64 \(4, 6, 3\)"),
        (np.zeros((4, 6, 3), np.int32), r"int32 \(4, 6, 3\)"),
        (np.zeros((3, 4, 6), np.uint8), r"uint8 \(3, 4, 6\)"),
        (np.zeros((2, 4, 6, 3), np.uint8), r"uint8 \(2, 4, 6, 3\)"),
    ],
)
def test_arrays_that_could_be_misread_are_refused(predictor: Predictor, array: np.ndarray, got: str) -> None:
    with pytest.raises(DataError, match=rf"an array must be uint8 \(H, W, 3\) RGB or \(H, W\) grey .*; got {got}"):
        predictor.predict(array)


def test_what_is_no_image(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match="an image is a path, bytes, an open file, a PIL image or an array; got int"):
        predictor.predict(7)  # type: ignore[call-overload]  # the mistake
    with pytest.raises(DataError, match="the image: cannot be read: not an image, or of a format that PIL does not read"):
        predictor.predict(b"hello")
    with pytest.raises(DataError, match="the image: cannot be read: not an image"):
        predictor.predict(b"")
    with (tmp_path / "a.txt").open("rb") as opened, pytest.raises(DataError, match=r"a\.txt: cannot be read: not an image"):
        predictor.predict(opened)
    with (
        (tmp_path / "a.txt").open() as opened,
        pytest.raises(DataError, match=r"a\.txt is opened as text; open an image in mode"),
    ):
        predictor.predict(opened)  # type: ignore[call-overload]  # the mistake


# --- lists ---


@pytest.mark.parametrize("together", [1, 2, 8])
def test_a_list_keeps_its_order_whatever_goes_together(
    predictor: Predictor, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where those of one size go through the net together."""
    monkeypatch.setattr(Predictor, "together", property(lambda self: together))
    random = np.random.default_rng(2)
    sizes = [(20, 30), (33, 20), (20, 30), (1, 1), (33, 20), (20, 30), (20, 30)]
    images = [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    found = predictor.predict(images, probabilities=True)
    assert len(found) == len(images)
    for one, each in zip(images, found, strict=True):
        alone = predictor.predict(one, probabilities=True)
        np.testing.assert_array_equal(each.labels, alone.labels)
        assert each.probabilities is not None
        assert alone.probabilities is not None
        np.testing.assert_allclose(each.probabilities, alone.probabilities, atol=1e-4)


def test_lists_of_none_one_and_a_tuple(predictor: Predictor, image: np.ndarray) -> None:
    assert predictor.predict([]) == []
    (one,) = predictor.predict([image])
    (other,) = predictor.predict((image,))
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.probabilities is None


def test_which_image_of_a_list_is_wrong(predictor: Predictor, image: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^image 1 of the list, counted from 0: .*none\.jpg: no such file"):
        predictor.predict([image, tmp_path / "none.jpg", image])
    with pytest.raises(SpecError, match="no head 'depth'"):
        predictor.predict([], head="depth")


def test_depths_of_a_list() -> None:
    size = 48, 64
    camera = Intrinsics(60, 60, 31.5, 23.5, size)
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn32s-minivgg", streams=("rgb+depth", "hha")), {"semantic": len(SEMANTIC)})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    predictor = Predictor(model, {"semantic": SEMANTIC})
    scenes = Scenes("val", count=2, size=size, streams=("rgb", "depth"))
    images = [scenes[index].picture for index in range(2)]
    depths = [scenes[index].inputs["depth"][0].numpy() for index in range(2)]
    found = predictor.predict(images, depth=depths, camera=camera)
    for index in range(2):
        alone = predictor.predict(images[index], depth=depths[index], camera=camera)
        np.testing.assert_array_equal(found[index].labels, alone.labels)
    with pytest.raises(DataError, match="a list of 2 images takes a list of as many depths, one for each"):
        predictor.predict(images, depth=depths[:1], camera=camera)
    with pytest.raises(DataError, match="a list of 2 images takes a list of as many depths, one for each"):
        predictor.predict(images, depth=depths[0], camera=camera)  # type: ignore[call-overload]  # the mistake
    with pytest.raises(DataError, match=r"one image takes one depth \(H, W\); got a list"):
        predictor.predict(images[0], depth=depths, camera=camera)  # type: ignore[call-overload]  # the mistake
    with pytest.raises(SpecError, match="the model reads rgb, depth, hha; depth, hha is missing"):
        predictor.logits({"rgb": scenes[0].inputs["rgb"]})


# --- names and classes ---


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"semantic": 6},
            "the model gives 7 classes of semantic, and names are given for 6 classes of semantic; they must agree",
        ),
        ({"semantic": 8}, "and names are given for 8 classes of semantic"),
        ({"other": 7}, "the model gives 7 classes of semantic, and names are given for 7 classes of other"),
        ({"semantic": 7, "geometric": 3}, "names are given for 7 classes of semantic, 3 classes of geometric"),
        ({}, "names are given for no head"),
    ],
)
def test_another_number_of_names_than_classes_is_refused(checkpoint: Path, names: dict[str, int], message: str) -> None:
    labels = {head: LabelSet(tuple(map(str, range(count))), voc_colors(count)) for head, count in names.items()}
    with pytest.raises(SpecError, match=message):
        Predictor(load_checkpoint(checkpoint).model, labels)
