"""The command ``raster``: its options, its words, its exit code."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from fullconv.cli import main
from fullconv.cli.raster import read_range
from fullconv.errors import SpecError
from made_maps import write_map


def test_maps_become_labelled_maps_and_what_fails_is_told(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(0).integers(1, 900, (40, 50, 4)).astype(np.uint16)
    source = write_map(tmp_path / "maps" / "a.tif", values)
    (tmp_path / "maps" / "b.tif").write_text("no map")
    out = tmp_path / "out"
    command = ["raster", str(checkpoint), str(tmp_path / "maps"), "--out", str(out), "--gpkg", "--areas", "--json"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "a.tif: 4 bands, and the model reads 3 bands; say which they are by --bands, such as 1,2,3" in said
    command += ["--bands", "4,3,2", "--range", "0:1000,0:900,0:800"]
    assert main(command) == 1
    shown = capsys.readouterr()
    assert f"{source}: bands 4,3,2, 0:1000,0:900,0:800 to 0:255; a.tif, a.gpkg written into {out}" in shown.err
    assert "b.tif cannot be read" in shown.err
    found = json.loads(shown.out)
    assert found["predicted"][str(source)]["range"] == [[0, 1000], [0, 900], [0, 800]]
    assert list(found["failed"]) == [str(tmp_path / "maps" / "b.tif")]
    with rasterio.open(out / "a.tif") as file, rasterio.open(source) as given:
        assert (file.transform, file.crs) == (given.transform, given.crs)
    assert (out / "areas.csv").read_text().startswith("map,class,pixels,share,area\na,")
    assert main(command) == 1
    assert "a.tif is there already" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["5", "3,1", "a,b", "1:2:3", "2%", "nan,1"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=f"--range {text} is none; give LOW,HIGH"):
        read_range(text)


def test_a_list_of_bands_that_is_none_is_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["raster", str(checkpoint), "a.tif", "--bands", "0,1"]) == 1
    assert "error: --bands 0,1 is no list of bands" in capsys.readouterr().err
    assert main(["raster", str(checkpoint)]) == 1
    assert "error: no maps are given" in capsys.readouterr().err


def test_predict_says_that_pngs_do_not_lie_on_the_earth(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_map(tmp_path / "a.tif", np.zeros((20, 30, 3), np.uint8))
    assert main(["predict", str(checkpoint), str(tmp_path / "a.tif"), "--out", str(tmp_path / "out")]) == 0
    assert "a.tif says where on the earth it lies, and PNG files do not; `fullconv raster` writes" in capsys.readouterr().err
