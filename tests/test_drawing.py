"""Pictures of label maps: error colours, grids, overlays and their legends."""

import numpy as np
import pytest
from PIL import Image

from fullconv import drawing
from fullconv.drawing import comparison_grid, error_picture, overlay, percent, prediction_grid, shares, with_legend
from fullconv.errors import DataError
from fullconv.labels import VOID_COLOR, LabelSet

LABELS = LabelSet(("sky", "wall", "ball"), ((10, 20, 200), (200, 10, 30), (20, 180, 40)))
SKY, WALL, BALL = LABELS.colors


def photograph(height: int, width: int, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def legends(monkeypatch: pytest.MonkeyPatch) -> list:
    """Every legend that is drawn, as its entries."""
    drawn: list = []

    def record(picture, entries):
        drawn.append(list(entries))
        return with_legend(picture, entries)

    monkeypatch.setattr(drawing, "with_legend", record)
    return drawn


def test_error_picture_is_dark_red_or_pale():
    truth = np.array([[0, 1, 255, 255]], np.uint8)
    found = np.array([[0, 2, 0, 255]])
    picture = error_picture(photograph(1, 4, 200), truth, found)
    assert picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [80] * 3  # right: 0.4 of the grey image
    assert picture[0, 1].tolist() == [226, 80, 80]  # wrong: 0.75 of (235, 40, 40) and 0.25 of the image
    assert picture[0, 2].tolist() == picture[0, 3].tolist() == list(VOID_COLOR)  # ignored, whatever was predicted


def test_error_picture_takes_any_ignore_value_and_keeps_its_arguments():
    image, truth, found = photograph(1, 2), np.array([[7, 0]]), np.array([[0, 0]])
    assert error_picture(image, truth, found, ignore_index=7)[0].tolist() == [list(VOID_COLOR), [40] * 3]
    assert (image == 100).all()
    assert truth.tolist() == [[7, 0]]


@pytest.mark.parametrize(("truth", "found"), [((2, 3), (3, 2)), ((3, 3), (3, 3)), ((2, 3), (1, 3))])
def test_error_picture_refuses_other_sizes(truth, found):
    with pytest.raises(DataError, match=r"image \(2, 3\), truth \(.*\) and prediction \(.*\) must have one size"):
        error_picture(photograph(2, 3), np.zeros(truth, int), np.zeros(found, int))


def test_shares_are_of_all_pixels_the_largest_first():
    labels = np.array([[2, 2, 0, 2], [255, 0, 2, 255]])
    assert list(shares(labels, LABELS).items()) == [("ball", 0.5), ("sky", 0.25)]
    assert shares(np.full((1, 1), 255), LABELS) == {}


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100%"), (0.996, "100%"), (0.476, "48%"), (0.01, "1%"), (0.0099, "<1%"), (1e-9, "<1%")]
)
def test_percent(share: float, text: str):
    assert percent(share) == text


def test_overlay_mixes_colours_and_draws_white_borders():
    labels = np.zeros((40, 200), np.uint8)
    labels[:, 100:] = 2
    picture = np.array(overlay(photograph(40, 200), labels, LABELS, opacity=0.5))
    assert picture.shape[1] == 200
    assert picture.shape[0] > 40
    assert picture[20, 50].tolist() == [(100 + c) // 2 for c in SKY]
    assert picture[20, 150].tolist() == [(100 + c) // 2 for c in BALL]
    assert (picture[:40, 99] == 255).all()
    assert not (picture[:40, [98, 100]] == 255).any()


def test_overlays_legend_names_classes_shares_and_colours(legends):
    labels = np.zeros((10, 100), np.uint8)
    labels[:, 60:] = 2
    labels[0, 0] = 1
    picture = overlay(photograph(10, 100), labels, LABELS)
    assert legends == [[(SKY, "sky 60%"), (BALL, "ball 40%"), (WALL, "wall <1%")]]
    legend = {tuple(color) for color in np.array(picture)[10:].reshape(-1, 3).tolist()}
    assert {SKY, WALL, BALL} <= legend
    assert picture.width == 160  # room for the legend of a narrow picture


def test_overlay_of_void_alone_has_no_legend():
    picture = overlay(photograph(4, 200), np.full((4, 200), 255), LABELS, opacity=1)
    assert picture.size == (200, 4)
    assert np.array(picture)[2, 9].tolist() == list(VOID_COLOR)


def test_overlay_refuses_labels_of_another_picture():
    with pytest.raises(DataError, match=r"labels are \(2, 3\) but the image is \(3, 2\)"):
        overlay(photograph(3, 2), np.zeros((2, 3), np.uint8), LABELS)
    with pytest.raises(DataError, match=r"outside 0\.\.2 and not 255 \(ignore\): 9 \(1 px\)"):
        overlay(photograph(1, 1), np.full((1, 1), 9), LABELS)


def test_legend_keeps_the_picture_and_wraps_rows():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 300, 3)).astype(np.uint8))
    entries = [((k, 2 * k, 3 * k), f"class {k}") for k in range(1, 31)]
    few, many = with_legend(picture, entries[:2]), with_legend(picture, entries)
    assert few.width == many.width == 300
    assert many.height - 30 > 4 * (few.height - 30)
    assert np.array_equal(np.array(many)[:30], np.array(picture))
    strip = {tuple(color) for color in np.array(many)[30:].reshape(-1, 3).tolist()}
    assert {color for color, _ in entries} <= strip


def test_prediction_grid_has_four_columns_and_a_row_each(legends):
    truth, found = np.zeros((20, 40), np.uint8), np.full((20, 40), 2, np.uint8)
    truth[:, :10] = 255
    tall = np.ones((60, 30), np.uint8)
    grid = prediction_grid([(photograph(20, 40), truth, found), (photograph(60, 30), tall, tall)], LABELS, width=40)
    picture = np.array(grid)
    lefts = [8 + column * 48 for column in range(4)]
    assert grid.width == lefts[-1] + 48
    first, second = picture[35:55], picture[65:140]
    assert first[10, lefts[0] + 20].tolist() == [100] * 3
    assert first[10, lefts[1] + 5].tolist() == list(VOID_COLOR)
    assert first[10, lefts[1] + 20].tolist() == list(SKY)
    assert first[10, lefts[2] + 5].tolist() == list(BALL)
    assert first[10, lefts[3] + 5].tolist() == list(VOID_COLOR)
    assert first[10, lefts[3] + 20].tolist() == [201, 55, 55]
    assert second[40, lefts[2] + 20].tolist() == list(WALL)
    assert second[40, lefts[3] + 20].tolist() == [40] * 3  # right
    names = [name for _, name in legends[0]]
    assert names == ["sky", "wall", "ball", "no ground truth", "wrong", "right (dark)"]
    heights = 14 + 16 + (20 + 8) + (80 + 8)  # titles, then each row at the column's width
    assert not (picture[heights - 9, lefts[0] : lefts[0] + 40] == 255).all()
    assert (picture[heights - 8 : heights] == 255).all()


def test_labels_stay_sharp_when_a_grid_is_resized():
    labels = np.random.default_rng(0).integers(0, 3, (17, 23))
    grid = np.array(prediction_grid([(photograph(17, 23), labels, labels)], LABELS, width=100))
    cell = grid[30 : 30 + 74, 8 + 108 : 8 + 208]
    assert {tuple(color) for color in cell.reshape(-1, 3).tolist()} == set(LABELS.colors)


def test_comparison_grid_goes_by_name(legends):
    image, truth = photograph(10, 10), np.zeros((10, 10), np.uint8)
    one, two = truth + 1, truth + 2
    rows = [(image, truth, {"32s": one, "8s": two}), (image, truth, {"8s": two, "32s": one})]
    picture = np.array(comparison_grid(rows, LABELS, width=50))
    for top in (30, 88):
        cells = [picture[top + 25, 8 + column * 58 + 25].tolist() for column in range(4)]
        assert cells == [[100] * 3, list(SKY), list(WALL), list(BALL)]
    assert legends == [[(SKY, "sky"), (WALL, "wall"), (BALL, "ball")]]


def test_grids_need_a_row_and_known_labels():
    with pytest.raises(DataError, match="at least one row"):
        prediction_grid([], LABELS)
    with pytest.raises(DataError, match="at least one row"):
        comparison_grid([], LABELS)
    strange = np.full((1, 1), 3)
    with pytest.raises(DataError, match=r"outside 0\.\.2 and not 255 \(ignore\): 3 \(1 px\)"):
        prediction_grid([(photograph(1, 1), strange, strange)], LABELS)


def test_letters_of_many_languages_are_drawn_as_themselves() -> None:
    font = drawing.font_for(400)
    missing = font.getmask("\uffff").getbbox(), bytes(font.getmask("\uffff"))
    for letter in "àßñłĞджώ":
        assert (font.getmask(letter).getbbox(), bytes(font.getmask(letter))) != missing
