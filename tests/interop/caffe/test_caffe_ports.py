"""State dicts of others' code: ports of the published nets against an evaluation of their graph, and backbones."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import L, evaluate, reference
from published_nets import inputs, thin_for_a_while
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

from fullconv.cli import main
from fullconv.errors import SpecError, WeightsError
from fullconv.inference.heatmap import load_classifier
from fullconv.interop.caffe.importing import KNOWN
from fullconv.interop.pytorch import import_state_dict
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.state_dict import read_state_dict

narrow_nets = pytest.fixture(thin_for_a_while)


def port(layers: list[L]) -> dict[str, Tensor]:
    """Return what the port's ``state_dict()`` holds: its layers are called as the reference's."""
    names = ("weight", "bias")
    return {f"{one.name}.{names[i]}": torch.from_numpy(blob) for one in layers for i, blob in enumerate(one.blobs)}


@pytest.mark.usefixtures("narrow_nets")
def test_a_ports_state_dict_gives_the_logits_of_the_references_graph(tmp_path: Path) -> None:
    layers = reference("voc-fcn8s")
    tensors = port(layers)
    path = tmp_path / "fcn8s.pth"
    for content, archive in (
        (tensors, True),
        (tensors, False),
        ({"epoch": 7, "best_mean_iu": np.float64(0.6), "model_state_dict": {f"module.{k}": v for k, v in tensors.items()}}, True),
        ({"state_dict": {name: tensor.double() for name, tensor in tensors.items()}, "lr": 0.1}, True),
    ):
        torch.save(content, path, _use_new_zipfile_serialization=archive)
        found = import_state_dict(path)
        assert found.name == "voc-fcn8s"
        assert len(found.report.copied) + len(found.report.cast) == 39
    save_file(tensors, tmp_path / "fcn8s.safetensors")
    import_state_dict(tmp_path / "fcn8s.safetensors", "voc-fcn8s").save(tmp_path / "model.safetensors")
    read = load_checkpoint(tmp_path / "model.safetensors")
    given, data = inputs("voc-fcn8s", 33, 40)
    with torch.no_grad():
        logits = read.model({"rgb": given["rgb"]})["semantic"]
    torch.testing.assert_close(logits, evaluate(layers, data)["score"], atol=1e-3, rtol=0)
    assert read.labels["semantic"].names[15] == "person"


@pytest.mark.usefixtures("narrow_nets")
def test_classes_of_ones_own_are_named(tmp_path: Path) -> None:
    tensors = {}
    for name, tensor in port(reference("voc-fcn8s")).items():
        if "score" in name:
            tensor = tensor[:3, :3] if name.startswith("up") else tensor[:3]
        tensors[name] = tensor
    path = tmp_path / "own.pth"
    torch.save(tensors, path)
    model = KNOWN["voc-fcn8s"].model  # type: ignore[union-attr]  # one of the published nets
    with pytest.raises(SpecError, match="tells 3 classes apart, and a state dict does not hold their names: give --classes"):
        import_state_dict(path, model)
    with pytest.raises(SpecError, match="3 classes apart, and --classes names 2: give"):
        import_state_dict(path, model, ("sky", "sea"))
    import_state_dict(path, model, ("sky", "sea", "sand")).save(tmp_path / "model.safetensors")
    assert load_checkpoint(tmp_path / "model.safetensors").labels["semantic"].names == ("sky", "sea", "sand")
    with pytest.raises(WeightsError, match=r"'score_fr' is 3×256×1×1 in the file, and the net's is 21×256×1×1"):
        import_state_dict(path, "voc-fcn8s")
    with pytest.raises(SpecError, match="has classes of its own; leave out --classes"):
        import_state_dict(path, "voc-fcn8s", ("sky", "sea", "sand"))


@pytest.mark.usefixtures("narrow_nets")
def test_a_half_match_is_refused(tmp_path: Path) -> None:
    tensors = port(reference("voc-fcn8s"))
    path = tmp_path / "fcn8s.pth"

    def refused(change: dict[str, Tensor | None], message: str, model: str | None = "voc-fcn8s") -> None:
        changed = {name: tensor for name, tensor in (tensors | change).items() if tensor is not None}
        torch.save(changed, path)
        with pytest.raises(WeightsError, match=message) as caught:
            import_state_dict(path, model)
        assert "\n" not in str(caught.value)

    mixing = tensors["upscore8.weight"].clone()
    mixing[3, 5, 7, 7] = 0.25
    refused({"upscore8.weight": mixing}, "'upscore8' mixes classes: 1 numbers off the diagonal")
    refused({"fc7.weight": None, "fc7.bias": None}, "no weights for the layer 'fc7'")
    refused({"fc7.bias": None}, "'fc7' has 1 blobs and not 2")
    refused({"conv9.weight": torch.ones(1)}, "fits only in part: 1 of its 22 .* no place .*conv9")
    refused({"conv1_2.weight": torch.full((4, 4, 3, 3), torch.nan)}, "'conv1_2' holds numbers that are not finite")
    refused(
        {"fc7.weight": None, "fc7.bias": None},
        r"none of the published models; nearest: voc-fcn8s, without fc7.*Say --model",
        None,
    )
    refused({"step": torch.tensor(3)}, "holds 'step', and in a port of the published nets all is called LAYER.weight")


def test_a_classifiers_checkpoint_becomes_weights_of_a_backbone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    theirs = models.squeezenet1_1().eval()
    path, out = tmp_path / "squeezenet1_1-b8a52dc0.pth", tmp_path / "squeezenet.safetensors"
    torch.save(theirs.state_dict(), path)
    assert main(["import", str(path), "--model", "squeezenet1_1", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (len(said["copied"]), said["cast"], said["dropped"], said["missing"]) == (52, [], [], [])
    with safe_open(out, framework="pt") as file:
        assert json.loads(file.metadata()["preprocessing"])["std"] == [0.229, 0.224, 0.225]
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        expected = theirs(images)
        for weights in (out, path):  # also without being imported first
            dense, _ = load_classifier("squeezenet1_1", str(weights))
            torch.testing.assert_close(dense(images).flatten(2).mean(2), expected, atol=1e-4, rtol=1e-4)
    for arguments, message in (
        ((), "Say --model"),
        (("--model", "squeezenet1_0"), "fit only in part"),
        (("--model", "squezenet1_1"), "nearest: squeezenet1_1"),
        (("--prototxt", "x"), "is a state dict: give --model instead"),
    ):
        assert main(["import", str(path), *arguments, "--out", str(tmp_path / "none.safetensors")]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "none.safetensors").exists()


def test_weights_come_by_the_name_of_a_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(tmp_path))
    torch.manual_seed(0)
    save_file(BACKBONES["squeezenet1_1"].build().state_dict(), tmp_path / "squeezenet1_1.safetensors")
    found = import_state_dict("squeezenet1_1")
    assert (found.name, len(found.report.copied)) == ("squeezenet1_1", 52)
    with pytest.raises(SpecError, match="is the name of a backbone, and --model says resnet50"):
        import_state_dict("squeezenet1_1", "resnet50")


class Harm:
    """Touches a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.place}",)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
@pytest.mark.parametrize("archive", [True, False])
def test_nothing_but_tensors_is_unpickled(archive: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / "x.pth", tmp_path / "mark"

    def refused(content: object, message: str) -> None:
        torch.save(content, path, _use_new_zipfile_serialization=archive)
        with pytest.raises(WeightsError, match=message) as caught:
            read_state_dict(path)
        assert "\n" not in str(caught.value)

    refused({"fc6.weight": torch.ones(2), "more": Harm(mark)}, r"holds more than tensors \(posix.system\), .* torch.save\(model")
    refused(torch.nn.Conv2d(1, 1, 1), r"holds more than tensors \(torch.nn.modules.conv.Conv2d\)")
    refused([torch.ones(2)], "holds a list and not tensors by name")
    refused({"epoch": 3, "lr": 0.1}, "holds no mapping of names to tensors alone, but 'epoch', 'lr'")
    refused({"x": torch.ones(1).expand(1 << 40)}, r"'x' says \(1099511627776,\) and stores fewer numbers")
    refused({"x": torch.ones(2).to_sparse()}, "'x' is a sparse, quantised, complex or empty tensor")
    assert not mark.exists()


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"

    def refused(message: str) -> None:
        with pytest.raises(WeightsError, match=message) as caught:
            read_state_dict(path)
        assert "\n" not in str(caught.value)

    refused("cannot read .*No such file")
    path.write_bytes(b"")
    refused("is empty")
    path.write_text("<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head></html>")
    refused("is text")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 537\n")
    refused("is git-lfs's note of a file, not the file: fetch it by git lfs pull")
    path.write_bytes(bytes(100))
    refused("is no file of PyTorch")
    torch.save({"a.weight": torch.ones(100)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused("is cut short or damaged")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
        outer.writestr("fcn8s.pth", whole)
    path.write_bytes((tmp_path / "outer.zip").read_bytes())
    refused("is a zip file of other things .'fcn8s.pth'.: unpack it")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as outer:
        outer.writestr("archive/data.pkl", bytes(10_000_000))
    refused("is packed, which torch.save does not do")
    with pytest.raises(WeightsError, match="directory"):
        read_state_dict(tmp_path)
