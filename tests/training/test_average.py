"""The average of the weights is what every row of ``metrics.csv`` measures, and measuring it changes nothing."""

from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.nn.build import build_model
from fullconv.spec import ModelSpec, Recipe
from fullconv.training.average import WeightAverage
from fullconv.training.log import MetricsFile
from fullconv.training.run import train

Tiny = Callable[..., Recipe]


def measured(out: Path) -> dict[int, dict[str, float]]:
    """The metrics by step."""
    rows = MetricsFile(out / "metrics.csv", ("semantic",)).rows()
    return {row["step"]: {k: v for k, v in row.items() if k.startswith("semantic_")} for row in rows if "semantic_mean_iu" in row}


def test_a_row_in_between_is_what_a_run_that_ends_there_has_at_its_end(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    def run(name: str, steps: int, **more: object) -> Path:
        changes = {"stages": [{"stride": 16, "steps": steps}], "optimizer": {"learning_rate": 0.1}, **more}
        return train(tiny(train=changes), tmp_path / name, console=quiet).out

    short = run("short", 4, average=0.9)
    long = run("long", 6, average=0.9, validate_every=2)
    assert sorted(measured(long)) == [2, 4, 6]
    assert measured(long)[4] == measured(short)[4]
    assert measured(run("plain", 4))[4] != measured(short)[4]  # the last step's own weights are others
    unmeasured = run("unmeasured", 6, average=0.9)
    a, b = (load_file(out / "model.safetensors") for out in (long, unmeasured))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_models_own_weights_come_back_bit_for_bit() -> None:
    model = build_model(ModelSpec(name="fcn32s-minivgg"), {"semantic": 3})
    own = {name: value.clone() for name, value in model.state_dict().items()}
    average = WeightAverage(0.9)
    average.average = {name: torch.full_like(value, 7) for name, value in own.items() if value.is_floating_point()}
    with average.applied(model):
        assert all((value == 7).all() for value in model.state_dict().values() if value.is_floating_point())
    assert all(torch.equal(own[name], value) for name, value in model.state_dict().items())
