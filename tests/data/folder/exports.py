"""Exports of annotation tools, written by hand in small: two images of 40 x 48 with a cat and a dog that overlap."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

H, W = 40, 48
BOXES = {"cat": (10, 5, 30, 20), "dog": (20, 10, 40, 30)}
"""Left, top, right, bottom at the edges of pixels; the cat is the smaller one."""
NAMES = ("a", "b")


def write_images(folder: Path, names: tuple[str, ...] = NAMES, suffix: str = ".jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (W, H), (90, 120, 60)).save(folder / f"{name}{suffix}")


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def truth(front: str, grown: int = 0) -> NDArray[np.uint8]:
    """1 is the cat and 2 the dog; ``front`` lies over the other; boxes reach ``grown`` pixels further to the right and down."""
    labels = np.zeros((H, W), np.uint8)
    for name in sorted(BOXES, key=lambda name: name == front):
        left, top, right, bottom = BOXES[name]
        labels[top : bottom + grown, left : right + grown] = 1 + list(BOXES).index(name)
    return labels


def corners(name: str) -> list[list[float]]:
    left, top, right, bottom = BOXES[name]
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def inside(name: str) -> NDArray[np.bool_]:
    left, top, right, bottom = BOXES[name]
    found = np.zeros((H, W), bool)
    found[top:bottom, left:right] = True
    return found


def counts_of(flat: NDArray[np.bool_]) -> list[int]:
    runs = [(value, len(list(group))) for value, group in groupby(flat.tolist())]
    return [*([0] if runs[0][0] else []), *(length for _, length in runs)]


def coco(root: Path, images: list[str] | None = None, where: str = "annotations/instances_default.json") -> None:
    files = images or [f"{name}.jpg" for name in NAMES]
    write_images(root / "images")
    annotations = [
        {"id": 2 * i + k, "image_id": i, "category_id": k, "segmentation": parts, "iscrowd": 0}
        for i in range(1, len(files) + 1)
        for k, parts in (
            (1, {"size": [H, W], "counts": counts_of(inside("cat").ravel(order="F"))}),
            (2, [np.ravel(corners("dog")).tolist()]),
        )
    ]
    write_json(
        root / where,
        {
            "images": [{"id": i, "file_name": file, "height": H, "width": W} for i, file in enumerate(files, start=1)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        },
    )


def roboflow(root: Path) -> None:
    for split, names in (("train", NAMES), ("valid", ("c",))):
        write_images(root / split, names)
        write_json(
            root / split / "_annotations.coco.json",
            {
                "categories": [
                    {"id": 0, "name": "pets", "supercategory": "none"},
                    {"id": 1, "name": "cat", "supercategory": "pets"},
                    {"id": 2, "name": "dog", "supercategory": "pets"},
                ],
                "images": [{"id": i, "file_name": f"{name}.jpg", "height": H, "width": W} for i, name in enumerate(names)],
                "annotations": [
                    {
                        "id": 9 * i + k,
                        "image_id": i,
                        "category_id": k,
                        "segmentation": [np.ravel(corners(name)).tolist()],
                        "iscrowd": 0,
                    }
                    for i in range(len(names))
                    for k, name in ((1, "cat"), (2, "dog"))
                ],
            },
        )


def labelme(root: Path) -> None:
    write_images(root)
    for name in NAMES:
        cat, dog = (corners(k) for k in BOXES)
        shapes = [
            {"label": "cat", "shape_type": "polygon", "points": cat, "group_id": None, "flags": {}},
            {"label": "dog", "shape_type": "rectangle", "points": [dog[2], dog[0]], "group_id": None, "flags": {}},
        ]
        content = {"version": "5.5.0", "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None}
        write_json(root / f"{name}.json", {**content, "imageHeight": H, "imageWidth": W})


def yolo_line(number: int, name: str) -> str:
    return " ".join([str(number), *(f"{x / W:.7f} {y / H:.7f}" for x, y in corners(name))]) + "\n"


def yolo(root: Path) -> None:
    for split, names in (("train", NAMES), ("valid", ("c",))):
        write_images(root / split / "images", names)
        (root / split / "labels").mkdir()
        for name in names:
            (root / split / "labels" / f"{name}.txt").write_text(yolo_line(0, "cat") + yolo_line(1, "dog"))
    (root / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['cat', 'dog']\n")


def yolo_without_list(root: Path) -> None:
    for split, names in (("train", NAMES), ("val", ("c",))):
        write_images(root / "images" / split, names)
        (root / "labels" / split).mkdir(parents=True)
        for name in names:
            (root / "labels" / split / f"{name}.txt").write_text(yolo_line(0, "cat") + yolo_line(1, "dog"))
    (root / "classes.txt").write_text("cat\ndog\n")


def cvat(root: Path) -> None:
    write_images(root / "images")
    dog = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners("dog"))
    left, top, right, bottom = BOXES["cat"]
    mask = f'rle="0, {(right - left) * (bottom - top)}" left="{left}" top="{top}" width="{right - left}" height="{bottom - top}"'
    images = "".join(
        f'<image id="{i}" name="{name}.jpg" width="{W}" height="{H}">'
        f'<mask label="cat" source="manual" occluded="0" {mask} z_order="1"></mask>'
        f'<polygon label="dog" source="manual" occluded="0" points="{dog}" z_order="0"></polygon>'
        f'<polyline label="dog" points="1,1;9,9" z_order="0"></polyline></image>'
        for i, name in enumerate(NAMES)
    )
    labels = "".join(f"<label><name>{k}</name><color>#{c}</color></label>" for k, c in (("cat", "ff0000"), ("dog", "00ff00")))
    (root / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><labels>{labels}</labels></task>'
        f"</meta>{images}</annotations>"
    )


def pack_brush(mask: NDArray[np.bool_]) -> list[int]:
    """Label Studio's packed form of an RGBA image with the mask in alpha: every pixel alike is a block of repeats."""
    flat = np.repeat(mask.ravel().astype(int) * 255, 4)
    bits = f"{len(flat):032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    for value, group in groupby(flat.tolist()):
        left = len(list(group))
        while left:
            part = min(left, 1 << 16)
            # one pixel's four values stand as they are, longer runs are repeats
            bits += f"000{part - 1:03b}" + f"{value:08b}" * part if part <= 4 else f"111{part - 1:016b}{value:08b}"
            left -= part
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def label_studio(root: Path) -> None:
    write_images(root / "images")
    about = {"original_width": W, "original_height": H, "from_name": "label", "to_name": "image"}
    left, top, right, bottom = BOXES["dog"]
    box = {"x": 100 * left / W, "y": 100 * top / H, "width": 100 * (right - left) / W, "height": 100 * (bottom - top) / H}
    write_json(
        root / "project-1.json",
        [
            {
                "id": i,
                "data": {"image": f"/data/upload/1/0a1b2c3d-{name}.jpg"},
                "annotations": [
                    {
                        "result": [
                            {
                                **about,
                                "id": "x",
                                "type": "brushlabels",
                                "value": {"format": "rle", "rle": pack_brush(inside("cat")), "brushlabels": ["cat"]},
                            },
                            {**about, "id": "y", "type": "rectanglelabels", "value": {**box, "rectanglelabels": ["dog"]}},
                        ]
                    }
                ],
            }
            for i, name in enumerate(NAMES)
        ],
    )


def supervisely(root: Path) -> None:
    write_json(
        root / "meta.json",
        {"classes": [{"title": k, "shape": "any", "color": c} for k, c in (("cat", "#FF0000"), ("dog", "#00FF00"))], "tags": []},
    )
    write_images(root / "ds0" / "img")
    left, top, right, bottom = BOXES["dog"]
    buffer = io.BytesIO()
    Image.fromarray(np.full((bottom - top, right - left), 255, np.uint8)).save(buffer, format="PNG")
    bitmap = {"data": base64.b64encode(zlib.compress(buffer.getvalue())).decode(), "origin": [left, top]}
    cat = {"exterior": corners("cat"), "interior": []}
    for name in NAMES:
        objects = [
            {"classTitle": "cat", "geometryType": "polygon", "points": cat},
            {"classTitle": "dog", "geometryType": "bitmap", "bitmap": bitmap},
        ]
        content = {"description": "", "tags": [], "size": {"height": H, "width": W}, "objects": objects}
        write_json(root / "ds0" / "ann" / f"{name}.jpg.json", content)


def labelbox(root: Path) -> None:
    write_images(root / "images")
    lines = []
    for name in NAMES:
        polygon = [{"x": x, "y": y} for x, y in corners("cat")]
        left, top, right, bottom = BOXES["dog"]
        box = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        objects = [{"name": "cat", "polygon": polygon}, {"name": "dog", "bounding_box": box}]
        row = {"data_row": {"external_id": f"{name}.jpg"}, "media_attributes": {"height": H, "width": W}}
        lines.append(json.dumps({**row, "projects": {"p": {"labels": [{"annotations": {"objects": objects}}]}}}))
    (root / "export.ndjson").write_text("\n".join(lines) + "\n")


def via_regions() -> list[dict[str, Any]]:
    cat, (left, top, right, bottom) = corners("cat"), BOXES["dog"]
    return [
        {
            "shape_attributes": {"name": "polygon", "all_points_x": [x for x, _ in cat], "all_points_y": [y for _, y in cat]},
            "region_attributes": {"kind": "cat"},
        },
        {
            "shape_attributes": {"name": "rect", "x": left, "y": top, "width": right - left, "height": bottom - top},
            "region_attributes": {"kind": "dog"},
        },
    ]


def via(root: Path) -> None:
    write_images(root / "images")
    files = {f"{name}.jpg123": {"filename": f"{name}.jpg", "size": 123, "regions": via_regions()} for name in NAMES}
    write_json(root / "via_project.json", {"_via_settings": {}, "_via_img_metadata": files, "_via_attributes": {}})


def via_plain(root: Path) -> None:
    write_images(root)
    regions = {str(i): region for i, region in enumerate(via_regions())}
    write_json(root / "via_region_data.json", {f"{n}.jpg1": {"filename": f"{n}.jpg", "regions": regions} for n in NAMES})


def geojson(root: Path) -> None:
    write_images(root / "images")
    for name in NAMES:
        features = [
            {
                "type": "Feature",
                "properties": {"class": k},
                "geometry": {"type": "Polygon", "coordinates": [[*corners(k), corners(k)[0]]]},
            }
            for k in BOXES
        ]
        write_json(root / "labels" / f"{name}.geojson", {"type": "FeatureCollection", "features": features})


EXPORTS: dict[str, tuple[Callable[[Path], None], NDArray[np.uint8]]] = {
    "coco": (coco, truth("cat")),
    "roboflow coco": (roboflow, truth("cat")),
    "labelme": (labelme, truth("dog", grown=1)),
    "yolo": (yolo, truth("cat")),
    "yolo without list": (yolo_without_list, truth("cat")),
    "cvat": (cvat, truth("cat")),
    "label studio": (label_studio, truth("dog")),
    "supervisely": (supervisely, truth("dog")),
    "labelbox": (labelbox, truth("dog")),
    "via": (via, truth("dog")),
    "via plain": (via_plain, truth("dog")),
    "geojson": (geojson, truth("dog")),
}
"""How each is written, and what its masks must be by the rule of its format."""
