"""Small nets as checkpoints, and their exported files, each made once."""

import os
import pickle
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch import nn

from fullconv.data import open_dataset
from fullconv.interop.export import Exported, export_checkpoint
from fullconv.interop.export.export import SUFFIX_OF
from fullconv.labels import LabelSet
from fullconv.nn.backbones import BACKBONES, Classifier
from fullconv.nn.backbones.caffe import initialise
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import DataSpec, ModelSpec

Make = Callable[..., Path]


def shallow() -> nn.Module:
    """The default's widths, with one convolution before each pool and no batch norm: a trace costs time by the layer."""
    layers: list[nn.Module] = []
    for given, out in pairwise((3, 12, 24, 48, 96, 128)):
        layers += [nn.Conv2d(given, out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return initialise(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)))


@pytest.fixture(scope="session", autouse=True)
def shallow_backbone(onnx_table: None) -> Iterator[None]:
    """A backbone of these tests alone; tests/nn/test_export.py has one of every kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "shallow", Classifier(shallow, 96))
        yield


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Writes a net with random score layers as a checkpoint."""

    def make(
        name: str = "fcn32s-shallow",
        heads: dict[str, int] | None = None,
        seed: int = 0,
        scale: float = 1.0,
        std: float = 1.0,
        labels: dict[str, LabelSet] | None = None,
        **spec: object,
    ) -> Path:
        heads = heads or {"semantic": 2}
        torch.manual_seed(seed)
        model = build_model(ModelSpec.model_validate({"name": name, "hidden_layers": False} | spec), heads)
        for parameter in model.score_parameters():
            torch.nn.init.normal_(parameter, std=std)
        path = tmp_path_factory.mktemp("made") / "model.safetensors"
        labels = labels or {head: LabelSet(tuple(f"class {k}" for k in range(classes))) for head, classes in heads.items()}
        save_checkpoint(path, model, labels, scale=scale)
        return path

    return make


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint: Make) -> Path:
    """An FCN-32s, which exports in half the time of the FCN-8s of all other tests; tests/nn/test_export.py has skips."""
    scenes = open_dataset(DataSpec(count=1), "train").labels["semantic"]
    return make_checkpoint(heads={"semantic": len(scenes)}, labels={"semantic": scenes})


@pytest.fixture(scope="session")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Exported]]:
    """Exports that net; the same options give the same file, in all processes that test."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "exported"
    folder.mkdir(exist_ok=True)

    def export(format: str, precision: str = "fp32", embed_pixels: bool = False) -> tuple[Path, Exported]:
        path = folder / f"{precision}-{embed_pixels}{SUFFIX_OF[format]}"
        told = path.with_suffix(f"{path.suffix}.pickle")
        with FileLock(f"{path}.lock"):
            if not told.exists():
                found = export_checkpoint(checkpoint, path, format=format, precision=precision, embed_pixels=embed_pixels)  # type: ignore[arg-type]  # names of formats
                told.write_bytes(pickle.dumps(found))
            return path, pickle.loads(told.read_bytes())

    return export
