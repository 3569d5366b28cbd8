"""The command line: what it prints where, its exit codes, and one clear line for every mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import fullconv
from fullconv.cli import main
from fullconv.nn.backbones import BACKBONES


class Shell:
    """Runs a command line in this process; what it printed and its exit code are kept."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object) -> int:
        code = main([str(argument) for argument in arguments])
        self.out, self.err = self.capsys.readouterr()
        return code

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    def fails(self, code: int, *arguments: object) -> str:
        """Run what must fail in one line; return that line."""
        assert self(*arguments) == code
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1
        return self.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 37, 3), np.uint8)).save(path)
    return path


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


# --- starting ---


def test_help_imports_nothing_heavy_and_is_fast() -> None:
    script = (
        "import resource, sys; from fullconv.cli import main; code = main(['--help']);"
        "heavy = {'torch', 'numpy', 'pydantic', 'PIL', 'matplotlib', 'yaml'} & set(sys.modules);"
        "used = resource.getrusage(resource.RUSAGE_SELF);"
        "print(code, sorted(heavy), used.ru_utime + used.ru_stime, file=sys.stderr)"
    )
    found = run_python("-c", script)
    code, heavy, seconds = found.stderr.split(" ", 2)
    assert (code, heavy) == ("0", "[]")
    # of processor time, which other processes of this machine do not change much
    assert float(seconds) < 0.5
    for command in ("init", "train", "paper", "evaluate", "predict", "heatmap", "geometry", "models", "recipes", "demo"):
        assert command in found.stdout


def test_version(shell: Shell) -> None:
    assert shell("--version") == 0
    assert shell.out.strip() == fullconv.__version__


def test_every_public_name_is_there() -> None:
    for name in fullconv.__all__:
        assert getattr(fullconv, name) is not None
    assert set(fullconv.__all__) <= set(dir(fullconv))
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        fullconv.segment  # noqa: B018


def test_a_reader_who_leaves_early_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        found = subprocess.run(
            [sys.executable, "-m", "fullconv", "--help"], stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert "Traceback" not in found.stderr
    assert "Exception ignored" not in found.stderr


# --- wrong usage ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian", "recipe"], 'Did you mean "train"?'),
        (["predict", "m.safetensors", "a.jpg", "--outt", "x"], "Did you mean --out?"),
        (["predict", "m.safetensors", "a.jpg", "--out", "x", "--overlays"], "Did you mean --overlay?"),
        (["heatmap", "squeezenet1_1", "a.jpg"], "--out requires an argument"),
        (["train"], "RECIPE requires an argument"),
        (["train", "scenes-fcn8s-minivgg", "--rseume"], "Did you mean --resume?"),
        (["train", "scenes-fcn8s-minivgg", "--oot", "x"], "Did you mean --out?"),
        (["evaluate", "m.safetensors", "--data", "scenes", "--count", "many"], "--count"),
    ],
)
def test_wrong_usage_names_what_is_meant(shell: Shell, arguments: list[str], message: str) -> None:
    assert message in shell.fails(2, *arguments)


def test_what_contradicts_itself_is_refused_before_anything_runs(shell: Shell, tmp_path: Path) -> None:
    assert "--root VOCdevkit has no meaning for scenes" in shell.fails(
        1, "paper", "T2", "--root", "VOCdevkit", "--out", str(tmp_path)
    )
    assert "--seeds 0 must be 1 or more" in shell.fails(1, "paper", "T2", "--seeds", "0", "--out", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_of_experiments_should_be(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    told = shell.fails(1, "paper", "bound", "--out", str(tmp_path / "file"))
    assert f"cannot write {tmp_path / 'file' / 'bound'}: Not a directory; choose another --out" in told
    assert (tmp_path / "file").read_text() == "mine"


def test_an_experiment_that_cannot_run_says_why_in_a_line(shell: Shell, tmp_path: Path) -> None:
    assert shell("paper", "T5", "--backbone", "resnet18", "--out", str(tmp_path)) == 1
    assert (
        "error: T5 could not run whole: no recipe of this experiment on scenes has the backbone 'resnet18'; there are minivgg, "
        "squeezenet1_1\n"
    ) in shell.err
    assert "could not run" not in shell.out


# --- geometry, models, recipes ---


def test_geometry_as_json(shell: Shell) -> None:
    assert shell("geometry", "fcn8s-minivgg", "--size", "40x60", "--json") == 0
    assert shell.err == ""
    keys = {"stride", "receptive_field", "crops", "kernels", "parameters", "reach", "min_size", "layers", "global_layers"}
    assert keys <= set(shell.json)
    assert shell.json["layers"][0]["size"] == [40, 60]


def test_geometry_as_table(shell: Shell) -> None:
    assert shell("geometry", "squeezenet1_1") == 0
    for text in ("squeezenet1_1", "receptive field", "features.0", "parameters"):
        assert text in shell.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fcn8s-resnet5"], "no backbone is called 'resnet5'; nearest: resnet50"),
        (["vgg61"], "no backbone is called 'vgg61'; nearest: "),
        (["fcn9s-vgg16"], "no model is called 'fcn9s-vgg16'"),
        (["minivgg", "--size", "12"], "'12' is no size; write height x width"),
        (["minivgg", "--size", "0x5"], "'0x5' is no size"),
        (["minivgg", "--size", "3x3"], "3 px is too small"),
    ],
)
def test_geometry_of_what_there_is_not(shell: Shell, arguments: list[str], message: str) -> None:
    assert message in shell.fails(1, "geometry", *arguments)


def test_models(shell: Shell) -> None:
    assert shell("models", "--json") == 0
    assert set(shell.json) == set(BACKBONES)
    built = sum(parameter.numel() for parameter in BACKBONES["squeezenet1_0"].build().parameters())
    assert shell.json["squeezenet1_0"]["parameters"] == built
    assert shell("models") == 0
    assert all(name in shell.out for name in BACKBONES)


def test_recipes(shell: Shell) -> None:
    assert shell("recipes", "--json") == 0
    names = shell.json
    assert "scenes-fcn8s-minivgg" in names
    assert shell("recipes", "scenes-fcn8s-minivgg") == 0
    assert names["scenes-fcn8s-minivgg"] in shell.out
    assert "model:" in shell.out
    assert "nearest shipped: " in shell.fails(1, "recipes", "scenes-fcn8s-minivg")
    assert shell("recipes") == 0
    assert "[rgb+depth]" in shell.out


# --- heatmap ---


@pytest.fixture(scope="module")
def classifier_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "squeezenet1_1.safetensors"
    save_file(BACKBONES["squeezenet1_1"].build().state_dict(), path)
    return path


def test_heatmap(shell: Shell, photo: Path, classifier_weights: Path, tmp_path: Path) -> None:
    arguments = ("heatmap", "squeezenet1_1", photo, "--weights", classifier_weights, "--out", tmp_path / "new" / "heat.png")
    assert shell(*arguments, "--class", "macaw", "--json") == 0
    assert (shell.json["class"], shell.json["name"]) == (88, "macaw")
    with Image.open(tmp_path / "new" / "heat.png") as drawn:
        assert drawn.format == "PNG"
    assert shell(*arguments) == 0
    assert "peak probability" in shell.err


def test_heatmap_mistakes(
    shell: Shell, photo: Path, classifier_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FULLCONV_WEIGHTS", raising=False)
    out = ("--out", tmp_path / "heat.png")
    weights = ("--weights", classifier_weights)
    assert "nearest: squeezenet1_1" in shell.fails(1, "heatmap", "squeezenet11", photo, *weights, *out)
    assert "no class is called 'macau'" in shell.fails(1, "heatmap", "squeezenet1_1", photo, *weights, "--class", "macau", *out)
    assert "no such file" in shell.fails(1, "heatmap", "squeezenet1_1", tmp_path / "no.jpg", *weights, *out)
    lost = shell.fails(1, "heatmap", "squeezenet1_1", photo, "--weights", tmp_path / "no.safetensors", *out)
    assert "no weights file" in lost
    below = photo / "heat.png"
    assert "cannot write" in shell.fails(1, "heatmap", "squeezenet1_1", photo, *weights, "--class", "1", "--out", below)


# --- predict ---


def test_predict_as_json(shell: Shell, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert shell("predict", checkpoint, photo, "--out", out, "--overlay", "--probabilities", "--json") == 0
    assert sum(shell.json["predicted"][str(photo)].values()) == pytest.approx(1)
    assert shell.json["failed"] == {}
    with Image.open(out / "photo.png") as labels:
        assert (labels.mode, labels.size) == ("P", (37, 24))
    assert np.load(out / "photo-probabilities.npy").shape[1:] == (24, 37)
    assert (out / "photo-overlay.png").is_file()


def test_predict_goes_on_after_a_broken_picture(shell: Shell, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    Image.open(photo).convert("RGB").resize((300, 300)).save(broken)
    broken.write_bytes(broken.read_bytes()[:1500])
    assert shell("predict", checkpoint, broken, tmp_path / "none.jpg", photo, "--out", tmp_path / "out", "--json") == 1
    assert set(shell.json["failed"]) == {str(broken), str(tmp_path / "none.jpg")}
    assert set(shell.json["predicted"]) == {str(photo)}
    complaints = [line for line in shell.err.splitlines() if line.startswith("error: ")]
    assert len(complaints) == 2
    assert f"{broken}: cannot be read" in complaints[0]
    assert "none.jpg: no such file" in complaints[1]


def test_predict_mistakes(shell: Shell, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    half = tmp_path / "half.safetensors"
    half.write_bytes(checkpoint.read_bytes()[:5000])
    assert "damaged or cut short" in shell.fails(1, "predict", half, photo, *out)
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.pt")
    assert "is a pickle" in shell.fails(1, "predict", tmp_path / "model.pt", photo, *out)
    assert "no fullconv model" in shell.fails(1, "predict", _foreign(tmp_path), photo, *out)
    assert "no file matches this pattern" in shell.fails(1, "predict", checkpoint, f"{tmp_path}/*.gif", *out)
    assert "would be overwritten" in shell.fails(1, "predict", checkpoint, photo, "--out", tmp_path)
    assert "cannot write" in shell.fails(1, "predict", checkpoint, photo, "--out", photo / "below")
    assert "no head 'depth'" in shell.fails(1, "predict", checkpoint, photo, "--head", "depth", *out)


def _foreign(folder: Path) -> Path:
    save_file({"a": torch.zeros(1)}, folder / "foreign.safetensors")
    return folder / "foreign.safetensors"


# --- evaluate ---


def test_evaluate(shell: Shell, checkpoint: Path) -> None:
    assert shell("evaluate", checkpoint, "--data", "scenes", "--count", 2, "--json") == 0
    found = shell.json
    assert found["images"] == 2
    assert all(0 <= found[key] <= 1 for key in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"))
    assert shell("evaluate", checkpoint, "--data", "scenes", "--count", 2) == 0
    assert f"{100 * found['mean_iu']:.1f}" in shell.out


def test_evaluate_mistakes(shell: Shell, checkpoint: Path, tmp_path: Path) -> None:
    assert "did you mean scenes?" in shell.fails(1, "evaluate", checkpoint, "--data", "scense")
    assert "--data.download" in shell.fails(1, "evaluate", checkpoint, "--data", "voc2012")
    lost = shell.fails(1, "evaluate", checkpoint, "--data", "voc2012", "--root", tmp_path / "nowhere")
    assert "nowhere" in lost


def test_evaluate_refuses_other_classes(shell: Shell, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "VOC2012"
    for name in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass"):
        (folder / name).mkdir(parents=True)
    (folder / "ImageSets" / "Segmentation" / "val.txt").write_text("a\n")
    Image.new("RGB", (20, 20)).save(folder / "JPEGImages" / "a.jpg")
    Image.new("P", (20, 20)).save(folder / "SegmentationClass" / "a.png")
    told = shell.fails(1, "evaluate", checkpoint, "--data", "voc2012", "--root", folder)
    assert "has the classes background, aeroplane" in told
    assert "measure a model on the classes that it was trained for" in told


# --- train ---


def test_train_mistakes(shell: Shell, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "run")
    assert "nearest shipped: " in shell.fails(1, "train", "scenes-fcn8s-minivg", *out)
    assert "did you mean train.steps?" in shell.fails(1, "train", "scenes-fcn8s-minivgg", "--train.stepz", "5", *out)
    assert "did you mean train.steps?" in shell.fails(1, "train", "scenes-fcn8s-minivgg", "--steps", "5", *out)
    assert "has no value" in shell.fails(1, "train", "scenes-fcn8s-minivgg", "--train.steps", *out)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("stop", "line"),
    [("saved at step 7; go on with --resume", "saved at step 7; go on with --resume\n"), ("", "stopped\n")],
)
def test_ctrl_c(shell: Shell, monkeypatch: pytest.MonkeyPatch, stop: str, line: str) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt(stop) if stop else KeyboardInterrupt

    monkeypatch.setattr("fullconv.training.train", interrupted)
    assert shell("train", "scenes-fcn8s-minivgg") == 130
    assert shell.err == line
    assert shell.out == ""
