"""``fullconv sweep`` from a shell: mistakes in one line, what it prints."""

import json
from pathlib import Path
from typing import Any

import pytest

from fullconv.cli import main
from fullconv.training.sweep_trials import SweepSpec, Trial
from made_runs import RECIPE


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SweepSpec, Path]]:
    """What was asked for; one trial comes back."""
    calls = []

    def sweep(spec: SweepSpec, out: Path, *rest: Any) -> list[Trial]:
        calls.append((spec, out))
        out.mkdir(parents=True, exist_ok=True)
        values = {tried.key: tried.ends[0] for tried in spec.tries}
        return [Trial(0, values, "finished", 0.25, 60.0), Trial(1, values, "failed", None, 6.0, "the loss is nan")]

    monkeypatch.setattr("fullconv.training.sweep.sweep", sweep)
    return calls


def test_a_sweep(
    asked: list[tuple[SweepSpec, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tries = ["--try", "train.optimizer.learning_rate=1e-4:1e-2", "--try", "model.dropout=0.2,0.5"]
    assert main(["sweep", RECIPE, *tries, "--minutes", "60", "--train.batch_size", "2"]) == 0
    ((spec, out),) = asked
    assert (out, spec.minutes, spec.trials, spec.metric) == (Path("sweeps") / RECIPE, 60, None, "mean_iu")
    assert [str(tried) for tried in spec.tries] == ["train.optimizer.learning_rate=0.0001:0.01:log", "model.dropout=0.2,0.5"]
    assert spec.overrides == {"train": {"batch_size": 2}}
    printed, told = capsys.readouterr()
    assert all(part in printed for part in ("25.0", "finished", "failed: the loss is nan"))
    assert told.splitlines()[-1].startswith(f"the best recipe is sweeps/{RECIPE}/best.yaml; its model is sweeps/")
    assert main(["sweep", RECIPE, *tries, "--trials", "2", "--json", "--out", "there"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"][0]["value"] == 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([RECIPE, "--minutes", "1"], "error: nothing to try; give --try KEY=LOW:HIGH or KEY=A,B"),
        ([RECIPE, "--try", "model.dropout=0.1:0.2"], "error: a sweep has no end by itself; give --minutes, --trials or both"),
        (
            [RECIPE, "--trials", "1", "--try", "model.dropuot=0:0.2"],
            "no key is called model.dropuot; did you mean model.dropout?",
        ),
        ([RECIPE, "--trials", "1", "--try", "model.dropout=2:1"], "error: --try model.dropout=2:1: a range goes from a lower"),
        (["nowhere", "--trials", "1", "--try", "model.dropout=0.1:0.2"], "error: no recipe is called 'nowhere'"),
    ],
)
def test_mistakes(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *arguments, "--out", str(tmp_path / "sweep")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "sweep").exists()
