from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fullconv.errors import SpecError
from fullconv.spec import DataSpec, Recipe, StageSpec, TrainSpec
from fullconv.spec.recipe import FOLDER, find_recipe, load_recipe, parse_overrides, read_recipe, shipped_recipes, to_yaml

BASE = {"name": "a", "model": {"name": "fcn8s-minivgg"}, "train": {"stages": [32, 16, 8]}}


def recipe(**changes: object) -> Recipe:
    content = {key: dict(value) if isinstance(value, dict) else value for key, value in BASE.items()}
    for key, value in changes.items():
        place, *parents = content, *key.split("__")
        for parent in parents[:-1]:
            place = place.setdefault(parent, {})
        place[parents[-1]] = value
    return read_recipe(content, "file.yaml")


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_shipped_recipes_load_and_say_what_they_are(name: str) -> None:
    text = find_recipe(name).read_text()
    for promised in (f"# command:  fullconv train {name}", "# data:", "# machine:", "# time:", "# expected:"):
        assert promised in text
    assert load_recipe(name).name == name
    assert shipped_recipes()[name]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_a_recipe_written_out_is_the_same_recipe(name: str, tmp_path: Path) -> None:
    loaded = load_recipe(name)
    written = tmp_path / "other-name.yaml"
    written.write_text(to_yaml(loaded))
    assert load_recipe(written) == loaded


def test_the_papers_learning_rates() -> None:
    stages = load_recipe("voc-fcn8s-caffe-vgg16").train.stages
    assert [(s.stride, s.steps, s.learning_rate) for s in stages] == [
        (32, 100_000, 1e-10),
        (16, 100_000, 1e-12),
        (8, 100_000, 1e-14),
    ]
    assert load_recipe("voc-fcn32s-caffe-alexnet").train.batch_size == 20
    stages = load_recipe("siftflow-fcn8s-caffe-vgg16").train.stages
    assert [(s.stride, s.steps, s.learning_rate) for s in stages] == [
        (32, 100_000, 1e-10),
        (16, 100_000, 1e-12),
        (8, 100_000, 1e-12),
    ]
    stages = load_recipe("pascal-context-fcn8s-caffe-vgg16").train.stages
    assert [(s.stride, s.steps, s.learning_rate) for s in stages] == [
        (32, 400_000, 1e-10),
        (16, 400_000, 1e-12),
        (8, 400_000, 1e-14),
    ]


def test_a_stage_without_a_learning_rate_takes_a_hundredth_of_the_one_before() -> None:
    spec = TrainSpec.model_validate(
        {
            "stages": [32, {"stride": 16, "steps": 7}, {"stride": 8, "learning_rate": 0.5}],
            "steps": 3,
            "optimizer": {"learning_rate": 0.25},
        }
    )
    assert spec.stages == (
        StageSpec(stride=32, steps=3, learning_rate=0.25),
        StageSpec(stride=16, steps=7, learning_rate=0.0025),
        StageSpec(stride=8, steps=3, learning_rate=0.5),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__optimizer": {"lerning_rate": 1}}, r"^file.yaml: no key .*; did you mean train.optimizer.learning_rate\?$"),
        ({"data": {"batch_size": 1}}, r"no key is called data.batch_size; did you mean train.batch_size\?"),
        ({"moddel": 1}, r"no key is called moddel; did you mean model\?"),
        ({"data": {"augment": {"flipp": True}}}, r"no key is called data.augment.flipp; did you mean data.augment.flip\?"),
        ({"train__stages": [{"stride": 8, "rates": 3}]}, r"train.stages.0.rates; did you mean train.stages.0.steps\?$"),
        ({"train__optimizer": {"zzz": 1}}, r"no key is called train.optimizer.zzz; known here: name, learning_rate, momentum"),
        ({"train__reduction": "men"}, r"train.reduction: input should be 'mean', 'sum' or 'image_mean'; got 'men'"),
        ({"data__heads": "semantic"}, r"data.heads is a list in brackets, such as \[a, b\]; got 'semantic'"),
        ({"train__batch_size": 0}, r"train.batch_size: input should be greater than 0; got 0"),
        ({"train__stages": [7]}, r"train.stages.0.stride: input should be 32, 16, 8 or 4; got 7$"),
        ({"train__stages": [8, 16]}, r"stages must go from coarse to fine, such as \[32, 16, 8\]; got \[8, 16\]"),
        ({"train__stages": [32]}, r"the last of train.stages has stride 32, but model.name fcn8s-minivgg has 8"),
        ({"model": {"name": "unet"}}, r"model.name: a model is called .*; got 'unet'; did you mean fcn8s-resnet50\?"),
        ({"model": {}}, r"model.name is missing"),
        ({"train__optimizer": {"learning_rate": float("nan")}}, r"optimizer.learning_rate: input should be a finite number"),
        ({"data": {"augment": {"crop": [1]}}}, r"data.augment.crop.1 is missing"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        recipe(**changes)
    assert "\n" not in str(raised.value)


def test_several_mistakes_are_all_named() -> None:
    with pytest.raises(SpecError, match=r"train.reduction: .*; train.seed: ") as raised:
        recipe(train__reduction="men", train__seed=-1)
    assert "\n" not in str(raised.value)


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(
        SpecError, match="no recipe is called 'scenes-fcn8-minivgg' and no such file exists; nearest shipped: scenes-fcn8s-"
    ):
        load_recipe("scenes-fcn8-minivgg")
    with pytest.raises(SpecError, match="`fullconv recipes` lists"):
        load_recipe("xyz/q.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "is not YAML"),
        (b"- 1\n", "holds list; a recipe is a mapping with the keys name, model"),
        (b"", "holds NoneType"),
        (b"\xff\xfe\x00", "cannot read the recipe"),
    ],
)
def test_a_damaged_file(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=message):
        load_recipe(path)


def test_yaml_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"name: !!python/object/apply:os.system ['touch {tmp_path}/x']\n")
    with pytest.raises(SpecError, match="is not YAML"):
        load_recipe(path)
    assert not (tmp_path / "x").exists()


def test_overrides_reach_every_depth() -> None:
    tokens = [
        "--train.seed",
        "3",
        "--data.root=some/where",
        "--train.optimizer.learning_rate",
        "1e-10",
        "--train.stages.1.steps",
        "5",
    ]
    changed = load_recipe("scenes-fcn8s-minivgg", parse_overrides([*tokens, "--train.gradient_clip", "null"]))
    assert (changed.train.seed, changed.data.root, changed.train.optimizer.learning_rate) == (3, Path("some/where"), 1e-10)
    assert [stage.steps for stage in changed.train.stages][1] == 5
    assert changed.train.optimizer.name == "adamw"  # what stands beside an override stays


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--train.seed"], "--train.seed has no value; write --train.seed VALUE"),
        (["--train.seed", "--data.root", "x"], "--train.seed has no value"),
        (["train.seed", "1"], "'train.seed' is no override; write --KEY VALUE"),
        (["--train", "1", "--train.seed", "1"], "train was given a value of its own"),
        (["--train.stages", "[1"], "is not YAML"),
    ],
)
def test_bad_overrides(tokens: list[str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_overrides(tokens)


def test_overrides_of_a_list_entry_that_is_not_there() -> None:
    with pytest.raises(SpecError, match=r"train.stages.5: train.stages has the entries 0 to 2"):
        load_recipe("scenes-fcn8s-minivgg", parse_overrides(["--train.stages.5.steps", "1"]))


def test_steps_of_a_stage_in_short_form() -> None:
    assert load_recipe("scenes-fcn32s-minivgg").train.stages[0].steps != 5
    for tokens in (["--train.stages.0.steps", "5"], ["--train.steps", "5"]):
        recipe = load_recipe("scenes-fcn32s-minivgg", parse_overrides(tokens))
        assert [(stage.stride, stage.steps) for stage in recipe.train.stages] == [(32, 5)]


def test_steps_that_no_stage_would_take_are_refused() -> None:
    with pytest.raises(SpecError, match=r"each has its own here; give --train.stages.0.steps, --train.stages.1.steps, --train"):
        load_recipe("scenes-fcn8s-minivgg", {"train": {"steps": 5}})
    stages = [{"stride": 32, "steps": 7}, 16, 8]
    recipe = load_recipe("scenes-fcn8s-minivgg", {"train": {"steps": 5, "stages": stages}})
    assert [stage.steps for stage in recipe.train.stages] == [7, 5, 5]


@given(st.dictionaries(st.sampled_from(["seed", "batch_size", "steps"]), st.integers(1, 10**6), min_size=1))
def test_overrides_read_what_yaml_writes(values: dict[str, int]) -> None:
    tokens = [f"--train.{key}={yaml.safe_dump(value).splitlines()[0]}" for key, value in values.items()]
    assert parse_overrides(tokens) == {"train": values}


def test_specs_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        DataSpec().name = "other"  # type: ignore[misc]
