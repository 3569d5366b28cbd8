"""A context for experiments in small."""

import json

import pytest
import torch
from in_small import Small
from rich.console import Console
from safetensors.torch import save_file

from fullconv.data.scenes.scenes import CLASSES
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.backbones.minivgg import minivgg
from fullconv.nn.normalise import Normalise


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A context with classifiers of random weights for two seeds, which need not be trained then."""
    context = Small(tmp_path_factory.mktemp("paper"), "", console=Console(quiet=True))
    header = {"preprocessing": json.dumps(Normalise(BACKBONES["minivgg"].preprocessing).preprocessing), "accuracy": "0"}
    for seed in (0, 1):
        torch.manual_seed(seed)
        folder = context.run_folder("classifier", seed)
        folder.mkdir(parents=True)
        save_file(minivgg(len(CLASSES)).state_dict(), folder / "minivgg.safetensors", header)
    return context
