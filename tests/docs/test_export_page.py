"""The ten lines of docs/export.md, as they stand there, label a photograph as predict does."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.data.scenes.scenes import render

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch.onnx")
def test_ten_lines_without_this_package(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert "fullconv." not in code
    assert sum(not line.startswith(("import", "from")) for line in code.splitlines() if line) <= 10
    Image.fromarray(render(0, "test", 5, (75, 101)).image).save("photo.jpg")
    assert main(["export", str(checkpoint), "--format", "onnx", "--embed-pixels", "--out", "labels.onnx"]) == 0
    exec(code, {})
    assert main(["predict", str(checkpoint), "photo.jpg", "--out", "predicted"]) == 0
    with Image.open("labels.png") as mine, Image.open("predicted/photo.png") as theirs:
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))
        np.testing.assert_array_equal(np.asarray(mine.convert("RGB")), np.asarray(theirs.convert("RGB")))
