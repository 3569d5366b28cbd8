"""Files that are damaged, empty or hostile: one clear line each; and parts of formats that whole exports do not show."""

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fullconv.errors import DataError
from fullconv.formats.annotations import draw
from fullconv.formats.recognise import read_annotations, recognise
from fullconv.formats.supervisely import unpacked

COCO: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.jpg", "height": 4, "width": 6}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}],
    "categories": [{"id": 1, "name": "cat"}],
}
SHAPE = {"label": "x", "points": [[0, 0], [1, 1]]}
LABELME: dict[str, Any] = {"shapes": [], "imagePath": "a.jpg", "imageHeight": 4, "imageWidth": 6}


def changed(content: dict[str, Any], part: str, **values: Any) -> str:
    return json.dumps({**content, part: [{**content[part][0], **values}]})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "", "the file is empty"),
        ("a.json", json.dumps(COCO)[:-30], r"no JSON at line 1, column \d+ .*damaged or cut short"),
        ("a.json", "[" * 100_000, "JSON that cannot be read"),
        ("a.json", '{"some": "thing"}', "annotations of no format that is read; they are COCO, LabelMe"),
        ("a.json", changed(COCO, "images", height=10**9), "an image of 1000000000x6 .* which there is not"),
        ("a.json", changed(COCO, "images", height=-4), "an image of -4x6"),
        ("a.json", changed(COCO, "annotations", segmentation=[[float("nan")] * 6]), "a corner that is no number"),
        ("a.json", changed(COCO, "annotations", segmentation=[[1, 1, 2, 2, 3]]), "corners are pairs of numbers x, y"),
        (
            "a.json",
            changed(COCO, "annotations", segmentation={"size": [4, 7], "counts": [28]}),
            "run lengths of 4x7 for an image of 4x6",
        ),
        ("a.json", changed(COCO, "annotations", category_id=7), "the category 7 of an annotation is not among"),
        ("a.json", '{"images": [{}], "annotations": [], "categories": []}', "not as COCO writes it: 'id' is missing"),
        (
            "a.json",
            json.dumps({**LABELME, "shapes": [{"label": "x", "points": [[0, 0]], "shape_type": "star"}]}),
            "a shape 'star'",
        ),
        (
            "a.json",
            changed({**LABELME, "shapes": [SHAPE]}, "shapes", shape_type="mask", mask="?"),
            "a shape of x cannot be drawn|cannot be unpacked",
        ),
        ("a.xml", "<annotations><version>1.1</version><image", "no XML .*cut short"),
        ("a.xml", "<annotations><track id='0' label='x'></track></annotations>", "CVAT for video; export the task as"),
        (
            "a.xml",
            "<annotations><image name='a' width='6' height='4'><polygon label='x' points='1,1;2'/></image></annotations>",
            "corners are pairs of numbers",
        ),
        (
            "a.ndjson",
            json.dumps(
                {
                    "data_row": {"external_id": "a.jpg"},
                    "projects": {"p": {"labels": [{"annotations": {"objects": [{"name": "x", "mask": {"url": "https://h"}}]}}]}},
                }
            ),
            r"line 1: masks are addresses on Labelbox's server",
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        draw(read_annotations(path).images[0], (4, 6), {"x": 1, "cat": 1})
    assert str(path) in str(caught.value) or "cannot be drawn" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0 .1 .1 .5 .1 .5", "5 numbers after the class"),
        ("0 .1 .1 nan .1 .5 .5", "shares of width and height"),
        ("0 10 10 50 10 50 50", "shares of width and height, 0 to 1; these are not"),
        ("3 .1 .1 .5 .1 .5 .5", "class 3 has no name; there are 1"),
        ("cat .1 .1 .5 .1 .5 .5", "invalid literal"),
    ],
)
def test_lines_of_yolo_that_are_wrong(row: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (6, 4)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text(f"0 .1 .1 .5 .1 .5 .5\n{row}\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: {0: cat}\n")
    with pytest.raises(DataError, match=rf"a.txt, line 2: .*{message}"):
        read_annotations(tmp_path / "data.yaml")


def test_yolo_lists_images_and_leaves_some_unlabelled(tmp_path: Path) -> None:
    (tmp_path / "images" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train").mkdir(parents=True)
    for name in "ab":
        Image.new("RGB", (6, 4)).save(tmp_path / "images" / "train" / f"{name}.png")
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "train.txt").write_text("data/images/train/a.png\ndata/images/train/b.png\n")
    (tmp_path / "data.yaml").write_text("path: /content/gone\ntrain: train.txt\nnames: [cat, dog]\n")
    found = read_annotations(tmp_path / "data.yaml")
    assert [len(image.shapes) for image in found.images] == [1, 0]
    assert found.classes == ("cat", "dog")
    assert dict(found.notes) == {"box, drawn as a rectangle": 1}
    expected = np.zeros((4, 6), int)
    expected[1:3, 2:4] = 2
    mask = draw(found.images[0], (4, 6), {"cat": 1, "dog": 2})
    assert mask.sum() / 2 in (4, 6)  # 1.5 to 4.5 across: COCO's rule rounds each end
    assert (mask[expected > 0] == 2).all()


def test_holes_of_supervisely_and_geojson(tmp_path: Path) -> None:
    outer, hole = [[0, 0], [6, 0], [6, 4], [0, 4]], [[1, 1], [3, 1], [3, 3], [1, 3]]
    (tmp_path / "ann").mkdir()
    (tmp_path / "meta.json").write_text('{"classes": [{"title": "x"}]}')
    shape = {"classTitle": "x", "geometryType": "polygon", "points": {"exterior": outer, "interior": [hole]}}
    (tmp_path / "ann" / "a.png.json").write_text(json.dumps({"size": {"height": 4, "width": 6}, "objects": [shape]}))
    (tmp_path / "b.geojson").write_text(
        json.dumps(
            {
                "type": "Feature",
                "properties": {"classification": {"name": "x"}},
                "geometry": {"type": "MultiPolygon", "coordinates": [[outer, hole]]},
            }
        )
    )
    expected = np.ones((4, 6), int)
    expected[1:3, 1:3] = 0
    for path in (tmp_path, tmp_path / "b.geojson"):
        np.testing.assert_array_equal(draw(read_annotations(path).images[0], (4, 6), {"x": 1}), expected)


def test_a_bitmap_that_unpacks_to_more_than_there_is() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(300_000_000), 1)).decode()
    with pytest.raises(DataError, match="unpacks to more than any image holds"):
        unpacked(bomb)


def test_panoptic_coco(tmp_path: Path) -> None:
    colors = np.zeros((4, 6, 3), np.uint8)
    colors[1:3, 1:4] = (5, 1, 0)
    (tmp_path / "panoptic_val").mkdir()
    Image.fromarray(colors).save(tmp_path / "panoptic_val" / "a.png")
    segments = [{"id": 5 + 256, "category_id": 1, "iscrowd": 0}]
    content = {**COCO, "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}]}
    (tmp_path / "panoptic_val.json").write_text(json.dumps(content))
    mask = draw(read_annotations(tmp_path / "panoptic_val.json").images[0], (4, 6), {"cat": 1})
    np.testing.assert_array_equal(mask, (colors[..., 0] == 5).astype(int))


def test_label_studio_min_and_labels_apart_from_shapes(tmp_path: Path) -> None:
    size = {"original_width": 6, "original_height": 4}
    corners = [[0, 0], [50, 0], [50, 50], [0, 50]]
    small = [
        {"image": "/data/upload/a.jpg", "id": 1, "annotator": 1, "label": [{**size, "points": corners, "polygonlabels": ["x"]}]}
    ]
    parts = [
        {**size, "id": "r", "type": "polygon", "value": {"points": corners}},
        {**size, "id": "r", "type": "labels", "value": {"points": corners, "labels": ["x"]}},
        {"id": "c", "type": "choices", "value": {"choices": ["good"]}},
    ]
    whole = [
        {"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"was_cancelled": True, "result": []}, {"result": parts}]},
        {"id": 2, "data": {"image": "b.jpg"}, "annotations": []},
    ]
    for name, content in (("min.json", small), ("whole.json", whole)):
        (tmp_path / name).write_text(json.dumps(content))
        found = read_annotations(tmp_path / name)
        assert len(found.images) == 1
        mask = draw(found.images[0], (4, 6), {"x": 1})
        assert mask.tolist() == [[1, 1, 1, 0, 0, 0]] * 2 + [[0] * 6] * 2


def test_an_image_in_place_of_annotations(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, format="PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    assert recognise(tmp_path / "a.png") is None
    with pytest.raises(DataError, match="no such file or folder of annotations"):
        read_annotations(tmp_path / "gone.json")


SHARES = [[0.25, 0.25], [0.75, 0.25], [0.75, 1.0]]
NORMALISED: dict[str, Any] = {
    "COCO": COCO | {"annotations": [{**COCO["annotations"][0], "segmentation": [[x for corner in SHARES for x in corner]]}]},
    "LabelMe": LABELME | {"shapes": [{"label": "cat", "shape_type": "polygon", "points": SHARES}]},
    "VIA": {
        "a.jpg1": {
            "filename": "a.jpg",
            "regions": [
                {
                    "shape_attributes": {
                        "name": "polygon",
                        "all_points_x": [x for x, _ in SHARES],
                        "all_points_y": [y for _, y in SHARES],
                    },
                    "region_attributes": {"kind": "cat"},
                }
            ],
        }
    },
}


@pytest.mark.parametrize("name", NORMALISED)
def test_corners_in_shares_of_the_image_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(NORMALISED[name]))
    with pytest.raises(
        DataError, match=r"all polygons of .*a.jpg lie within one pixel \(x up to 0.75, y up to 1\), .* normalised"
    ):
        read_annotations(path)


@pytest.mark.parametrize("ring", [[0, 0, 1, 0, 1, 1, 0, 1], [0, 0, 0.984375, 0, 0.984375, 0.984375, 0, 0.984375]])
def test_a_region_of_one_pixel_is_none_in_shares(ring: list[float], tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(changed(COCO, "annotations", segmentation=[ring]))
    assert len(read_annotations(path).images[0].shapes) == 1
