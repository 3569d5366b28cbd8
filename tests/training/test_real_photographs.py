from pathlib import Path

import pytest
from rich.console import Console

from fullconv.nn.checkpoint import load_checkpoint
from fullconv.spec.recipe import load_recipe
from fullconv.training.run import train


@pytest.mark.realdata
def test_the_voc_recipe_runs_through_all_stages(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: Console
) -> None:
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(shared_data / "weights"))
    stages = [{"stride": stride, "steps": 2, "learning_rate": 5e-5} for stride in (32, 16, 8)]
    changes = {
        "data": {"root": str(shared_data / "VOCdevkit"), "count": 4, "val_count": 2, "workers": 0},
        "train": {"stages": stages, "batch_size": 2, "optimizer": {"warmup": 0}, "accelerator": "cpu", "devices": 1},
    }
    result = train(load_recipe("voc-fcn8s-squeezenet1_1", changes), tmp_path / "out", console=quiet)
    text = quiet.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "weights: squeezenet1_1-trunk.safetensors: 50 copied, 0 cast, none missing" in text
    assert [stage["stage"] for stage in result.stages] == ["32s", "16s", "8s"]
    assert result.score("pixel_accuracy") > 0
    model = load_checkpoint(result.model).model
    assert (
        model.preprocessing["rgb"]
        == load_checkpoint(tmp_path / "out" / "stage-32s" / "model.safetensors").model.preprocessing["rgb"]
    )
