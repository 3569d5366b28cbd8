"""``fullconv import`` and the geometry of a prototxt."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from fullconv.cli import main


@pytest.mark.realdata
def test_a_plain_net_comes_in_and_shows_its_geometry(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = shared_data / "caffe" / "lenet", tmp_path / "lenet.safetensors"
    files = [str(folder / "lenet_iter_10000.caffemodel"), "--prototxt", str(folder / "deploy.prototxt")]
    assert main(["import", *files, "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["model"], said["dropped"], said["missing"], len(said["copied"]), len(said["cast"])) == (
        *("LeNet", ["mnist", "loss"], []),
        *(6, 2),
    )
    with safe_open(out, framework="pt") as file:
        assert file.get_slice("ip1.weight").get_shape() == [500, 50, 4, 4]
    assert main(["geometry", str(folder / "deploy.prototxt"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["stride"], found["receptive_field"], found["size"]) == ("LeNet", 4, 28, [28, 28])


def test_contradictions_and_other_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.caffemodel"
    file.write_bytes(b"\x00" * 100)
    out = tmp_path / "out.safetensors"
    for arguments, message in (
        (["--out", str(out)], "byte 0 starts no field"),
        (["--out", str(tmp_path / "out.pth")], "written as .safetensors"),
        (["--out", str(out), "--model", "voc-fcn8s", "--prototxt", "x"], "give one of them"),
    ):
        assert main(["import", str(file), *arguments]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not out.exists()
