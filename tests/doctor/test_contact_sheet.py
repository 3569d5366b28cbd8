"""Contact sheets: what is drawn where, and what cannot be drawn."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import Folder, mask, photograph

from fullconv.data import open_dataset
from fullconv.doctor.contact_sheet import IGNORED, STRANGE, UNKNOWN, contact_sheet, read_tile, tiles, write_sheets
from fullconv.doctor.examine import open_context
from fullconv.doctor.show import show
from fullconv.errors import DataError
from fullconv.labels import LabelSet
from fullconv.spec.recipe import load_recipe

LABELS = LabelSet(("ground", "house"), ((0, 0, 0), (200, 30, 30)))


def test_classes_ignored_and_unknown_pixels_are_seen() -> None:
    image = np.full((100, 200, 3), 100, np.uint8)
    labels = np.full((100, 200), 1)
    labels[:, 50:100], labels[:, 100:150] = 255, UNKNOWN
    sheet = np.array(contact_sheet([("a", image, labels)], LABELS))
    rows = sheet[60:90, 8:]
    assert (rows[:, :200] == 100).all()
    assert (rows[:, 200:250] == np.round(0.4 * 100 + 0.6 * np.array([200, 30, 30]))).all()
    assert 0.3 < (rows[:, 250:300] == IGNORED).all(2).mean() < 0.7
    assert (rows[:, 300:350] == STRANGE).all()


def test_more_of_the_same_view_stands_between_image_and_labels() -> None:
    image, depth = np.full((100, 200, 3), 100, np.uint8), np.full((100, 200, 3), 30, np.uint8)
    sheet = np.array(contact_sheet([("a", image, np.ones((100, 200)))] * 2, LABELS, [[depth]] * 2))
    for left in (8, 624):
        rows = sheet[60:90, left : left + 600]
        assert [np.unique(rows[:, start : start + 200, 0]).tolist() for start in (0, 200, 400)] == [[100], [30], [160]]


def test_every_input_of_a_net_is_shown(tmp_path: Path) -> None:
    recipe = load_recipe(
        "scenes-fcn32s-minivgg", {"model": {"streams": ["rgb+depth"]}, "data": {"size": [48, 64], "count": 12, "augment": {}}}
    )
    names = show(recipe, tmp_path / "s.png")
    training = open_dataset(recipe.data, recipe.data.train)
    samples = {training[index].name: training[index] for index in range(len(training))}
    with Image.open(tmp_path / "s.png") as sheet:
        pixels = np.array(sheet.convert("RGB"))
    for column, name in enumerate(names[:3]):
        depth = samples[name].inputs["depth"].numpy()[0]
        near = depth[depth > 0].min()
        grey = np.array([[255 * near / z if z > 0 else 0 for z in row] for row in depth.tolist()]).round().astype(np.uint8)
        both = [grey, np.fliplr(grey)] if recipe.data.augment.flip else [grey]
        small = [np.array(Image.fromarray(each).resize((200, 150), Image.Resampling.LANCZOS)).astype(int) for each in both]
        drawn = pixels[:, 8 + 616 * column + 200 :][:, :200, 0]
        assert min(np.abs(drawn[top : top + 150] - each).mean() for top in range(8, 60) for each in small) < 1


def test_unknown_values_are_read_as_such(folder: Folder) -> None:
    labels = mask(2)
    labels[10:20, 10:20] = 77
    Image.fromarray(labels).save(folder.mask(2))
    context = open_context(folder.spec())
    _, image, truth = read_tile(context.sources[0].pairs[2], context.label_map)
    assert (image == np.array(photograph(2))).all()
    assert ((truth == UNKNOWN) == (labels == 77)).all()
    assert (truth[truth != UNKNOWN] == labels[labels != 77]).all()


def test_a_sheet_for_each_split_whatever_is_broken(folder: Folder, tmp_path: Path) -> None:
    for number in range(10, 14):
        folder.mask(number).write_bytes(b"x")
    context = open_context(folder.spec())
    assert [name for name, _, _ in tiles(context.sources[0], ["9", "10", "3"])] == ["! 3", "! 9", *"01245678"]
    paths = write_sheets(context, ["3"], tmp_path / "sheets")
    assert paths == [tmp_path / "sheets" / "train.png"]
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["train.png"]


def test_nothing_to_draw_and_what_does_not_fit() -> None:
    with pytest.raises(DataError, match="there is nothing to draw"):
        contact_sheet([], LABELS)
    with pytest.raises(DataError, match=r"a: labels \(3, 3\) cannot be laid over an image \(2, 2\)"):
        contact_sheet([("a", np.zeros((2, 2, 3), np.uint8), np.zeros((3, 3), np.uint8))], LABELS)
