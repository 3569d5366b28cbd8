"""Help that shows: examples that are understood, keys that there are, near misses that are answered."""

import json
import re
import shlex
from pathlib import Path

import pytest
from cyclopts import App

from fullconv.cli import app, main
from fullconv.cli.examples import examples_of
from fullconv.cli.ground_truth import open_ground_truth
from fullconv.cli.near_misses import HINTS
from fullconv.cli.train import USUAL_KEYS
from fullconv.errors import SpecError
from fullconv.spec.recipe import load_recipe, parse_overrides
from fullconv.spec.reference import recipe_keys


def commands(group: App, before: tuple[str, ...] = ()) -> dict[str, App]:
    found = {}
    for name in group.resolved_commands():
        if not name.startswith("-"):
            command = group[name]
            if command.default_command is not None:
                found[" ".join((*before, name))] = command
            found |= commands(command, (*before, name))
    return found


COMMANDS = commands(app)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_that_are_understood(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = COMMANDS[name]
    assert command.default_command is not None
    examples = examples_of(command.default_command)
    assert examples
    for example in examples:
        program, *tokens = shlex.split(example)
        assert program == "fullconv"
        assert " ".join(tokens).startswith(name)
        parsed, given, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        assert parsed is command.default_command
        if "overrides" in given.arguments:
            changes = parse_overrides(given.arguments["overrides"])
            load_recipe("scenes-fcn8s-minivgg", changes)
    assert main([*name.split(), "--help"]) == 0
    assert f"Examples:\n  {examples[0]}" in capsys.readouterr().out


@pytest.mark.parametrize(("group", "example"), [("", "fullconv init photos"), ("data", "fullconv data sets")])
def test_groups_of_commands_show_examples_too(group: str, example: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*group.split(), "--help"]) == 0
    assert re.search(rf"Examples:\n(?:  .*\n)*  {example}$", capsys.readouterr().out, re.MULTILINE)


def test_train_shows_keys_that_recipes_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    assert "--train.optimizer.learning_rate" in capsys.readouterr().out
    shown = re.findall(r"--((?:train|data|model)[\w.]+)", USUAL_KEYS)
    assert len(shown) > 10
    assert set(shown) <= {key.name for key in recipe_keys()}
    assert max(map(len, USUAL_KEYS.splitlines())) <= 80


def test_config_lists_defaults_and_the_values_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--json"]) == 0
    defaults = json.loads(capsys.readouterr().out)
    assert defaults["train.optimizer.name"]["default"] == "sgd"
    assert main(["config", "scenes-fcn8s-minivgg", "--train.seed", "3", "--about", "train.", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["train.seed"]["value"], values["train.seed"]["default"]) == (3, 0)
    assert set(values) == {name for name in defaults if name.startswith("train.")}
    assert main(["config", "scenes-fcn8s-minivgg", "--about", "batch_size"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("train.batch_size: 8 *  (whole number or auto)\n    Images that a step")
    assert main(["config", "--about", "learning_rat3"]) == 1
    assert "did you mean learning_rate?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("train scenes-fcn8s-minivgg --epochs 5", r"did you mean train\.epochs\?"),
        ("train scenes-fcn8s-minivgg --lr 0.1", r"did you mean train\.optimizer\.learning_rate\?"),
        ("train scenes-fcn8s-minivgg --imgsz 640", r"did you mean data\.augment\.crop .*data\.scale"),
        ("train scenes-fcn8s-minivgg --batch 8", r"did you mean train\.batch_size\?"),
        ("train scenes-fcn8s-minivgg --model.name resnet50", r"did you mean fcn8s-resnet50\?"),
        ("train scenes-fcn8s-minivgg --model.name fcn-16-vgg16", r"did you mean fcn16s-vgg16\?"),
        ("train photos", r"photos is a folder .*did you mean photos\.yaml\?"),
        ("train others", r"others is a folder .*fullconv init others"),
        ("export m.safetensors --format coco --out a", r"fullconv predict --coco"),
        ("predict m.safetensors photo.jpg --format coco", r"--coco, --labelme or --geojson"),
        ("init photos --format coco", r"recognised by what they hold: fullconv init"),
    ],
)
def test_near_misses_of_usual_names_are_answered(
    given: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "others"):
        Path(name).mkdir()
    Path("photos.yaml").touch()
    assert main(shlex.split(given)) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(answer, line), line


def test_a_folder_to_measure_on_is_answered_with_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    with pytest.raises(SpecError, match=r"`fullconv init photos` writes photos\.yaml, then give --data photos\.yaml"):
        open_ground_truth("photos", None, None, None, "semantic", [], refined=False)
    Path("photos.yaml").touch()
    with pytest.raises(SpecError, match=r"mean: give --data photos\.yaml"):
        open_ground_truth("photos", None, None, None, "semantic", [], refined=False)
    Path("photos/recipe.yaml").touch()
    with pytest.raises(SpecError, match=r"mean: give --data photos/recipe\.yaml"):
        open_ground_truth("photos", None, None, None, "semantic", [], refined=False)


def test_no_hint_is_for_an_option_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    for command, option in HINTS:
        needed = ["--out", "d", "--format", "onnx"] if command == "export" else []
        assert main([*command.split(), "a", *needed, option, "c"]) == 2
        assert f"{command} has no option {option}: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["raster", "video"])
def test_options_that_predict_has_too_are_explained_alike(name: str) -> None:
    """Read out of what the commands are told by, whatever the help's layout."""
    explained = [
        {
            argument.name: argument.parameter.help
            for argument in COMMANDS[command].assemble_argument_collection(parse_docstring=True)
        }
        for command in ("predict", name)
    ]
    shared = {"--overwrite", "--head", "--threshold", "--device", "--engine", "--precision", "--verbose", "--json"}
    assert shared <= explained[0].keys() & explained[1].keys()
    own = {"*", "--out", "--areas", "--geojson"}  # of results that differ
    for option in explained[0].keys() & explained[1].keys() - own:
        assert explained[0][option], option
        assert explained[0][option] == explained[1][option], option
