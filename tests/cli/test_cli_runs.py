"""``fullconv runs`` from a shell."""

import json
from pathlib import Path

import pytest

from fullconv.cli import main
from made_runs import make_run


def test_runs_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "good")
    (make_run(tmp_path / "bad") / "result.json").write_text("{")
    assert main(["runs", str(tmp_path), "--sort", "mean_iu"]) == 0
    out = capsys.readouterr().out.replace("\n", "")
    assert all(part in out for part in ("fcn32s-minivgg", "scenes", "40.0", "50.0", "1.5", "finished", "damaged"))
    assert main(["runs", str(tmp_path), "--sort", "name", "--json"]) == 0
    bad, good = json.loads(capsys.readouterr().out)
    assert (good["mean_iu"], good["best"]["mean_iu"], good["minutes"], good["status"]) == (0.4, 0.5, 1.5, "finished")
    assert bad["status"] == "damaged"


def test_the_folder_is_runs_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 1
    assert capsys.readouterr().err == "error: no folder runs; give folders that hold runs, or runs themselves\n"
    (tmp_path / "runs").mkdir()
    assert main(["runs"]) == 0
    assert capsys.readouterr() == ("", "no runs in runs\n")


def test_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(make_run(tmp_path / "a")), str(make_run(tmp_path / "b", {"model": {"dropout": 0.25}}))]
    assert main(["runs", "compare", *runs, "--out", str(tmp_path / "compare.png")]) == 0
    out, err = capsys.readouterr()
    assert "model.dropout" in out
    assert "model.name" not in out
    assert err == f"the curves are in {tmp_path / 'compare.png'}\n"
    assert (tmp_path / "compare.png").stat().st_size > 1000
    assert main(["runs", "compare", *runs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"]["model.dropout"] == {"a": "none", "b": "0.25"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/a"], "give at least two runs, each once: their folders"),
        (
            ["{tmp}/a", "{tmp}"],
            "{tmp} is not a run folder: it holds fewer than two of recipe.yaml, versions.json, metrics.csv, result.json",
        ),
        (["{tmp}/a", "{tmp}/b", "--out", "x.pdf"], "--out x.pdf: a comparison is written as .png (the curves) or .html"),
    ],
)
def test_mistakes(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        make_run(tmp_path / name)
    assert main(["runs", "compare", *(argument.format(tmp=tmp_path) for argument in arguments)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {message.format(tmp=tmp_path)}")
