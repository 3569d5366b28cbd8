"""Shared by all tests: one torch thread, reproducible examples, the real photographs where they are."""

import functools
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fullconv", deadline=None, derandomize=True)
settings.load_profile("fullconv")


def pytest_collection_finish() -> None:
    """Before the first test, in the processes that test: the one that starts them collects nothing, and needs no torch.

    What is there by now is left out of garbage collection: it lives to the end, and looking at it takes time.
    """
    import torch

    torch.set_num_threads(1)
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images, masks and weights; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("FULLCONV_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data are not at {folder}; set FULLCONV_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def onnx_table() -> Iterator[None]:
    """For every export torch reads its table of ONNX operators anew from source text, in half a second: here once."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small FCN-8s with random weights, trained on nothing, that tells the classes of Scenes apart at random."""
    import torch

    from fullconv.data import open_dataset
    from fullconv.nn.build import build_model
    from fullconv.nn.checkpoint import save_checkpoint
    from fullconv.spec import DataSpec, ModelSpec

    labels = open_dataset(DataSpec(count=1), "train").labels
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn8s-minivgg", hidden_layers=False), {"semantic": len(labels["semantic"])})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    save_checkpoint(path, model, {"semantic": labels["semantic"]})
    return path
