"""Weights find their places, and every tensor is accounted for."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fullconv.errors import WeightsError
from fullconv.nn.backbones import find_backbone
from fullconv.nn.build import build_model, load_backbone_weights
from fullconv.nn.normalise import Normalise
from fullconv.nn.weights import find_weights
from fullconv.spec import ModelSpec

PREPROCESSING = {"channels": "RGB", "range": [0, 255], "mean": [1, 2, 3], "std": [4, 5, 6]}


def saved_classifier(folder: Path, only_features: bool = False) -> Path:
    """A whole minivgg classifier (dense layers and all), or only its features, as float16."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in find_backbone("minivgg").build().state_dict().items()}
    state = {k: v for k, v in state.items() if not only_features or not k.startswith("fc")}
    path = folder / ("minivgg-trunk.safetensors" if only_features else "minivgg.safetensors")
    save_file(state, path, {"preprocessing": json.dumps(PREPROCESSING)})
    return path


def test_a_whole_classifier_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved_classifier(tmp_path)
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(tmp_path))
    model = build_model(ModelSpec(name="fcn8s-minivgg", weights="imagenet"), {"semantic": 3})
    report = load_backbone_weights(model)
    assert report.missing == []
    assert sorted(report.dropped) == ["fc7.bias", "fc7.weight"]
    assert "fc6.weight" in report.cast
    assert report.copied == [name for name in model.trunks["rgb"].graph.state_dict() if name.endswith("num_batches_tracked")]
    source = find_weights(str(path)).tensors["fc6.weight"]
    torch.testing.assert_close(model.trunks["rgb"].graph.fc6.weight.detach().flatten(1), source.float())
    assert model.preprocessing["rgb"]["mean"] == [1, 2, 3]


def test_half_a_match_is_an_error_unless_asked_for(tmp_path: Path) -> None:
    path = str(saved_classifier(tmp_path, only_features=True))
    model = build_model(ModelSpec(name="fcn32s-minivgg"), {"semantic": 3})
    before = model.trunks["rgb"].graph.conv1_1.weight.clone()
    with pytest.raises(WeightsError, match=r"fit only in part: 2 of \d+ tensors get nothing \(fc6.weight, fc6.bias\)"):
        load_backbone_weights(model, path)
    assert torch.equal(before, model.trunks["rgb"].graph.conv1_1.weight)
    asked = build_model(ModelSpec(name="fcn32s-minivgg", partial_weights=True), {"semantic": 3})
    assert load_backbone_weights(asked, path).missing == ["fc6.weight", "fc6.bias"]
    without = build_model(ModelSpec(name="fcn32s-minivgg", hidden_layers=False), {"semantic": 3})
    assert load_backbone_weights(without, path).missing == []


def partly(folder: Path, share: float) -> Path:
    """Weights of minivgg's features and dense layers with only ``share`` of their tensors under their own names."""
    state = {name: tensor for name, tensor in find_backbone("minivgg").build().state_dict().items() if "fc7" not in name}
    counted = [name for name in state if "num_batches" not in name]
    kept = round(share * len(counted))
    renamed = {name if name in counted[:kept] else f"other.{name}": tensor for name, tensor in state.items()}
    path = folder / f"{share}.safetensors"
    save_file(renamed, path)
    return path


def test_weights_of_another_net_are_no_partial_fit(tmp_path: Path) -> None:
    model = build_model(ModelSpec(name="fcn32s-minivgg", partial_weights=True), {"semantic": 3})
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(
        WeightsError,
        match=r"0\.0\.safetensors are of another net: 0 of 37 tensors fit \(nothing for conv1_1\.weight, norm1_1\.weight, "
        r"norm1_1\.bias, … 34 more; theirs that found no place: .*asks for half at least",
    ):
        load_backbone_weights(model, str(partly(tmp_path, 0.0)))
    with pytest.raises(WeightsError, match="are of another net: 18 of 37 tensors fit"):
        load_backbone_weights(model, str(partly(tmp_path, 18 / 37)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert len(load_backbone_weights(model, str(partly(tmp_path, 19 / 37))).missing) == 18 + 7


def test_weights_that_are_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(tmp_path))
    with pytest.raises(
        WeightsError,
        match=r"no weights for 'minivgg'.*give a .safetensors path, or put minivgg.safetensors in the folder",
    ):
        find_weights("minivgg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is not a whole \.safetensors file"),
        (b"\x80\x02}q\x00.", r"is cut short, damaged or of another kind .*torch\.save\(model\.state_dict\(\), FILE\)"),
        (b"x" * 100, r"is not a whole \.safetensors file"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        find_weights(str(path))
    with pytest.raises(WeightsError, match="no weights file"):
        find_weights(str(tmp_path / "b.safetensors"))


def test_truncated_file(tmp_path: Path) -> None:
    path = saved_classifier(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"is not a whole \.safetensors file"):
        find_weights(str(path))


def test_normalise_reorders_and_scales() -> None:
    image = torch.tensor([[[[10]], [[20]], [[30]]]], dtype=torch.uint8)
    rgb = Normalise({"channels": "RGB", "range": [0, 1], "mean": [0.1, 0.2, 0.3], "std": [1, 2, 4]})
    truth = torch.tensor([(10 / 255 - 0.1) / 1, (20 / 255 - 0.2) / 2, (30 / 255 - 0.3) / 4])
    torch.testing.assert_close(rgb(image).flatten(), truth)
    bgr = Normalise({"channels": "BGR", "range": [0, 255], "mean": [1, 2, 3], "std": [1, 1, 1]})
    assert bgr(image).flatten().tolist() == [29, 18, 7]
    assert bgr.mean_color == (3, 2, 1)
    assert Normalise(bgr.preprocessing)(image).flatten().tolist() == [29, 18, 7]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": "HSV"}, "is not known"),
        ({"std": [0, 1, 1]}, "is not known"),
        ({"mean": None}, "is not complete"),
        ({"mean": [1]}, "is not known"),
    ],
)
def test_normalise_refuses(change: dict, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        Normalise({**PREPROCESSING, **change})


@pytest.mark.realdata
def test_real_weights(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(shared_data / "weights"))
    squeeze = load_backbone_weights(build_model(ModelSpec(name="fcn8s-squeezenet1_1"), {"semantic": 21}))
    assert (len(squeeze.copied), squeeze.missing, squeeze.dropped) == (50, [], [])
    whole = load_backbone_weights(build_model(ModelSpec(name="fcn8s-squeezenet1_0"), {"semantic": 21}))
    assert (len(whole.cast), whole.missing, sorted(whole.dropped)) == (
        50,
        [],
        ["classifier.1.bias", "classifier.1.weight"],
    )
