"""The published models: every one from a file with the reference's names and shapes, against an evaluation of its graph."""

import copy
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import L, caffemodel, evaluate, reference
from published_nets import HEADS, MEANS, TWINS, inputs, thin_for_a_while
from safetensors.torch import load_file

from fullconv.errors import SpecError, WeightsError
from fullconv.interop.caffe import PUBLISHED, import_caffemodel, read_caffemodel
from fullconv.interop.caffe.published import CLASSIFIERS
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.backbones.narrow import narrow
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.fcn import FCN

LARGE = {"voc-fcn8s", "voc-fcn-alexnet"}
"""Models that are tried at large sizes too; by hand all were."""


narrow_nets = pytest.fixture(autouse=True, scope="module")(thin_for_a_while)


def written(folder: Path, layers: list[L], **how: bool) -> Path:
    path = folder / "net.caffemodel"
    path.write_bytes(caffemodel(layers, **how))
    return path


def same_logits(name: str, net: torch.nn.Module, layers: list[L], size: tuple[int, int]) -> None:
    given, data = inputs(name, *size)
    assert isinstance(net, FCN)
    with torch.no_grad():
        found = net({key: given[key] for key in net.inputs})
        truth = evaluate(layers, data)
    for head, logits in found.items():
        expected = next(truth[key] for key in HEADS[head] if key in truth)
        assert logits.shape[-2:] == size
        assert expected.std() > 1e-3
        torch.testing.assert_close(logits, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_logits_are_those_of_the_references_graph(name: str, tmp_path: Path) -> None:
    layers = reference(name)
    said = name if name in TWINS else None
    found = import_caffemodel(written(tmp_path, layers), said)
    older = import_caffemodel(written(tmp_path, layers, old=True), said)
    assert (found.name, older.name) == (name, name)
    for key, tensor in found.net.state_dict().items():
        assert torch.equal(tensor, older.net.state_dict()[key]), key
    sizes = [(64, 96), (1, 1), (233, 301), *([(375, 500), (500, 500)] if name in LARGE else [])]
    for size in sizes:
        same_logits(name, found.net, layers, size)
    counted = {*found.report.copied, *found.report.cast} - {"skip_scales.16", "skip_scales.8"}
    assert counted == {key for key in found.net.state_dict() if not key.startswith("normalise")}
    assert not found.report.missing


def test_the_checkpoint_holds_all_that_predicting_needs(tmp_path: Path) -> None:
    layers = reference("siftflow-fcn8s")
    imported = import_caffemodel(written(tmp_path, layers))
    imported.save(tmp_path / "model.safetensors")
    read = load_checkpoint(tmp_path / "model.safetensors")
    same_logits("siftflow-fcn8s", read.model, layers, (40, 33))
    assert {head: len(labels) for head, labels in read.labels.items()} == {"semantic": 33, "geometric": 3}
    assert read.labels["semantic"].names[0] == "awning"
    assert read.header["preprocessing"]["rgb"]["mean"] == pytest.approx(MEANS["siftflow"])
    assert read.header["preprocessing"]["rgb"]["channels"] == "BGR"
    assert read.history[0]["published"] == "siftflow-fcn8s"


@pytest.mark.parametrize("how", [{"packed": False}, {"double": True}, {"double": True, "packed": False}])
def test_numbers_are_read_however_they_are_stored(how: dict[str, bool], tmp_path: Path) -> None:
    layers = reference("voc-fcn-alexnet", 48)
    small = [dataclasses.replace(layer, blobs=[b[:4, :4] if b.ndim > 1 else b[:4] for b in layer.blobs]) for layer in layers]
    for old in (False, True):
        found = read_caffemodel(written(tmp_path, small, old=old, **how)).weighted
        for layer in small:
            for stored, blob in zip(layer.blobs, found[layer.name].blobs if layer.blobs else [], strict=True):
                assert np.array_equal(np.squeeze(blob.array()), np.squeeze(stored))


def test_training_layers_are_passed_over_by_name(tmp_path: Path) -> None:
    layers = reference("voc-fcn32s")
    layers = [L("data", "Data", [], ["data", "label"]), *layers, L("loss", "SoftmaxWithLoss", ["score", "label"], ["loss"])]
    assert import_caffemodel(written(tmp_path, layers)).report.dropped == ["data", "loss"]


FIRST_RELEASE = {"score_fr": "score-fr", "score_pool4": "score-pool4", "score_pool3": "score-pool3", "upscore2": "score2"}
OLDER = {
    "voc-fcn32s": {"score_fr": "score", "upscore": "upsample"},
    "voc-fcn16s": FIRST_RELEASE | {"upscore16": "upsample-fused-16"},
    "voc-fcn8s": FIRST_RELEASE | {"upscore_pool4": "score4", "upscore8": "upsample"},
    "pascalcontext-fcn16s": FIRST_RELEASE | {"score_fr": "score59", "upscore16": "bigscore"},
    "siftflow-fcn32s": {"score_fr_sem": "score_sem", "score_fr_geo": "score-geo", "upscore_sem": "upsample_sem"},
}
"""What layers were called in older files, by what the reference calls them."""


@pytest.mark.parametrize("name", OLDER)
def test_older_names_are_known(name: str, tmp_path: Path) -> None:
    layers = reference(name)
    # the first release's upsampling of the coarse score adds an offset to each class
    offset = next((layer for layer in layers if layer.name == "upscore2"), None)
    if offset is not None:
        offset.blobs.append(np.linspace(-1, 1, len(offset.blobs[0]), dtype=np.float32))
    older = [dataclasses.replace(layer, name=OLDER[name].get(layer.name, layer.name)) for layer in layers]
    found = import_caffemodel(written(tmp_path, older, old=True))
    assert found.name == name
    same_logits(name, found.net, layers, (33, 40))
    twice = [*older, dataclasses.replace(older[0], name="upsample9")]
    with pytest.raises(WeightsError, match="none of the published"):
        import_caffemodel(written(tmp_path, twice))


def test_an_offset_that_has_no_place_is_refused(tmp_path: Path) -> None:
    layers = reference("voc-fcn32s")
    upscore = next(layer for layer in layers if layer.name == "upscore")
    upscore.blobs.append(np.zeros(21, np.float32))
    import_caffemodel(written(tmp_path, layers))
    upscore.blobs[1] = np.full(21, 0.5, np.float32)
    with pytest.raises(WeightsError, match="its last upsampling adds an offset to each class, and no published model's does"):
        import_caffemodel(written(tmp_path, layers))
    upscore.blobs[1] = np.ones(20, np.float32)
    with pytest.raises(WeightsError, match="layer 'upscore' is 20 in the file, and the net's is 21"):
        import_caffemodel(written(tmp_path, layers))


def test_twins_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, reference("nyud-fcn32s-hha"))
    with pytest.raises(WeightsError, match=r"could be nyud-fcn32s-color or nyud-fcn32s-hha, .*say which by --model"):
        import_caffemodel(path)
    with pytest.raises(SpecError, match="no published model is called 'voc-fcn9s'; nearest: voc-fcn"):
        import_caffemodel(path, "voc-fcn9s")


def changed(layers: list[L], name: str, blob: np.ndarray) -> list[L]:
    return [dataclasses.replace(layer, blobs=[blob, *layer.blobs[1:]]) if layer.name == name else layer for layer in layers]


def test_what_is_of_another_net_is_refused(tmp_path: Path) -> None:
    layers = reference("voc-fcn8s")
    weights = {layer.name: layer.blobs[0] for layer in layers if layer.blobs}

    def refused(net: list[L], message: str, name: str | None = "voc-fcn8s") -> None:
        with pytest.raises(WeightsError, match=message):
            import_caffemodel(written(tmp_path, net), name)

    mixing = weights["upscore8"].copy()
    mixing[3, 5, 7, 7] = 0.25
    refused(changed(layers, "upscore8", mixing), "'upscore8' mixes classes: 1 numbers off the diagonal")
    refused(
        changed(layers, "conv3_2", weights["conv3_2"][:, :, :1]), "'conv3_2' is 16×16×1×3 in the file, and the net's is 16×16×3×3"
    )
    refused(changed(layers, "conv3_2", weights["conv3_2"].transpose(2, 3, 0, 1)), "'conv3_2' is 3×3×16×16 in the file")
    damaged = weights["conv3_2"].copy()
    damaged[0, 0, 0, 0] = np.nan
    refused(changed(layers, "conv3_2", damaged), "'conv3_2' holds numbers that are not finite")
    refused([layer for layer in layers if layer.name != "fc7"], "no weights for the layer 'fc7'")
    refused([layer for layer in layers if layer.name != "fc7"], "nearest: voc-fcn8s, without fc7", None)
    refused([*layers, dataclasses.replace(layers[0], name="conv9")], r"fits only in part: 1 of its 22 .* no place .*conv9")
    refused(reference("voc-fcn16s"), "no place in this model .*upscore16")
    dilated = copy.deepcopy(layers)
    next(layer for layer in dilated if layer.name == "conv5_1").settings["convolution_param"]["pad"] = 2
    refused(dilated, "'conv5_1' has pad 2, and this model's has 1: it is another net with the same names")
    uneven = changed(reference("voc-fcn8s-atonce"), "scale_pool4", np.linspace(0, 1, 32, dtype=np.float32))
    refused(uneven, "'scale_pool4' is not one factor for all channels", "voc-fcn8s-atonce")


def classifier(name: str, cast: bool) -> list[L]:
    """Return a classifier's layers with tiny random weights, as its classic file has them or as a convolutional cast."""
    net = BACKBONES[CLASSIFIERS[name].backbone].build()
    layers = []
    for path, theirs in CLASSIFIERS[name].places.items():
        part = net.get_submodule(path)
        blobs = [tensor.detach().numpy() for tensor in (part.weight, part.bias)]
        dense = isinstance(part, torch.nn.Linear)
        if dense and cast:
            side = {"fc6": 6}.get(theirs, 1)
            blobs[0] = blobs[0].reshape(len(blobs[0]), -1, side, side)
        kind = "InnerProduct" if dense and not cast else "Convolution"
        layers.append(L(theirs + ("-conv" if dense and cast else ""), kind, ["x"], ["x"], {}, blobs))
    return layers


@pytest.mark.parametrize("name", ["caffenet", "alexnet", "googlenet"])
def test_classifiers_become_weights_of_a_backbone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = CLASSIFIERS[name]
    with torch.device("meta"):
        whole = BACKBONES[entry.backbone].build()
    slim = narrow(whole, 1 / 16, BACKBONES[entry.backbone].native_side)
    monkeypatch.setitem(
        BACKBONES, entry.backbone, dataclasses.replace(BACKBONES[entry.backbone], build=lambda: copy.deepcopy(slim))
    )
    norm = [L("norm1", "LRN", [entry.norm_reads], ["norm1"])] if entry.norm_reads else []
    extra = [L("loss1/fc", "InnerProduct", ["x"], ["x"], {}, [np.ones((2, 2), np.float32)])] if entry.dropped else []
    for cast in (False, True):
        layers = classifier(name, cast)
        found = import_caffemodel(written(tmp_path, [*norm, *layers, *extra], old=not cast))
        assert found.name == name
        assert found.report.dropped == [layer.name for layer in extra]
        found.save(tmp_path / "weights.safetensors")
        stored = load_file(tmp_path / "weights.safetensors")
        assert {key: tensor.shape for key, tensor in stored.items()} == {k: t.shape for k, t in slim.state_dict().items()}
        for (path, _), layer in zip(entry.places.items(), layers, strict=True):
            assert np.array_equal(stored[f"{path}.weight"].numpy().ravel(), layer.blobs[0].ravel())


def test_a_cast_without_classes_is_a_trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        whole = BACKBONES["caffe-alexnet"].build()
    slim = narrow(whole, 1 / 16, 227)
    monkeypatch.setitem(BACKBONES, "caffe-alexnet", dataclasses.replace(BACKBONES["caffe-alexnet"], build=lambda: slim))
    layers = [L("norm1", "LRN", ["pool1"], ["norm1"]), *classifier("caffenet", True)[:-1]]
    found = import_caffemodel(written(tmp_path, layers))
    assert (found.name, found.report.missing) == ("caffenet", ["fc8"])
    assert not any(re.match("fc8", key) for key in found.net.state_dict())
