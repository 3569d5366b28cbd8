"""A trained model as the start of another: other classes, other strides, several heads, a trunk that stays."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor

from fullconv.errors import WeightsError
from fullconv.labels import LabelSet, voc_colors
from fullconv.nn.build import build_model, load_weights
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec, Recipe
from fullconv.training.run import train

OLD = ("sky", "tree", "road", "bird")
NEW = ("bird", "Boat", "Sky")


def label_set(names: Sequence[str]) -> LabelSet:
    return LabelSet(tuple(names), voc_colors(len(names)))


def made(path: Path, heads: dict[str, Sequence[str]], name: str = "fcn8s-minivgg", scale: float = 1.0, **spec: object) -> FCN:
    """A net with random weights everywhere, saved."""
    torch.manual_seed(1)
    model = build_model(ModelSpec(name=name, hidden_layers=False, **spec), {head: len(each) for head, each in heads.items()})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    save_checkpoint(path, model, {head: label_set(each) for head, each in heads.items()}, scale=scale)
    return model.eval()


def started(path: Path, names: dict[str, Sequence[str]], name: str = "fcn8s-minivgg", **spec: object) -> tuple[FCN, str]:
    wanted = ModelSpec(name=name, hidden_layers=False, **spec)
    torch.manual_seed(2)
    model = build_model(wanted, {head: len(each) for head, each in names.items()})
    object.__setattr__(model.spec, "weights", str(path))
    report = load_weights(model, names)
    assert report is not None
    return model.eval(), report.summary()


@pytest.fixture
def image() -> Tensor:
    return torch.randint(0, 256, (1, 3, 45, 61), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_classes_of_the_same_name_have_the_old_nets_logits(tmp_path: Path, image: Tensor) -> None:
    old = made(tmp_path / "old.safetensors", {"semantic": OLD})
    new, said = started(tmp_path / "old.safetensors", {"semantic": NEW})
    with torch.inference_mode():
        before, after = old(image)["semantic"], new(image)["semantic"]
    torch.testing.assert_close(after[:, 0], before[:, 3])  # bird
    torch.testing.assert_close(after[:, 2], before[:, 0])  # Sky is sky
    assert (after[:, 1] == 0).all()
    assert said.endswith("; 2 of 3 classes of semantic taken by name (bird, Sky), new: Boat")
    assert "none missing" in said


@pytest.mark.parametrize(("old_name", "new_name"), [("fcn8s", "fcn32s"), ("fcn32s", "fcn8s"), ("fcn16s", "fcn4s")])
def test_across_strides_common_levels_are_taken(old_name: str, new_name: str, tmp_path: Path, image: Tensor) -> None:
    old = made(tmp_path / "old.safetensors", {"semantic": OLD}, f"{old_name}-minivgg")
    new, said = started(tmp_path / "old.safetensors", {"semantic": NEW}, f"{new_name}-minivgg")
    with torch.inference_mode():
        before, after = old.score_maps(image)["semantic"], new.score_maps(image)["semantic"]
    common = min(len(before), len(after))
    for level in range(common):
        rows = new.head("semantic").score["rgb"][level].weight, old.head("semantic").score["rgb"][level].weight
        assert torch.equal(rows[0][0], rows[1][3])
    assert all(maps.abs().max() == 0 for maps in after[common:])
    expected = "its skip at stride 16 and 8 is not used here" if new_name == "fcn32s" else "and starts at zero"
    assert expected in said


def test_heads_are_matched_by_name_and_a_lone_one_by_being_alone(tmp_path: Path, image: Tensor) -> None:
    old = made(tmp_path / "old.safetensors", {"semantic": OLD, "geometric": ("flat", "upright")})
    new, said = started(tmp_path / "old.safetensors", {"geometric": ("upright", "flat"), "other": ("sky",)})
    with torch.inference_mode():
        before, after = old(image), new(image)
    torch.testing.assert_close(after["geometric"], before["geometric"].flip(1))
    assert (after["other"] == 0).all()
    assert "all 2 classes of geometric taken by name" in said
    assert "all 1 classes of other are new to it" in said
    made(tmp_path / "lone.safetensors", {"semantic": OLD})
    assert "2 of 3 classes of things taken by name" in started(tmp_path / "lone.safetensors", {"things": NEW})[1]


def test_skips_that_are_scaled_otherwise_keep_their_logits(tmp_path: Path, image: Tensor) -> None:
    old = made(tmp_path / "old.safetensors", {"semantic": OLD}, skip_scales={16: 0.1}, scale=0.5)
    new, said = started(tmp_path / "old.safetensors", {"semantic": OLD}, skip_scales={8: 0.01})
    weights = [net.head("semantic").score["rgb"] for net in (old, new)]
    torch.testing.assert_close(weights[1][1].weight, weights[0][1].weight * 0.1)
    torch.testing.assert_close(weights[1][2].weight, weights[0][2].weight * 100)
    assert "it learned its images at 0.5 of their size (data.scale)" in said


def test_learned_upsampling_goes_with_its_class(tmp_path: Path) -> None:
    old = made(tmp_path / "old.safetensors", {"semantic": OLD}, deconvolution="learned")
    new, _ = started(tmp_path / "old.safetensors", {"semantic": NEW}, deconvolution="learned")
    fixed, _ = started(tmp_path / "old.safetensors", {"semantic": NEW})
    for step in range(2):
        filters = [net.head("semantic").upsample[step].weight for net in (old, new, fixed)]
        assert torch.equal(filters[1][0], filters[0][3])
        assert torch.equal(filters[1][1], filters[2][1])  # the new class's is bilinear


def test_what_does_not_fit(tmp_path: Path) -> None:
    made(tmp_path / "old.safetensors", {"semantic": OLD})
    match = r"old.safetensors holds fcn8s-minivgg, and the model to train is fcn8s-squeezenet1_1: weights .* fit only in part"
    with pytest.raises(WeightsError, match=match):
        started(tmp_path / "old.safetensors", {"semantic": NEW}, "fcn8s-squeezenet1_1")
    with pytest.raises(WeightsError, match=r"are of another net: 0 of \d+ tensors fit .* model.partial_weights asks for half"):
        started(tmp_path / "old.safetensors", {"semantic": NEW}, "fcn8s-squeezenet1_1", partial_weights=True)
    with pytest.raises(
        WeightsError, match=r"has the heads \{'semantic': 4\}, and the model that it is to start \{'semantic': 3\}"
    ):
        build_model(ModelSpec(name="fcn8s-minivgg", hidden_layers=False), 3, weights=str(tmp_path / "old.safetensors"))


def test_a_run_with_a_frozen_trunk_changes_the_heads_alone(tiny: Callable[..., Recipe], tmp_path: Path, quiet: Console) -> None:
    """Batch norm's statistics stay with the rest of the trunk; learned upsampling and scores move."""
    old = made(tmp_path / "old.safetensors", {"semantic": ("sky", "pole", "nothing")})
    model = {
        "name": "fcn8s-minivgg",
        "hidden_layers": False,
        "weights": str(tmp_path / "old.safetensors"),
        "deconvolution": "learned",
    }
    steps = {"stages": [{"stride": 8, "steps": 3}], "freeze": "trunk", "optimizer": {"learning_rate": 0.01}}
    result = train(tiny(model=model, train=steps), tmp_path / "run", console=quiet)
    trained = load_file(result.model)
    before = old.state_dict()
    for name, tensor in trained.items():
        if name.startswith("core.trunks."):
            assert torch.equal(tensor, before[name]), name
    fresh = build_model(ModelSpec(name="fcn8s-minivgg"), 7).state_dict()
    moved = [name for name in trained if ".upsample." in name and not torch.equal(trained[name][0], fresh[name][0])]
    assert moved
    said = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert "classes of semantic taken by name (sky" in said
