"""From maps and a vector file to a labelled map of another place, on the command line, without an edit of the recipe."""

import csv
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from fullconv.cli import main
from made_maps import TURNED, write_map

SHORT = [
    *("--model.name", "fcn8s-minivgg", "--model.weights", "null", "--model.hidden_layers", "false", "--model.dropout", "0"),
    *(
        "--train.validate_every",
        "30",
        "--train.keep",
        "last",
        "--data.workers",
        "0",
        "--data.augment",
        "{flip: true}",
        "--train.precision",
        "32-true",
        "--train.batch_size",
        "4",
    ),
    *("--train.stages", "[{stride: 8, steps: 30}]", "--train.optimizer.learning_rate", "0.001", "--train.patience", "null"),
    *("--train.optimizer.score_learning_rate_factor", "1", "--train.optimizer.warmup", "0", "--train.average", "null"),
]


def write_land(folder: Path) -> np.ndarray:
    """Write two maps of fields and water, truth of both in one vector file; return the truth of the second, (96, 96)."""
    random = np.random.default_rng(5)
    shapes, names = [], []
    for number, split in enumerate(("train", "val")):
        truth = np.zeros((96, 96), np.uint8)
        grid = TURNED @ rasterio.Affine.translation(200 * number, 0)
        for top in range(0, 96, 32):
            for left in range(0, 96, 32):
                label = int(random.integers(0, 3))
                truth[top : top + 32, left : left + 32] = label
                if label:
                    corners = [(left, top), (left + 32, top), (left + 32, top + 32), (left, top + 32)]
                    shapes.append(shapely.to_wkb(shapely.Polygon([grid @ corner for corner in corners])))
                    names.append(["water", "field"][label - 1])
        light = np.array([[900, 900, 900, 900], [300, 500, 400, 100], [400, 800, 500, 2500]])[truth]
        values = light + random.integers(0, 300, light.shape)
        values[:4] = 0
        truth[:4] = 255
        write_map(folder / "maps" / split / f"{split}.tif", values.astype(np.uint16), nodata=0, transform=grid)
    fields = [np.array(names, object), np.arange(len(names)).astype(str).astype(object)]
    pyogrio.raw.write(
        folder / "land.gpkg", np.array(shapes, object), fields, ["cover", "id"], geometry_type="Polygon", crs="EPSG:32633"
    )
    return truth


def test_from_maps_and_vectors_to_a_labelled_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    truth = write_land(Path("land"))
    assert main(["init", "land"]) == 1
    assert (
        "2 attributes (cover, id), and nothing says which names the class of a shape; give it by --class-attribute"
        in capsys.readouterr().err
    )
    assert main(["init", "land", "--class-attribute", "cover"]) == 0
    recipe = Path("land.yaml").read_text()
    assert "found 1 maps to train on in maps/train, cut into windows of 512 px" in capsys.readouterr().err
    assert "bands: [1, 2, 3, 4]" in recipe
    assert main(["train", "land.yaml", *SHORT, "--data.folder.window", "[48, 48]", "--out", "run"]) == 0
    with Path("run/metrics.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert main(["raster", "run/model.safetensors", "land/maps/val/val.tif", "--out", "out", "--geojson"]) == 0
    with rasterio.open("out/val.tif") as file:
        labels = file.read(1)
        names = [file.tags()[f"CLASS_{label}"] for label in range(3)]
    assert (labels[:4] == 255).all()
    known = truth[4:] != 255
    order = [names.index(name) for name in ("background", "water", "field")]
    right = (labels[4:] == np.take(order, truth[4:]))[known].mean()
    chance = np.bincount(truth[4:].ravel()).max() / truth[4:].size
    assert right > chance + 0.2
