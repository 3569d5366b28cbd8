"""What is no caffemodel, or no longer one, or one that means harm: one clear error, soon, in little memory."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import L, blob, caffemodel, chunk, number, varint
from damage import answers, damaged

from fullconv.errors import FullconvError, SpecError, WeightsError
from fullconv.interop.caffe import build_net, import_caffemodel, read_caffemodel, read_prototxt
from fullconv.interop.caffe.prototxt import parse_prototxt
from fullconv.interop.pytorch import as_layers
from fullconv.nn.weights import read_weights

ONES = np.ones((2, 3, 3, 3), np.float32)
SMALL = [
    L(
        "conv",
        "Convolution",
        ["data"],
        ["conv"],
        {"convolution_param": {"num_output": 2, "kernel_size": 3}},
        [ONES, ONES[:, 0, 0, 0]],
    ),
    L(
        "ip",
        "InnerProduct",
        ["conv"],
        ["ip"],
        {"inner_product_param": {"num_output": 4}},
        [ONES.reshape(1, 54)[:, :8].repeat(4, 0), np.ones(4)],
    ),
]
TEXT = """input: "data" input_shape { dim: 1 dim: 3 dim: 4 dim: 4 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param { num_output: 4 } }"""


def refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    started = time.process_time()
    with pytest.raises(WeightsError, match=message) as caught:
        read_caffemodel(path)
    assert time.process_time() - started < 2
    assert "\n" not in str(caught.value)


def layer_of(*parts: bytes) -> bytes:
    return chunk(100, chunk(1, b"conv") + b"".join(parts))


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.caffemodel"
    refused(path, b"", "is empty")
    refused(path, b'name: "net" layer { name: "conv" type: "Convolution" bottom: "data" top: "x" }', "is text")
    refused(path, b"<!DOCTYPE html><html><head><title>Not Found</title></head><body></body></html>", "is text")
    refused(
        path, b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 537979616\n", "fetch it by git lfs pull"
    )
    refused(path, b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5 form")
    refused(path, b"PK\x03\x04" + bytes(64), "zip file")
    refused(path, bytes(64), "byte 0 starts no field")
    refused(path, chunk(1, b"only a name \xff"), "holds no layer with weights")
    with pytest.raises(WeightsError, match="No such file"):
        read_caffemodel(tmp_path / "none.caffemodel")
    with pytest.raises(WeightsError, match="directory"):
        read_caffemodel(tmp_path)


def test_wherever_a_file_is_cut_it_says_so(tmp_path: Path) -> None:
    whole = caffemodel(SMALL)
    path = tmp_path / "cut.caffemodel"
    for end in range(1, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(FullconvError) as caught:
            build_net(parse_prototxt(TEXT, "text"), read_caffemodel(path))
        assert "\n" not in str(caught.value)


def test_lengths_and_depths_that_lie_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.caffemodel"
    refused(path, varint(100 << 3 | 2) + varint(1 << 62) + b"\xff" * 9, "4,611,686,018,427,387,904 bytes follow, and 9 are left")
    refused(path, b"\xa2\x06" + b"\xff" * 20, "starts a number without an end")
    shape = chunk(7, chunk(1, varint(1 << 40) + varint(1 << 20)))
    refused(
        path, layer_of(chunk(7, shape + chunk(5, bytes(8)))), r"blob 0 of layer 'conv' says 1099511627776×1048576 and holds 2 "
    )
    refused(path, layer_of(chunk(7, chunk(7, chunk(1, varint((1 << 64) - 1))) + chunk(5, bytes(4)))), "says -1 and holds 1")
    refused(path, layer_of(chunk(7, chunk(5, bytes(7)))), "7 bytes are no whole numbers of 4")
    refused(path, layer_of(number(7, 5)), "its weights are no messages")
    refused(path, caffemodel([SMALL[0], SMALL[0]]), "two layers with weights called 'conv'")
    refused(path, chunk(100, chunk(7, blob(ONES))), "has no name")
    deep = b""
    for _ in range(20_000):
        deep = chunk(8, deep) if len(deep) < 60_000 else deep
    refused(path, layer_of(chunk(8, deep * 20)), "beside its weights")
    refused(path, layer_of(*[chunk(4, b"")] * 20_000), "more than 10,000 fields")
    # numbers and gradients in turn: every one a field of its own
    turn = (varint(5 << 3 | 5) + bytes(4) + varint(6 << 3 | 5) + bytes(4)) * 20_000
    refused(path, layer_of(chunk(7, turn)), "more than 10,000 fields")


def test_changed_bytes_end_in_an_answer_or_one_line(tmp_path: Path) -> None:
    """10 000 of each kind: ``benchmarks/damaged_files.py``."""
    random = np.random.default_rng(7)
    path = tmp_path / "x.pth"
    torch.save({"conv.weight": torch.from_numpy(ONES), "conv.bias": torch.ones(2)}, path)
    archive = path.read_bytes()
    torch.save({"conv.weight": torch.from_numpy(ONES), "conv.bias": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    pickled = path.read_bytes()
    definition = parse_prototxt(TEXT, "text")

    def weights() -> None:
        build_net(definition, read_caffemodel(path))

    def text() -> None:
        build_net(read_prototxt(path))

    def tensors() -> None:
        as_layers(read_weights(path).tensors, "x.pth")

    kinds = [(caffemodel(SMALL, old=old), weights) for old in (False, True)]
    kinds += [(TEXT.encode(), text), (archive, tensors), (pickled, tensors)]

    def jobs() -> Iterator[Callable[[], None]]:
        for turn in range(400):
            content, read = kinds[turn % len(kinds)]
            path.write_bytes(damaged(content, random))
            yield read

    tracemalloc.start()
    good, said = answers(jobs())
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert good + len(said) == 400
    assert len(said) > 100


def test_texts_that_mean_harm_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.prototxt"

    def said(text: str | bytes, message: str) -> None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SpecError, match=message) as caught:
            build_net(read_prototxt(path))
        assert "\n" not in str(caught.value)

    said("", "is empty")
    said(b"\xff\xfe\x00", "is no text")
    said("layer {" * 5000, "is no net that is understood")
    said(TEXT.replace("kernel_size", "kernel"), '2:.* has no field named "kernel"')
    said(TEXT.replace("num_output: 2 kernel_size: 3", "num_output: 4000000000 kernel_size: 3"), "'conv' .* makes 4000000000 maps")
    said(TEXT.replace("kernel_size: 3", "kernel_size: 4000000000"), "'conv' .* has a kernel of")
    said(TEXT.replace("kernel_size: 3", "kernel_size: 9"), "'conv' .*([Kk]ernel size|[Oo]utput size)")
    said(TEXT.replace("dim: 4 dim: 4", "dim: 4 dim: 99999999"), "the input 'data' is")
    said(TEXT.replace("dim: 1 dim: 3 dim: 4 dim: 4", "dim: 1 dim: 3"), "accepted are images")
    said(TEXT.replace('bottom: "conv"', 'bottom: "cnov"'), "'ip' .* reads cnov, which no layer before it gives")
    said(
        TEXT.replace('"InnerProduct"', '"Embed"'), r"'ip' \(Embed\) is of a type that is not built here; accepted are Convolution"
    )
    said(TEXT.split("\n", 1)[1], "says nothing of its input")
    said(TEXT.split("\n", 1)[0], "has no layers")
    with pytest.raises(SpecError, match="No such file"):
        read_prototxt(tmp_path / "none.prototxt")


def test_another_net_is_none_of_the_published(tmp_path: Path) -> None:
    path = tmp_path / "x.caffemodel"
    path.write_bytes(caffemodel(SMALL))
    with pytest.raises(WeightsError, match=r"is none of the published models; nearest: .*by --prototxt"):
        import_caffemodel(path)
    text = tmp_path / "x.prototxt"
    text.write_text(TEXT.replace('name: "ip"', 'name: "dense"'))
    with pytest.raises(WeightsError, match=r"nothing for dense; no place for ip"):
        build_net(read_prototxt(text), read_caffemodel(path))
