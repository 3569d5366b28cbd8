"""The folder that most tests begin with."""

from pathlib import Path

import pytest
from planted import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "own")
