"""The FCN against a second route: the reference's net written in plain numpy, with the reference's own crops."""

import numpy as np
import pytest
import torch
from torch import nn

from fullconv.errors import GeometryError
from fullconv.geometry.graph import Geometry
from fullconv.nn.assemble import build_on_meta, put_together
from fullconv.nn.backbones import Classifier
from fullconv.nn.build import build_model, carry_over
from fullconv.nn.fcn import FCN
from fullconv.nn.normalise import CAFFE
from fullconv.nn.trunk import build_trunk
from fullconv.spec import ModelSpec

WIDTHS = (2, 3, 4, 5, 6)
CLASSES = 3


def tiny_vgg() -> nn.Module:
    """VGG16's plan (pools that round up, a 7x7 fc6) with one convolution a block and a few channels."""
    parts: list[nn.Module] = []
    last = 3
    for width in WIDTHS:
        parts += [nn.Conv2d(last, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2, ceil_mode=True)]
        last = width
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(last * 49, 8), nn.ReLU(), nn.Linear(8, 10))


def tiny_fcn(stride: int, learned: str = "fixed") -> FCN:
    spec = ModelSpec(name=f"fcn{stride}s-tiny", deconvolution=learned)
    trunk = build_trunk(Classifier(tiny_vgg, 224, CAFFE, "paper", "pool"), stride)
    model = put_together({"rgb": trunk}, {"semantic": CLASSES}, spec).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter)
    return model


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, pad: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    k = weight.shape[-1]
    rows, columns = x.shape[1] - k + 1, x.shape[2] - k + 1
    out = np.zeros((len(weight), rows, columns))
    for i in range(k):
        for j in range(k):
            out += np.einsum("oc,chw->ohw", weight[:, :, i, j], x[:, i : i + rows, j : j + columns])
    return out + bias[:, None, None]


def pool(x: np.ndarray) -> np.ndarray:
    rows, columns = -(-x.shape[1] // 2), -(-x.shape[2] // 2)
    x = np.pad(x, ((0, 0), (0, 2 * rows - x.shape[1]), (0, 2 * columns - x.shape[2])), constant_values=-np.inf)
    return x.reshape(len(x), rows, 2, columns, 2).max((2, 4))


def deconv(x: np.ndarray, factor: int) -> np.ndarray:
    """The reference's bilinear filler with kernel 2f, one class at a time, added up entry by entry."""
    k = 2 * factor
    ramp = 1 - np.abs(np.arange(k) - (factor - 0.5)) / factor
    kernel = ramp[:, None] * ramp
    out = np.zeros((len(x), (x.shape[1] - 1) * factor + k, (x.shape[2] - 1) * factor + k))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            out[:, i * factor : i * factor + k, j * factor : j * factor + k] += x[:, i, j, None, None] * kernel
    return out


def reference(model: FCN, image: np.ndarray, stride: int) -> np.ndarray:
    """The reference's ``net.py`` for voc-fcn32s, 16s and 8s, with its crops 19 / 5, 27 / 5, 9, 31."""
    state = {name: value.double().numpy() for name, value in model.state_dict().items()}
    x = image[::-1].astype(float) - np.array(CAFFE["mean"])[:, None, None]
    pools = []
    for block in range(5):
        name = f"core.trunks.rgb.graph.{3 * block}"
        x = pool(np.maximum(conv(x, state[f"{name}.weight"], state[f"{name}.bias"], 100 if block == 0 else 1), 0))
        pools.append(x)
    x = np.maximum(conv(x, state["core.trunks.rgb.graph.16.weight"], state["core.trunks.rgb.graph.16.bias"], 0), 0)

    def score(maps: np.ndarray, level: int) -> np.ndarray:
        name = f"core.heads.semantic.score.rgb.{level}"
        return conv(maps, state[f"{name}.weight"], state[f"{name}.bias"], 0)

    scores, factor, crop = score(x, 0), 32, 19
    if stride <= 16:
        up = deconv(scores, 2)
        scores, factor, crop = up + score(pools[3], 1)[:, 5 : 5 + up.shape[1], 5 : 5 + up.shape[2]], 16, 27
    if stride == 8:
        up = deconv(scores, 2)
        scores, factor, crop = up + score(pools[2], 2)[:, 9 : 9 + up.shape[1], 9 : 9 + up.shape[2]], 8, 31
    up = deconv(scores, factor)
    return up[:, crop : crop + image.shape[1], crop : crop + image.shape[2]]


@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize("size", [(1, 1), (37, 90), (64, 33)])
def test_forward_is_the_reference_in_numpy(stride: int, size: tuple[int, int]) -> None:
    torch.manual_seed(stride)
    model = tiny_fcn(stride)
    image = np.random.default_rng(0).integers(0, 256, (3, *size), dtype=np.uint8)
    with torch.no_grad():
        found = model(torch.from_numpy(image)[None])["semantic"][0].numpy()
    truth = reference(model, image, stride)
    assert found.shape == truth.shape
    assert np.abs(found - truth).max() <= 1e-4 * max(1, np.abs(truth).max())


def test_skips_are_linear_in_the_scores() -> None:
    """The output is the sum of what each level gives alone (with the others' scores at zero)."""
    torch.manual_seed(0)
    model = tiny_fcn(8, "learned")
    image = torch.randint(0, 256, (1, 3, 50, 70), dtype=torch.uint8)
    with torch.no_grad():
        scores = model.score_maps(image)["semantic"]
        whole = model.fuse("semantic", scores, image)
        parts = [
            model.fuse("semantic", [maps if i == level else torch.zeros_like(maps) for i, maps in enumerate(scores)], image)
            for level in range(3)
        ]
        without = model.fuse("semantic", scores, image, skips=(16,))
    torch.testing.assert_close(whole, sum(parts), rtol=0, atol=1e-3)
    torch.testing.assert_close(without, parts[0] + parts[1], rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "name",
    ["fcn8s-minivgg", "fcn8s-squeezenet1_1", "fcn8s-resnet18", "fcn4s-alexnet", "fcn8s-googlenet", "fcn8s-caffe-vgg16"],
)
def test_a_ramp_of_scores_gives_every_pixel_its_own_coordinate(name: str) -> None:
    """Coarse scores that hold their own position (from the geometry) must give, upsampled and cropped, the pixel's index."""
    model = build_on_meta(ModelSpec(name=name), {"semantic": 1})
    side = 200
    sizes = model.geometry.sizes((side, side))
    score = model.geometry.index["core.heads.semantic.score.rgb.0"]
    place = model.geometry.place(score)
    assert place is not None
    ramp = float(place.offset) + float(place.stride) * torch.arange(sizes[score][0], dtype=torch.float32)
    maps = [ramp[:, None].expand(*sizes[score])[None, None]]
    for level in range(1, len(model.strides)):
        rows, columns = sizes[model.geometry.index[f"core.heads.semantic.score.rgb.{level}"]]
        maps.append(torch.zeros(1, 1, rows, columns))
    for part in model.head("semantic").upsample:
        kernel = part.weight.shape[-1]
        from fullconv.nn.upsample import bilinear_kernel

        part.weight = bilinear_kernel(kernel).expand(1, 1, kernel, kernel)
    found = model.fuse("semantic", maps, torch.zeros(1, 3, side, side))[0, 0]
    inner = slice(40, side - 40)
    truth = torch.arange(side, dtype=torch.float32)[inner, None].expand(-1, 120)
    torch.testing.assert_close(found[inner, 40:160], truth, rtol=0, atol=1e-2)


def test_stages_carry_all_weights_over() -> None:
    heads = {"semantic": 4}
    coarse, fine = (build_model(ModelSpec(name=f"fcn{s}s-minivgg", deconvolution="learned"), heads).eval() for s in (32, 16))
    for parameter in coarse.score_parameters():
        nn.init.normal_(parameter)
    report = carry_over(coarse, fine)
    assert report.missing == [
        "core.heads.semantic.score.rgb.1.weight",
        "core.heads.semantic.score.rgb.1.bias",
        "core.heads.semantic.upsample.0.weight",
        "core.heads.semantic.upsample.1.weight",
    ]
    for name, value in coarse.state_dict().items():
        if name != "core.heads.semantic.upsample.0.weight":
            assert torch.equal(fine.state_dict()[name], value)
    assert fine.head("semantic").score["rgb"][1].weight.abs().max() == 0


def test_several_streams_and_heads() -> None:
    trunks = {name: build_trunk(Classifier(tiny_vgg, 224, CAFFE, "same", "pool"), 16) for name in ("rgb", "hha")}
    model = put_together(trunks, {"semantic": 5, "geometric": 3}, ModelSpec(name="fcn16s-tiny")).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter)
    images = {name: torch.randint(0, 256, (2, 3, 40, 52), dtype=torch.uint8) for name in trunks}
    with torch.no_grad():
        out = model(images)
        scores = {name: put_together({name: trunks[name]}, {"semantic": 5}, model.spec).eval() for name in trunks}
        for name, single in scores.items():
            single.head("semantic").score[name].load_state_dict(model.head("semantic").score[name].state_dict())
        alone = [single({name: images[name]})["semantic"] for name, single in scores.items()]
    assert {head: tuple(logits.shape) for head, logits in out.items()} == {
        "semantic": (2, 5, 40, 52),
        "geometric": (2, 3, 40, 52),
    }
    torch.testing.assert_close(out["semantic"], (alone[0] + alone[1]) / 2, rtol=0, atol=1e-3)


def test_streams_that_lie_differently_are_refused() -> None:
    trunks = {
        "rgb": build_trunk(Classifier(tiny_vgg, 224, CAFFE, "same", "pool"), 32),
        "hha": build_trunk(Classifier(tiny_vgg, 224, CAFFE, "paper", "pool"), 32),
    }
    with pytest.raises(GeometryError, match="lie differently on the image"):
        put_together(trunks, {"semantic": 2}, ModelSpec(name="fcn32s-tiny"))


def test_scores_start_at_zero_and_parameters_are_sorted() -> None:
    model = build_model(ModelSpec(name="fcn8s-minivgg", deconvolution="learned", skip_scales={16: 0.01}), {"semantic": 4})
    groups = (model.score_parameters(), model.upsampling_parameters(), model.trunk_parameters())
    assert all(parameter.abs().max() == 0 for parameter in groups[0])
    assert sum(len(group) for group in groups) == len(list(model.parameters()))
    assert [tuple(parameter.shape) for parameter in groups[1]] == [(4, 1, 4, 4), (4, 1, 4, 4)]  # the last stays fixed
    assert isinstance(model.geometry, Geometry)
