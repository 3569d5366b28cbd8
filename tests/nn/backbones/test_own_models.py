"""A net of one's own as a backbone: by name, by function, saved and loaded, and never run because a file says so."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from fullconv.cli import main
from fullconv.errors import SpecError, WeightsError
from fullconv.inference.heatmap import load_classifier
from fullconv.labels import LabelSet, voc_colors
from fullconv.nn.assemble import build_on_meta
from fullconv.nn.backbones import BACKBONES, Classifier, find_backbone, use_backbone
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint
from fullconv.spec import ModelSpec

CODE = """
from pathlib import Path

from torch import nn

import fullconv

Path(__file__).with_name("imported").touch()


def tiny():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 4 * 4, 5),
    )


def stated():
    grey = {"channels": "RGB", "range": [0, 1], "mean": [0.5] * 3, "std": [0.25] * 3}
    return fullconv.Classifier(tiny, native_side=33, preprocessing=grey)


def needy(width):
    return tiny()


def other():
    return "a string"


def dense():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5))


def odd():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 5))
"""
HEADS = {"semantic": LabelSet(("a", "b"), voc_colors(2))}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with nets in the current folder, fresh in every test; what it brings in is forgotten after it."""
    name = f"nets_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delenv("FULLCONV_BACKBONES", raising=False)
    for backbone in ("mynet", f"{name}:tiny", f"{name}:stated"):
        monkeypatch.setitem(BACKBONES, backbone, Classifier(nn.Identity))
        monkeypatch.delitem(BACKBONES, backbone)
    return name


def saved(folder: Path, backbone: str) -> tuple[Path, torch.Tensor]:
    """A model's file and its logits of an image."""
    torch.manual_seed(0)
    model = build_model(ModelSpec(name=f"fcn8s-{backbone}"), {"semantic": 2}).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter)
    save_checkpoint(folder / "model.safetensors", model, HEADS)
    return folder / "model.safetensors", logits(model)


def logits(model: nn.Module) -> torch.Tensor:
    image = torch.randint(0, 256, (1, 3, 21, 40), generator=torch.Generator().manual_seed(1)).byte()
    with torch.no_grad():
        return model(image)["semantic"]


def test_a_function_is_imported_when_it_is_named(module: str) -> None:
    entry = use_backbone(f"{module}:tiny")
    assert entry.native_side == 32
    assert use_backbone(f"fcn8s-{module}:tiny") is find_backbone(f"{module}:tiny") is entry
    stated = use_backbone(f"{module}:stated")
    assert (stated.native_side, stated.preprocessing["std"]) == (33, [0.25] * 3)


def test_it_is_saved_by_name_and_loaded_again(module: str, tmp_path: Path) -> None:
    use_backbone(f"{module}:tiny")
    path, before = saved(tmp_path, f"{module}:tiny")
    assert before.shape == (1, 2, 21, 40)
    assert before.std() > 0
    assert torch.equal(logits(load_checkpoint(path).model), before)


def test_a_file_starts_no_code(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_backbone(f"{module}:tiny")
    path, before = saved(tmp_path, f"{module}:tiny")
    (tmp_path / "imported").unlink()
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(BACKBONES, f"{module}:tiny")
    with pytest.raises(
        WeightsError, match=rf"was trained with a backbone that is not here: .*'{module}:tiny' is code outside of"
    ):
        load_checkpoint(path)
    assert not (tmp_path / "imported").exists()
    assert module not in sys.modules
    monkeypatch.setenv("FULLCONV_BACKBONES", f"other:net, {module}:tiny")
    assert torch.equal(logits(load_checkpoint(path).model), before)
    assert (tmp_path / "imported").exists()


def test_not_even_a_function_of_a_module_that_is_imported(tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a file could call any function without arguments of any library, such as os.abort."""
    called = []
    monkeypatch.setattr("os.getlogin", lambda: called.append(1))
    with pytest.raises(SpecError, match="code outside of fullconv"):
        find_backbone("os:getlogin")
    with pytest.raises(SpecError, match="code outside of fullconv"):
        build_model(ModelSpec(name="fcn8s-os:getlogin"), {"semantic": 2})
    assert called == []


def test_where_the_code_is_absent(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_backbone(f"{module}:tiny")
    path, _ = saved(tmp_path, f"{module}:tiny")
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(BACKBONES, f"{module}:tiny")
    (tmp_path / f"{module}.py").unlink()
    monkeypatch.setenv("FULLCONV_BACKBONES", f"{module}:tiny")
    with pytest.raises(
        WeightsError,
        match=rf"cannot be imported here: No module named '{module}'; put {module}\.py where Python finds it: in the folder",
    ):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("absent", r"has no function 'absent'; it has tiny, stated, needy, other, dense, odd"),
        ("needy", r"is no function without arguments: needy\(\) missing 1 required"),
        ("other", "makes a str; accepted are an nn.Module and a fullconv Classifier"),
        ("dense", "has no nn.Conv2d"),
        ("odd", r"runs on none of the usual image sides 224, .*Classifier\(build, native_side=\.\.\.\)"),
    ],
)
def test_what_is_no_backbone_is_named(module: str, function: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        use_backbone(f"{module}:{function}")
    assert f"{module}:{function}" not in BACKBONES


def test_from_python_a_module_keeps_its_weights(module: str, tmp_path: Path) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.MaxPool2d(2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 5),
    )
    use_backbone("mynet", net)
    model = build_model(ModelSpec(name="fcn8s-mynet"), {"semantic": 2})
    first = next(part for part in model.trunks["rgb"].modules() if isinstance(part, nn.Conv2d))
    assert torch.equal(first.weight, net[0].weight)
    assert first.weight.data_ptr() != net[0].weight.data_ptr()  # training the one must not change the other
    path, before = saved(tmp_path, "mynet")
    assert torch.equal(logits(load_checkpoint(path).model), before)
    assert next(build_on_meta(ModelSpec(name="fcn8s-mynet"), {"semantic": 2}).parameters()).device.type == "meta"
    del BACKBONES["mynet"]
    with pytest.raises(WeightsError, match=r"a backbone that is not here: no backbone is called 'mynet'.*use_backbone"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["resnet18", "timm/resnet18", "my net", "über"])
def test_names_that_are_taken_or_not_allowed(name: str) -> None:
    with pytest.raises(SpecError, match="a backbone of your own cannot be called"):
        use_backbone(name, nn.Conv2d(3, 1, 1))


def test_a_net_of_ones_own_draws_heat_maps_with_its_weights(module: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 32 * 32, 5))
    use_backbone("mynet", net)
    dense, normalise = load_classifier("mynet")
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(dense(normalise(image)).flatten(1), net.eval()(normalise(image)), atol=1e-5, rtol=0)


def test_on_the_command_line(module: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["geometry", f"{module}:tiny", "--size", "64x64", "--json"]) == 0
    assert '"stride": 8' in capsys.readouterr().out
    assert main(["geometry", f"fcn8s-{module}:tiny"]) == 0
    out = tmp_path / "run"
    options = ["--model.name", f"fcn8s-{module}:tiny", "--train.stages", "[{stride: 8, steps: 2}]", "--data.count", "8"]
    options += ["--data.val_count", "2", "--data.size", "[33, 40]"]
    assert main(["train", "scenes-fcn8s-minivgg", "--out", str(out), *options]) == 0
    header = load_checkpoint(out / "model.safetensors").header
    assert header["model"]["name"] == f"fcn8s-{module}:tiny"
