"""Shared by all tests: one torch thread, reproducible examples, the real photographs where they are."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("fullconv", deadline=None, derandomize=True)
settings.load_profile("fullconv")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images, masks and weights; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("FULLCONV_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data are not at {folder}; set FULLCONV_SHARED_DATA")
    return folder
