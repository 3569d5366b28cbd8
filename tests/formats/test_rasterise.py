"""Polygons and figures against pycocotools and Pillow: pixel for pixel; run lengths both ways; what is damaged."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as pycocotools

from fullconv.errors import DataError
from fullconv.formats.annotations import Polygons, Runs
from fullconv.formats.coco import unpacked
from fullconv.formats.label_studio import unpacked as unpacked_brush
from fullconv.formats.rasterise import box_points, coco_polygon, ellipse_points, labelme_figure
from fullconv.formats.reading import points_of

SIZES = [(1, 1), (37, 52), (60, 9)]


def random_polygon(rng: np.random.Generator, number: int) -> np.ndarray:
    """Inside, across and outside the image; also with whole numbers, a corner twice, and sides that lie on one another."""
    points = rng.uniform(-10, 70, (rng.integers(3, 12), 2))
    points = points.round() if number % 3 == 1 else points.round(1) if number % 3 == 2 else points
    if number % 7 == 0:
        points[1] = points[0]
    return points


# pycocotools 2.0.11 makes its arrays as NumPy 1 wanted them
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_200_polygons_are_those_of_pycocotools() -> None:
    rng = np.random.default_rng(0)
    for number in range(200):
        height, width = SIZES[number % len(SIZES)]
        rings = [random_polygon(rng, number) for _ in range(1 + number % 2)]
        runs = pycocotools.frPyObjects([ring.ravel().tolist() for ring in rings], height, width)
        theirs = pycocotools.decode(pycocotools.merge(runs)).astype(bool)
        np.testing.assert_array_equal(Polygons(tuple(rings)).patch((height, width)).on((height, width)), theirs)


def test_200_polygons_are_those_of_pillow_as_labelme_calls_it() -> None:
    rng = np.random.default_rng(1)
    for number in range(200):
        height, width = SIZES[number % len(SIZES)]
        points = random_polygon(rng, number)
        image = Image.fromarray(np.zeros((height, width), np.uint8))
        ImageDraw.Draw(image).polygon([tuple(point) for point in points.tolist()], outline=1, fill=1)
        np.testing.assert_array_equal(labelme_figure("polygon", points, (height, width)).pixels, np.array(image, bool))


@pytest.mark.parametrize(
    ("kind", "points", "pixels"),
    [
        ("rectangle", [[6, 4], [2, 1]], {(i, j) for i in range(1, 5) for j in range(2, 7)}),
        ("point", [[20, 20]], None),
        ("circle", [[20, 20], [20, 25]], None),
        ("line", [[0, 20], [39, 20]], {(i, j) for i in range(16, 26) for j in range(40)}),
    ],
)
def test_labelmes_figures_by_hand(kind: str, points: list[list[float]], pixels: set[tuple[int, int]] | None) -> None:
    found = {(int(i), int(j)) for i, j in np.argwhere(labelme_figure(kind, points_of(points), (40, 40)).pixels)}
    disc = {(i, j) for i in range(40) for j in range(40) if (i - 20) ** 2 + (j - 20) ** 2 <= 5.5**2}
    assert len(found ^ (disc if pixels is None else pixels)) <= (8 if pixels is None else 0)


@pytest.mark.parametrize(("kind", "count"), [("polygon", 2), ("circle", 3), ("star", 5)])
def test_figures_that_labelme_does_not_have(kind: str, count: int) -> None:
    with pytest.raises(DataError, match=rf"{kind}"):
        labelme_figure(kind, np.zeros((count, 2)), (9, 9))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_packed_run_lengths_are_those_of_pycocotools() -> None:
    rng = np.random.default_rng(2)
    for size in [(1, 1), (7, 11), (64, 300)]:
        mask = np.asfortranarray((rng.random(size) < rng.random()).astype(np.uint8))
        packed = pycocotools.encode(mask)
        runs = Runs(0, 0, size, unpacked(packed["counts"].decode()), by_columns=True)
        np.testing.assert_array_equal(runs.patch(size).on(size), mask.astype(bool))


def test_run_lengths_that_do_not_fill_the_mask() -> None:
    with pytest.raises(DataError, match=r"run lengths of 11 pixels for a mask of 3x4"):
        Runs(0, 0, (3, 4), np.array([5, 6])).patch((3, 4))
    with pytest.raises(DataError, match=r"'ß' in run lengths"):
        unpacked("0ß")


def test_a_patch_outside_the_image_is_cut() -> None:
    patch = Runs(-1, 2, (2, 3), np.array([0, 6])).patch((3, 4))
    assert patch.on((3, 4)).astype(int).tolist() == [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("points", [[[0, float("nan")]], [[1e30, 0]], [[0, 1], [2]], [["a", 0]]])
def test_corners_that_are_none(points: list[list[object]]) -> None:
    with pytest.raises(DataError, match=r"corner"):
        points_of(points)


def test_turned_boxes_and_ellipses() -> None:
    turned = coco_polygon(box_points(10, 20, 30, 24, 90), (40, 40)).on((40, 40))
    upright = coco_polygon(box_points(18, 12, 22, 32), (40, 40)).on((40, 40))
    np.testing.assert_array_equal(turned, upright)
    corner = box_points(10, 10, 20, 14, 90, "corner")
    np.testing.assert_allclose(corner, [[10, 10], [10, 20], [6, 20], [6, 10]], atol=1e-9)
    area = coco_polygon(ellipse_points((100, 100), (60, 30), 30), (200, 200)).pixels.sum()
    assert abs(area / (np.pi * 60 * 30) - 1) < 0.01


@pytest.mark.parametrize("content", [b"", b"\x00" * 9, b"\x00\x00\x00\x10\x39\x11\x11\x11"])
def test_brush_strokes_that_are_damaged(content: bytes) -> None:
    with pytest.raises(DataError, match=r"brush stroke"):
        unpacked_brush(content, 16)
