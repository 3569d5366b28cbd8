"""Models by name, with weights, and what may be done with them afterwards: copied, pickled, moved, halved."""

import copy
import gc
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fullconv.errors import SpecError, WeightsError
from fullconv.nn.assemble import assemble
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec

IMAGES = torch.randint(0, 256, (2, 3, 45, 70), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> FCN:
    torch.manual_seed(0)
    model = build_model("fcn8s-minivgg", classes={"semantic": 4, "geometric": 3}).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


def test_a_name_and_a_number_are_enough() -> None:
    assert build_model("fcn16s-minivgg", classes=21).heads == {"semantic": 21}
    assert build_model("fcn16s-minivgg", {"semantic": 33, "geometric": 3}).heads == {"semantic": 33, "geometric": 3}


@pytest.mark.parametrize(
    "classes", [0, -1, {}, {"semantic": 0}, "21", 2.5, None, True, ["a"], {"semantic": "b"}, {"semantic": True}]
)
def test_classes_are_counted_from_one(classes: Any) -> None:
    with pytest.raises(SpecError, match="give a number from 1 on, or one for each head"):
        build_model("fcn8s-minivgg", classes=classes)


def test_numbers_of_numpy_count_too() -> None:
    assert build_model("fcn8s-minivgg", classes=np.int64(3)).heads == {"semantic": 3}


@pytest.mark.parametrize("name", ["", "a.b", 3, None, "keys", "training", "forward"])
def test_heads_are_called_by_words_of_their_own(name: Any) -> None:
    with pytest.raises(SpecError, match="no head can be called"):
        build_model("fcn8s-minivgg", classes={name: 2})


@pytest.mark.parametrize("model", [None, 3, b"fcn8s-minivgg", {"name": "fcn8s-minivgg"}])
def test_a_model_is_a_name_or_a_spec(model: Any) -> None:
    with pytest.raises(SpecError, match="give names, such as 'fcn8s-vgg16' and 'imagenet'"):
        build_model(model, 2)


def test_another_name_is_refused() -> None:
    with pytest.raises(SpecError, match=r"no model is called 'resnet50'; .*such as fcn8s-vgg16; did you mean fcn8s-resnet50\?"):
        build_model("resnet50", classes=2)


@pytest.mark.parametrize("by", ["argument", "spec"])
def test_weights_that_are_named_are_loaded(by: str, tmp_path: Path) -> None:
    source = BACKBONES["minivgg"].build()
    path = str(tmp_path / "minivgg.safetensors")
    save_file(source.state_dict(), path)
    model = (
        build_model("fcn8s-minivgg", classes=2, weights=path)
        if by == "argument"
        else build_model(ModelSpec(name="fcn8s-minivgg", weights=path), 2)
    )
    assert torch.equal(model.trunks["rgb"].graph.state_dict()["conv1_1.weight"], source.state_dict()["conv1_1.weight"])
    with pytest.raises(WeightsError, match="no weights file"):
        build_model("fcn8s-minivgg", classes=2, weights=str(tmp_path / "gone.safetensors"))


def test_an_unnamed_weight_stays_random_and_assembling_loads_none(tmp_path: Path) -> None:
    spec = ModelSpec(name="fcn8s-minivgg", weights=str(tmp_path / "gone.safetensors"))
    assert assemble(spec, {"semantic": 2}).spec.weights == spec.weights


def same(model: FCN, other: FCN) -> bool:
    with torch.inference_mode():
        return all(torch.equal(logits, other(IMAGES)[head]) for head, logits in model(IMAGES).items())


def test_a_copy_stands_by_itself(model: FCN) -> None:
    clone = copy.deepcopy(model)
    assert same(model, clone)
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.zero_()
    assert clone(IMAGES)["semantic"].abs().max() == 0
    assert model(IMAGES)["semantic"].abs().max() > 0


def test_a_copy_keeps_nothing_of_the_original_alive() -> None:
    original = build_model("fcn8s-minivgg", classes=2)
    watched = [weakref.ref(original), weakref.ref(original.core), weakref.ref(original.trunks["rgb"])]
    clone = copy.deepcopy(original)
    del original
    gc.collect()
    assert [part() for part in watched] == [None, None, None]
    assert clone.heads == {"semantic": 2}


def test_it_pickles(model: FCN) -> None:
    assert same(model, pickle.loads(pickle.dumps(model)))


def test_half_precision_computes_nearly_the_same(model: FCN) -> None:
    with torch.inference_mode():
        whole = model(IMAGES)["semantic"]
        halved = copy.deepcopy(model).half()(IMAGES)["semantic"]
    assert halved.dtype == torch.float16
    assert (halved.float() - whole).abs().max() <= 2e-2 * whole.abs().max()  # float16 has eleven bits
    with torch.inference_mode():
        assert copy.deepcopy(model).to(torch.float64)(IMAGES)["semantic"].dtype == torch.float64


def test_the_parts_are_the_whole(model: FCN) -> None:
    with torch.inference_mode():
        padded = {"rgb": model.fit(model.normalise["rgb"](IMAGES))}
        parts = {head: model.crop(logits, IMAGES) for head, logits in model.core(padded).items()}
        assert all(torch.equal(logits, parts[head]) for head, logits in model(IMAGES).items())


def test_a_module_of_ones_own_is_a_backbone() -> None:
    net = nn.Sequential(
        *(layer for k in range(5) for layer in (nn.Conv2d(3 if k == 0 else 4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )
    model = build_model("fcn8s-mine", classes=3, backbone=net).eval()
    assert model(IMAGES)["semantic"].shape == (2, 3, 45, 70)
    with pytest.raises(SpecError, match="mine"):
        build_model("fcn8s-mine", classes=3, backbone=lambda: "no net")


def test_a_net_put_together_by_hand_has_no_spec() -> None:
    built = build_model("fcn32s-minivgg", classes=2)
    bare = FCN(built.trunks, {"semantic": built.head("semantic")}, built.alignment).eval()
    assert same(built.eval(), bare)
    with pytest.raises(SpecError, match="put together by hand"):
        _ = bare.spec
