"""Plain nets of Caffe's: every type of layer against its documented meaning, and the real nets."""

from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import L, caffemodel, evaluate, prototxt, reference

from fullconv.errors import SpecError, WeightsError
from fullconv.inference.heatmap import load_classifier
from fullconv.inference.imagenet import imagenet_classes
from fullconv.interop.caffe import PlainNet, build_net, load_net, read_caffemodel, read_prototxt, save_net
from fullconv.interop.caffe.geometry import describe_prototxt

RANDOM = np.random.default_rng(3)


def draw(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 0.5, shape).astype(np.float32)


def every_layer() -> list[L]:
    """Return a net that has every type that is built; its maps are 24×20."""
    pool = {"pool": "AVE", "kernel_size": 3, "stride": 2, "pad": 1}
    return [
        L(
            "a/1",
            "Convolution",
            ["data"],
            ["a/1"],
            {"convolution_param": {"num_output": 6, "kernel_size": 3, "pad": 1, "group": 3}},
            [draw(6, 1, 3, 3), draw(6)],
        ),
        L(
            "norm",
            "BatchNorm",
            ["a/1"],
            ["norm"],
            {"batch_norm_param": {"eps": 1e-3}},
            [draw(6), abs(draw(6)) + 1, np.float32([2.5])],
        ),
        L("scale", "Scale", ["norm"], ["scale"], {"scale_param": {"bias_term": True}}, [draw(6), draw(6)]),
        L("train", "ReLU", ["scale"], ["scale"], {"relu_param": {"negative_slope": 0.125}}),
        L("prelu", "PReLU", ["a/1"], ["prelu"], {}, [draw(6)]),
        L("split", "Split", ["prelu"], ["s1"]),
        L("sum", "Eltwise", ["scale", "s1"], ["sum"], {"eltwise_param": {"operation": "SUM", "coeff": [0.25, -2.0]}}),
        L("lrn", "LRN", ["sum"], ["lrn"], {"lrn_param": {"local_size": 3, "alpha": 0.5, "beta": 0.75}}),
        L("join", "Concat", ["lrn", "scale"], ["join"]),
        L("max", "Pooling", ["join"], ["max"], {"pooling_param": {"pool": "MAX", "kernel_size": 3, "stride": 2}}),
        L("ave", "Pooling", ["max"], ["ave"], {"pooling_param": pool}),
        L("drop", "Dropout", ["ave"], ["ave"], {"dropout_param": {"dropout_ratio": 0.5}}),
        L(
            "up",
            "Deconvolution",
            ["ave"],
            ["up"],
            {"convolution_param": {"num_output": 4, "kernel_size": 4, "stride": 2, "bias_term": False, "pad": 1}},
            [draw(12, 4, 4, 4)],
        ),
        L("crop", "Crop", ["up", "max"], ["crop"], {"crop_param": {"axis": 2, "offset": 0}}),
        L("ip", "InnerProduct", ["crop"], ["ip"], {"inner_product_param": {"num_output": 5}}, [draw(5, 4 * 12 * 10), draw(5)]),
        L("prob", "Softmax", ["ip"], ["prob"]),
    ]


def build(folder: Path, layers: list[L], shape: tuple[int, ...] = (1, 3, 24, 20), **how: bool) -> PlainNet:
    (folder / "net.prototxt").write_text(prototxt(layers, {"data": shape}))
    (folder / "net.caffemodel").write_bytes(caffemodel(layers, **how))
    return build_net(read_prototxt(folder / "net.prototxt"), read_caffemodel(folder / "net.caffemodel"))[0]


def test_every_type_computes_what_it_is_documented_to(tmp_path: Path) -> None:
    layers = every_layer()
    images = torch.from_numpy(draw(2, 3, 24, 20))
    expected = evaluate(layers, {"data": images})["prob"]
    for old in (False, True):
        net = build(tmp_path, layers, old=old)
        save_net(tmp_path / "net.safetensors", net)
        for made in (net, load_net(tmp_path / "net.safetensors")):
            with torch.no_grad():
                torch.testing.assert_close(made(images), expected)


@pytest.mark.parametrize("side", [7, 8, 10])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [(2, 2, 0), (3, 2, 1), (3, 2, 0), (3, 3, 1), (5, 1, 2), (2, 2, 1)])
def test_pools_round_up_and_count_padding_as_caffe_does(kernel: int, stride: int, pad: int, side: int, tmp_path: Path) -> None:
    said = {"kernel_size": kernel, "stride": stride, "pad": pad}
    conv = L(
        "conv",
        "Convolution",
        ["data"],
        ["conv"],
        {"convolution_param": {"num_output": 1, "kernel_size": 1}},
        [draw(1, 1, 1, 1), draw(1)],
    )
    pools = [L(kind, "Pooling", ["conv"], [kind], {"pooling_param": {"pool": kind} | said}) for kind in ("MAX", "AVE")]
    images = torch.from_numpy(draw(1, 1, side, side + 3))
    net = build(tmp_path, [conv, *pools], tuple(images.shape))
    with torch.no_grad():
        found, expected = net(images), evaluate([conv, *pools], {"data": images})
    for kind in ("MAX", "AVE"):
        torch.testing.assert_close(found[kind], expected[kind])


def test_the_references_own_text_gives_the_same_logits_and_geometry(tmp_path: Path) -> None:
    layers = reference("voc-fcn8s")
    net = build(tmp_path, layers, (1, 3, 65, 97))
    images = torch.from_numpy(draw(1, 3, 65, 97)) * 60
    with torch.no_grad():
        torch.testing.assert_close(net(images), evaluate(layers, {"data": images})["score"], atol=1e-3, rtol=0)
    found = describe_prototxt(tmp_path / "net.prototxt", (500, 500))
    sizes = {layer["name"]: layer for layer in found["layers"]}
    assert (sizes["score_fr"]["stride"], sizes["score_fr"]["receptive_field"], sizes["score_fr"]["size"]) == (32, 404, [16, 16])
    assert (sizes["pool3"]["stride"], sizes["pool3"]["receptive_field"]) == (8, 44)
    assert (found["reach"], sizes["score"]["size"]) == (245, [500, 500])


def test_what_cannot_be_computed_alike_is_refused(tmp_path: Path) -> None:
    def refused(change: L, message: str) -> None:
        layers = every_layer()
        place = next(i for i, layer in enumerate(layers) if layer.name == change.name)
        layers[place] = change
        (tmp_path / "net.prototxt").write_text(prototxt(layers, {"data": (1, 3, 24, 20)}))
        with pytest.raises(SpecError, match=message):
            build_net(read_prototxt(tmp_path / "net.prototxt"))

    refused(L("lrn", "LRN", ["sum"], ["lrn"], {"lrn_param": {"norm_region": "WITHIN_CHANNEL"}}), "normalises within channels")
    refused(L("norm", "BatchNorm", ["a/1"], ["norm"], {"batch_norm_param": {"use_global_stats": False}}), "by the batch")
    refused(L("max", "Pooling", ["join"], ["max"], {"pooling_param": {"pool": "STOCHASTIC", "kernel_size": 2}}), "at random")
    refused(L("max", "Pooling", ["join"], ["max"], {"pooling_param": {"kernel_size": 1, "stride": 2}}), "stride over its kernel")
    refused(L("sum", "Eltwise", ["scale", "data"], ["sum"]), "joins maps of different sizes")
    refused(L("crop", "Crop", ["up", "max"], ["crop"], {"crop_param": {"offset": 9}}), "a crop of .* does not fit")
    refused(L("prelu", "PReLU", ["a/1", "data"], ["prelu"]), "reads 2 maps")


REAL = {
    "lenet": ("lenet/lenet_iter_10000.caffemodel", "lenet/deploy.prototxt", {"": 10}),
    "det1": ("mtcnn/det1.caffemodel", "mtcnn/det1.prototxt", {"prob": 2, "bbox_pred": 4, "landmark_pred": 10}),
    # the two texts bear each other's names
    "det2": ("mtcnn/det2.caffemodel", "mtcnn/det3.prototxt", {"prob": 2, "bbox_pred": 4, "landmark_pred": 10}),
    "det3": ("mtcnn/det3.caffemodel", "mtcnn/det2.prototxt", {"prob": 2, "bbox_pred": 4, "landmark_pred": 10}),
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_real_nets_come_in_and_run(name: str, shared_data: Path) -> None:
    weights, text, outputs = REAL[name]
    read = read_caffemodel(shared_data / "caffe" / weights)
    net, report = build_net(read_prototxt(shared_data / "caffe" / text), read)
    assert report is not None
    assert report.dropped == (["mnist", "loss"] if name == "lenet" else ["data", "loss"])
    images = torch.from_numpy(draw(*next(iter(net.inputs.values()))))
    with torch.no_grad():
        found = net(images)
    assert {key: maps.shape[1] for key, maps in (found.items() if isinstance(found, dict) else [("", found)])} == outputs
    prob = found["prob"] if isinstance(found, dict) else found
    torch.testing.assert_close(prob.sum(1), torch.ones_like(prob[:, 0]))


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "ours", "theirs"), [("det2", "28×3×3×3", "32×3×3×3"), ("det3", "32×3×3×3", "28×3×3×3")])
def test_the_wrong_text_is_refused_with_the_layer_and_both_shapes(name: str, ours: str, theirs: str, shared_data: Path) -> None:
    folder = shared_data / "caffe" / "mtcnn"
    with pytest.raises(WeightsError, match=f"layer 'conv1' is {ours} in the weights and {theirs} in the definition"):
        build_net(read_prototxt(folder / f"{name}.prototxt"), read_caffemodel(folder / f"{name}.caffemodel"))


@pytest.mark.realdata
@pytest.mark.parametrize(("picture", "expected"), [("parrot", "macaw"), ("hot_dog", "hot dog")])
def test_squeezenet_sees_what_its_converted_weights_see(picture: str, expected: str, shared_data: Path) -> None:
    from fullconv.data.images import read_image

    folder = shared_data / "caffe" / "squeezenet"
    net, _ = build_net(read_prototxt(folder / "deploy.prototxt"), read_caffemodel(folder / "squeezenet_v1.0.caffemodel"))
    dense, normalise = load_classifier("squeezenet1_0", str(shared_data / "weights" / "squeezenet1_0.safetensors"))
    image = shared_data / "pictures" / f"{picture}.jpg"
    pixels = torch.from_numpy(np.array(read_image(image))).permute(2, 0, 1)[None].float()
    pixels = torch.nn.functional.interpolate(pixels, (227, 227), mode="bilinear", antialias=True).clamp(0, 255)
    with torch.no_grad():
        given = normalise(pixels)
        bgr = given.flip(1)  # the converted weights read RGB, Caffe's read BGR
        found = net(bgr).flatten(1).softmax(1)
        net.get_submodule("conv_final").padding = (0, 0)  # the converted net leaves out the last layer's padding
        for weight in net.parameters():  # and is stored in half precision
            weight.copy_(weight.half().float())
        unpadded = net(bgr).flatten(1).softmax(1)
        converted = dense(given).flatten(2).mean(2).softmax(1)
    assert imagenet_classes()[int(found.argmax())] == expected
    torch.testing.assert_close(unpadded, converted, atol=1e-4, rtol=0)
