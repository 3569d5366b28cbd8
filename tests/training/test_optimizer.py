import pytest
import torch

from fullconv.nn.assemble import build_on_meta
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.spec import BiasFactors, ModelSpec, OptimizerSpec
from fullconv.spec.recipe import load_recipe
from fullconv.training.optimizer import build_optimizer, learning_rate_at, parameter_groups, set_learning_rate


@pytest.fixture
def model() -> FCN:
    return build_model(ModelSpec(name="fcn8s-minivgg", deconvolution="learned"), {"semantic": 5})


def test_every_parameter_is_in_one_group(model: FCN) -> None:
    names = {id(p): name for name, p in model.named_parameters()}
    groups = {g["name"]: {names[id(p)] for p in g["params"]} for g in parameter_groups(model, OptimizerSpec())}
    assert sorted(name for group in groups.values() for name in group) == sorted(names.values())
    assert groups["score biases"] == {f"core.heads.semantic.score.rgb.{level}.bias" for level in (0, 1, 2)}
    assert groups["upsampling"] == {f"core.heads.semantic.upsample.{step}.weight" for step in (0, 1)}  # the last one is fixed
    assert all(".norm" in name for name in groups["norms"])
    assert not any(".norm" in name or name.endswith("bias") for name in groups["weights"])
    assert all(name.endswith("bias") for name in groups["biases"])


def test_the_reference_s_factors(model: FCN) -> None:
    spec = OptimizerSpec(weight_decay=5e-4, score_learning_rate_factor=10)
    found = {g["name"]: (g["factor"], g["weight_decay"]) for g in parameter_groups(model, spec)}
    assert found["weights"] == (1, 5e-4)
    assert found["biases"] == (2, 0)
    assert found["score weights"] == (10, 5e-4)
    assert found["score biases"] == (20, 0)
    assert found["norms"] == found["upsampling"] == (1, 0)


def test_the_references_alexnet_trains_biases_but_the_scores_own_as_weights() -> None:
    """Its net states ``lr_mult`` and ``decay_mult`` of ``score_fr`` alone; what states nothing has 1 and 1."""
    recipe = load_recipe("voc-fcn32s-caffe-alexnet")
    model = build_on_meta(recipe.model.model_copy(update={"weights": None}), {"semantic": 21})
    names = {id(p): name for name, p in model.named_parameters()}
    found = {
        names[id(p)]: (group["factor"], group["weight_decay"])
        for group in parameter_groups(model, recipe.train.optimizer)
        for p in group["params"]
    }
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
    assert len(found) == 2 * len(layers) + 2
    assert all(any(layer in name for name in found) for layer in layers)
    for name, given in found.items():
        assert given == ((2, 0) if "score" in name and name.endswith("bias") else (1, 5e-4))


def test_a_bare_number_is_for_the_biases_of_both_parts(model: FCN) -> None:
    spec = OptimizerSpec.model_validate({"bias_learning_rate_factor": 3, "bias_weight_decay": 0.25})
    found = {g["name"]: (g["factor"], g["weight_decay"]) for g in parameter_groups(model, spec)}
    assert found["biases"] == found["score biases"] == (3, 0.25)
    assert OptimizerSpec.model_validate({"bias_learning_rate_factor": {"trunk": 1}}).bias_learning_rate_factor.score == 2


def test_what_does_not_train_is_in_no_group(model: FCN) -> None:
    model.requires_grad_(False)
    for parameter in model.score_parameters():
        parameter.requires_grad_(True)
    assert [g["name"] for g in parameter_groups(model, OptimizerSpec())] == ["score weights", "score biases"]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_one_step_by_hand(model: FCN, name: str) -> None:
    """With a gradient of ones: SGD moves by rate x (1 + decay x weight), AdamW by rate, and rate x decay x weight."""
    spec = OptimizerSpec(name=name, weight_decay=0.1, bias_learning_rate_factor=BiasFactors(trunk=3, score=3))
    optimizer = build_optimizer(model, spec, learning_rate=0.5)
    set_learning_rate(optimizer, 0.01)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for key, parameter in model.named_parameters():
        is_bias = key.endswith("bias") and ".norm" not in key
        decays = not key.endswith("bias") and ".norm" not in key and "upsample" not in key
        rate = 0.01 * (3 if is_bias else 1)
        moved = rate * (1 + (0.1 * before[key] if decays else 0))
        torch.testing.assert_close(
            before[key] - parameter, moved.expand_as(parameter) if decays else torch.full_like(parameter, rate)
        )


def test_schedules() -> None:
    def rates(**spec: object) -> list[float]:
        return [learning_rate_at(step, step / 10, 2.0, OptimizerSpec.model_validate(spec)) for step in range(10)]

    assert rates(schedule="fixed") == [2.0] * 10
    assert rates(schedule="poly")[5] == pytest.approx(2 * 0.5**0.9)
    assert rates(schedule="cosine")[5] == pytest.approx(1.0)
    for falling in (rates(schedule="poly"), rates(schedule="cosine")):
        assert falling[0] == 2.0
        assert sorted(falling, reverse=True) == falling
        assert falling[-1] > 0
    assert rates(warmup=4)[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    spec = OptimizerSpec(warmup=100)
    assert [learning_rate_at(step, step / 40, 2.0, spec, longest_warmup=0.1) for step in (0, 2, 4, 39)] == [0.02, 1.0, 2.0, 2.0]
