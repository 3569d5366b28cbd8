"""Several inputs: early fusion in the first layer, late fusion of scores, and what each input goes through."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from fullconv.errors import SpecError, WeightsError
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model, carry_over, load_backbone_weights
from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.nn.fusion import join_streams
from fullconv.nn.normalise import CAFFE, IMAGENET, NormaliseDepth, normaliser, preprocessing_of
from fullconv.spec import ModelSpec, Recipe

LABELS = {"semantic": LabelSet(("floor", "wall", "sky"), ((9, 0, 0), (0, 9, 0), (0, 0, 9)))}
HEADS = {"semantic": 3}
MEAN_DEPTH = math.exp(7.844) / 1000


def net(*streams: str, stride: int = 32, seed: int = 0) -> FCN:
    torch.manual_seed(seed)
    model = build_model(ModelSpec(name=f"fcn{stride}s-minivgg", streams=streams), HEADS).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter)
    return model


@pytest.fixture
def images() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pictures = {name: torch.randint(256, (2, 3, 45, 70), generator=generator, dtype=torch.uint8) for name in ("rgb", "hha")}
    return {**pictures, "depth": torch.rand(2, 1, 45, 70, generator=generator) * 9 + 0.5}


def read(model: FCN, images: dict[str, Tensor]) -> Tensor:
    return model({name: images[name] for name in model.inputs})["semantic"]


def save(path: Path, model: FCN) -> str:
    save_checkpoint(path, model, LABELS)
    return str(path)


def test_late_fusion_is_the_mean_of_two_nets(tmp_path: Path, images: dict[str, Tensor]) -> None:
    color, depth, fused = net("rgb", seed=1), net("hha", seed=2), net("rgb", "hha", seed=3)
    color.set_preprocessing({"rgb": CAFFE})
    files = {"rgb": save(tmp_path / "a.safetensors", color), "hha": save(tmp_path / "b.safetensors", depth)}
    report = join_streams(fused, files)
    assert [name for name in report.missing if not (".upsample." in name or name.startswith("normalise."))] == []
    assert fused.preprocessing == {"rgb": color.preprocessing["rgb"], "hha": depth.preprocessing["hha"]}
    with torch.inference_mode():
        mean = (color(images["rgb"])["semantic"] + depth(images["hha"])["semantic"]) / 2
        torch.testing.assert_close(read(fused, images), mean, atol=1e-4, rtol=1e-4)


def test_the_skips_of_a_finer_fused_net_start_at_zero(tmp_path: Path, images: dict[str, Tensor]) -> None:
    files = {name: save(tmp_path / f"{name}.safetensors", net(name)) for name in ("rgb", "hha")}
    coarse = build_model(ModelSpec(name="fcn32s-minivgg", streams=("rgb", "hha")), HEADS).eval()
    join_streams(coarse, files)
    direct, carried = (build_model(ModelSpec(name="fcn16s-minivgg", streams=("rgb", "hha")), HEADS).eval() for _ in range(2))
    join_streams(direct, files)
    carried.set_preprocessing(coarse.preprocessing)
    carry_over(coarse, carried)
    with torch.inference_mode():
        assert torch.equal(read(direct, images), read(carried, images))
        assert direct.score_maps({name: images[name] for name in direct.inputs})["semantic"][1].abs().max() == 0


def test_early_fusion_gives_the_further_channels_the_mean_of_three(tmp_path: Path) -> None:
    source = net("rgb").trunks["rgb"].graph  # type: ignore[union-attr]
    save_file({name: tensor.clone() for name, tensor in source.state_dict().items()}, tmp_path / "trunk.safetensors")
    model = net("rgb+depth", seed=9)
    report = load_backbone_weights(model, str(tmp_path / "trunk.safetensors"))
    assert report.missing == []
    given = source.conv1_1.weight.detach().numpy()
    found = model.trunks["rgb+depth"].graph.conv1_1.weight.detach().numpy()
    np.testing.assert_array_equal(found[:, :3], given)
    np.testing.assert_allclose(found[:, 3], given.mean(1), rtol=1e-6)


def test_depth_at_its_mean_or_unknown_leaves_colour_alone(images: dict[str, Tensor]) -> None:
    both, color = net("rgb+depth", seed=4), net("rgb", seed=4)
    for part, other in zip(color.trunks["rgb"].modules(), both.trunks["rgb+depth"].modules(), strict=True):
        if isinstance(part, nn.Conv2d):
            part.weight, part.bias = nn.Parameter(other.weight[:, : part.in_channels].detach()), other.bias
    score = both.head("semantic").score.state_dict()
    color.head("semantic").score.load_state_dict({name.replace("rgb+depth", "rgb"): value for name, value in score.items()})
    with torch.inference_mode():
        expected = color(images["rgb"])["semantic"]
        hole = torch.zeros_like(images["depth"])
        torch.testing.assert_close(read(both, {**images, "depth": hole}), expected, atol=1e-4, rtol=1e-4)
        mean = torch.full_like(images["depth"], MEAN_DEPTH)
        torch.testing.assert_close(read(both, {**images, "depth": mean}), expected, atol=1e-3, rtol=1e-3)
        assert (read(both, images) - expected).abs().max() > 0.01


def test_what_inputs_go_through() -> None:
    depth = torch.tensor([[[[0.0, 1.0, 2.5]]]])
    expected = [0, math.log(1000) - 7.844, math.log(2500) - 7.844]
    assert normaliser(preprocessing_of("depth", CAFFE))(depth).flatten().tolist() == pytest.approx(expected, abs=1e-5)
    picture = torch.tensor([132.431, 94.076, 118.477]).view(1, 3, 1, 1) + torch.tensor([58.395, 0, -57.375]).view(1, 3, 1, 1)
    found = normaliser(preprocessing_of("hha", IMAGENET))(picture).flatten().tolist()
    assert found == pytest.approx([1, 0, -1], abs=1e-5)
    assert normaliser(preprocessing_of("hha", CAFFE))(picture).flatten().tolist() == pytest.approx([58.395, 0, -57.375], abs=1e-4)


@pytest.mark.parametrize("streams", [("hha",), ("rgb+depth",), ("rgb", "hha"), ("hha+depth", "rgb")])
def test_a_checkpoint_keeps_its_streams(streams: tuple[str, ...], tmp_path: Path, images: dict[str, Tensor]) -> None:
    model = net(*streams, stride=8)
    again = load_checkpoint(save(tmp_path / "model.safetensors", model)).model
    assert again.inputs == model.inputs
    assert again.preprocessing == model.preprocessing
    with torch.inference_mode():
        assert torch.equal(read(again, images), read(model, images))
    assert model.geometry.reach() == net("rgb", stride=8).geometry.reach()


def test_the_data_are_asked_for_what_the_model_reads() -> None:
    train = {"stages": [32]}
    recipe = Recipe.model_validate(
        {"name": "a", "model": {"name": "fcn32s-minivgg", "streams": ["rgb+depth", "hha"]}, "train": train}
    )
    assert recipe.data.streams == ("rgb", "depth", "hha")
    wrong = {"name": "a", "model": {"name": "fcn32s-minivgg"}, "data": {"streams": ["depth"]}, "train": train}
    with pytest.raises(ValidationError, match=r"\['rgb'\] read rgb, but data.streams is \['depth'\]: leave data.streams out"):
        Recipe.model_validate(wrong)


@pytest.mark.parametrize("stream", ["depth", "infrared", "rgb+rgb", "rgb+", "", "depth+rgb"])
def test_streams_that_cannot_be(stream: str) -> None:
    with pytest.raises(ValidationError, match=rf"no stream can be '{stream.replace('+', '.')}'; accepted are rgb, hha, and"):
        ModelSpec(name="fcn32s-minivgg", streams=(stream,))


def test_weights_that_do_not_fit_the_streams(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"streams \['rgb', 'rgb'\] name one twice"):
        ModelSpec(name="fcn32s-minivgg", streams=("rgb", "rgb"))
    with pytest.raises(ValidationError, match=r"weights are given for \['rgb'\], but the streams are \['hha', 'rgb'\]"):
        ModelSpec(name="fcn32s-minivgg", streams=("rgb", "hha"), weights={"rgb": "a"})
    color = save(tmp_path / "color.safetensors", net("rgb"))
    with pytest.raises(WeightsError, match=r"color.safetensors has no stream 'hha'; it has rgb"):
        join_streams(net("rgb", "hha"), {"rgb": color, "hha": color})
    with pytest.raises(WeightsError, match=r"model\.weights\.hha: no checkpoint .*gone: no such file"):
        join_streams(net("rgb", "hha"), {"rgb": color, "hha": str(tmp_path / "gone")})
    two = build_model(ModelSpec(name="fcn32s-minivgg"), {"semantic": 4})
    with pytest.raises(
        WeightsError, match=r"has the heads \{'semantic': 3\}, and the model that it is to start \{'semantic': 4\}"
    ):
        join_streams(two, {"rgb": color})
    other = build_model(ModelSpec(name="fcn32s-squeezenet1_1"), HEADS)
    with pytest.raises(WeightsError, match=r"fit only in part"):
        join_streams(other, {"rgb": color})


def test_one_input_of_two_streams_has_one_preprocessing(tmp_path: Path, images: dict[str, Tensor]) -> None:
    color, early = net("rgb", seed=1), net("rgb+depth", seed=2)
    files = {"rgb": save(tmp_path / "a.safetensors", color), "rgb+depth": save(tmp_path / "b.safetensors", early)}
    fused = net("rgb", "rgb+depth")
    join_streams(fused, files)
    with torch.inference_mode():
        mean = (color(images["rgb"])["semantic"] + read(early, images)) / 2
        torch.testing.assert_close(read(fused, images), mean, atol=1e-4, rtol=1e-4)
    color.set_preprocessing({"rgb": CAFFE})
    save(tmp_path / "a.safetensors", color)
    with pytest.raises(
        WeightsError, match=r"a\.safetensors prepares rgb as .*BGR.* and .*b\.safetensors as .*; train both alike"
    ):
        join_streams(net("rgb", "rgb+depth"), files)


def test_only_a_streams_own_inputs_are_taken_from_its_file(tmp_path: Path) -> None:
    both = net("rgb", "hha", seed=1)
    both.set_preprocessing({"rgb": CAFFE, "hha": CAFFE})
    depth = net("hha", seed=2)
    files = {"hha": save(tmp_path / "b.safetensors", depth), "rgb": save(tmp_path / "a.safetensors", both)}
    fused = net("rgb", "hha")
    join_streams(fused, files)
    assert fused.preprocessing == {"rgb": both.preprocessing["rgb"], "hha": depth.preprocessing["hha"]}


def test_a_missing_input_is_named(images: dict[str, Tensor]) -> None:
    with pytest.raises(SpecError, match=r"the model reads rgb, hha; got rgb"):
        net("rgb", "hha")({"rgb": images["rgb"]})


def test_depth_without_a_mean() -> None:
    with pytest.raises(WeightsError, match=r"of depth needs mean, a list of one number"):
        NormaliseDepth({"channels": "log depth"})
