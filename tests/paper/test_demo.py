"""The demo: which folders it takes."""

from pathlib import Path

import pytest

from fullconv.errors import TrainingError
from fullconv.paper import demo


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(TrainingError, match=r"holds other things than a demo that was stopped; choose another --out"):
        demo.run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
