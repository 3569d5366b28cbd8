"""Caffe files written for the tests, and an evaluation of what they mean, that know nothing of our code.

Written from the wire format and from Caffe's documentation of its layers. A net is a list of :class:`L`.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

V1_KINDS = {
    "Convolution": 4, "Deconvolution": 39, "InnerProduct": 14, "Pooling": 17, "ReLU": 18, "LRN": 15, "Concat": 3, "Dropout": 6,
    "Eltwise": 25, "Softmax": 20, "SoftmaxWithLoss": 21, "Data": 5,
}  # fmt: skip
FIELDS = {  # (number in V2, number in V1, numbers of its settings)
    "convolution_param": (106, 10, {"num_output": 1, "bias_term": 2, "pad": 3, "kernel_size": 4, "group": 5, "stride": 6}),
    "inner_product_param": (117, 17, {"num_output": 1}),
}


@dataclass
class L:
    """A layer: name, type, what it reads and gives, settings by message, blobs."""

    name: str
    kind: str
    bottoms: list[str]
    tops: list[str]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    blobs: list[np.ndarray] = field(default_factory=list)


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def chunk(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def blob(array: np.ndarray, *, legacy: bool = False, packed: bool = True, double: bool = False) -> bytes:
    """Encode an array in any of the ways that there are."""
    if legacy:
        shape = b"".join(number(i + 1, side) for i, side in enumerate((1,) * (4 - array.ndim) + array.shape))
    else:
        shape = chunk(7, chunk(1, b"".join(map(varint, array.shape))))
    kind, at, wire, letter = ("<f8", 8, 1, "<d") if double else ("<f4", 5, 5, "<f")
    if packed:
        return shape + chunk(at, array.astype(kind).tobytes())
    return b"".join(varint(at << 3 | wire) + struct.pack(letter, x) for x in array.ravel().tolist()) + shape


def caffemodel(layers: list[L], *, old: bool = False, **how: bool) -> bytes:
    """Encode a net as ``layer`` (V2) or ``layers`` (V1); ``how``: see :func:`blob`."""
    made = chunk(1, b"a net")
    for layer in layers:
        if old:
            kind = number(5, V1_KINDS[layer.kind]) if layer.kind in V1_KINDS else b""
            head, (bottom, top, blobs, whole) = chunk(4, layer.name.encode()) + kind, (2, 3, 6, 2)
        else:
            head, (bottom, top, blobs, whole) = chunk(1, layer.name.encode()) + chunk(2, layer.kind.encode()), (3, 4, 7, 100)
        head += b"".join(chunk(bottom, name.encode()) for name in layer.bottoms)
        head += b"".join(chunk(top, name.encode()) for name in layer.tops)
        head += b"".join(chunk(blobs, blob(array, legacy=old, **how)) for array in layer.blobs)
        for name, values in layer.settings.items():
            if name in FIELDS:
                numbers = FIELDS[name][2]
                content = b"".join(number(numbers[key], int(value)) for key, value in values.items() if key in numbers)
                head += chunk(FIELDS[name][old], content)
        made += chunk(whole, head)
    return made


def prototxt(layers: list[L], inputs: dict[str, tuple[int, ...]]) -> str:
    """Write a net as text."""
    lines = ['name: "a net"']
    for name, shape in inputs.items():
        lines.append(f'input: "{name}" input_shape {{ {" ".join(f"dim: {side}" for side in shape)} }}')
    for layer in layers:
        names = [f'bottom: "{b}"' for b in layer.bottoms] + [f'top: "{t}"' for t in layer.tops]
        said = [f"{key} {{ {' '.join(_settings(values))} }}" for key, values in layer.settings.items()]
        lines.append(f'layer {{ name: "{layer.name}" type: "{layer.kind}" {" ".join(names + said)} }}')
    return "\n".join(lines)


def _settings(values: dict[str, Any]) -> list[str]:
    return [
        f"{key}: {str(one).lower() if isinstance(one, bool) else one}"
        for key, value in values.items()
        for one in (value if isinstance(value, list) else [value])
    ]


def evaluate(layers: list[L], maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return every map of a net, computed layer by layer as Caffe's documentation says."""
    maps = dict(maps)
    for layer in layers:
        if layer.kind in ("Data", "SoftmaxWithLoss"):
            continue
        said = next(iter(layer.settings.values()), {})
        weights = [torch.from_numpy(array) for array in layer.blobs]
        maps[layer.tops[0]] = _run(layer.kind, said, [maps[name] for name in layer.bottoms], weights)
    return maps


def _run(  # noqa: C901  # one case a type of layer
    kind: str, said: dict[str, Any], given: list[Tensor], weights: list[Tensor]
) -> Tensor:
    x = given[0]
    window = (said.get("stride", 1), said.get("pad", 0))
    match kind:
        case "Convolution":
            return F.conv2d(x, weights[0], weights[1], *window, groups=said.get("group", 1))
        case "Deconvolution":
            return F.conv_transpose2d(x, weights[0], *(weights[1:] or [None]), *window, groups=said.get("group", 1))
        case "InnerProduct":
            return (x.flatten(1) @ weights[0].reshape(len(weights[1]), -1).T + weights[1])[:, :, None, None]
        case "Pooling":
            return _pool(x, said)
        case "ReLU":
            return torch.where(x > 0, x, said.get("negative_slope", 0.0) * x)
        case "PReLU":
            return torch.where(x > 0, x, weights[0][:, None, None] * x)
        case "LRN":
            reach = said["local_size"] // 2
            padded = F.pad(x * x, (0, 0, 0, 0, reach, reach))
            total = sum(padded[:, i : i + x.shape[1]] for i in range(said["local_size"]))
            return x / (1 + said["alpha"] / said["local_size"] * total) ** said["beta"]
        case "Concat":
            return torch.cat(given, 1)
        case "Eltwise":
            return sum(one * factor for one, factor in zip(given, said.get("coeff", [1] * len(given)), strict=True))  # type: ignore[return-value]
        case "Crop":
            at, like = said["offset"], given[1]
            return x[:, :, at : at + like.shape[2], at : at + like.shape[3]]
        case "Scale":
            return x * weights[0][:, None, None] + (weights[1][:, None, None] if len(weights) > 1 else 0)
        case "BatchNorm":
            mean, variance = (array[:, None, None] / weights[2] for array in weights[:2])
            return (x - mean) / (variance + said.get("eps", 1e-5)) ** 0.5
        case "Softmax":
            return x.exp() / x.exp().sum(1, keepdim=True)
        case "Dropout" | "Split":
            return x
    raise AssertionError(kind)


def _pool(x: Tensor, said: dict[str, Any]) -> Tensor:
    """Pool as Caffe does: sizes round up, the last window starts inside the image or its padding in front."""
    kernel, stride, pad = said["kernel_size"], said.get("stride", 1), said.get("pad", 0)
    mean = said.get("pool") == "AVE"
    for axis in (2, 3):
        side = x.shape[axis]
        count = -(-(side + 2 * pad - kernel) // stride) + 1
        if pad and (count - 1) * stride >= side + pad:
            count -= 1
        rows = []
        for i in range(count):
            start, end = i * stride - pad, min(i * stride - pad + kernel, side + pad)
            part = x.narrow(axis, max(start, 0), min(end, side) - max(start, 0))
            rows.append(part.sum(axis) / (end - start) if mean else part.amax(axis))
        x = torch.stack(rows, axis)
    return x


CROPS = {"32": (19,), "16": (5, 27), "8": (5, 9, 31)}
CLASSES = {"voc": {"": 21}, "nyud": {"": 40}, "siftflow": {"_sem": 33, "_geo": 3}, "pascalcontext": {"": 60}}


def reference(name: str, divide: int = 16, seed: int = 0) -> list[L]:
    """Return a net of the reference by its folder's name, as its ``net.py`` lays it out, with channels ÷ ``divide``."""
    return _Reference(name, divide, np.random.default_rng(seed)).layers


class _Reference:
    def __init__(self, name: str, divide: int, random: np.random.Generator) -> None:
        self.layers: list[L] = []
        self.channels: dict[str, int] = {}
        self.random, self.divide = random, divide
        data, kind = name.split("-", 1)
        heads = CLASSES[data]
        if "alexnet" in kind:
            return self._alexnet()
        stride = kind.split("fcn")[1].split("s")[0]
        streams = {"color-hha": ("color", "hha")}.get(kind.split("fcn32s-")[-1], ("",))
        self.channels |= {"data": 4 if kind.endswith("color-d") else 3, "color": 3, "hha": 3}
        if kind.endswith("color-d"):
            self.channels["depth"] = 1
            self._add("data", "Concat", ["color", "depth"])
            self.channels["data"] = 4
        for stream in streams:
            first = "conv1_1_bgrd" if kind.endswith("color-d") else "conv1_1"
            self._vgg(stream or "data", stream, first)
        for ending, classes in heads.items():
            self._head(stride, ending, classes, streams, "atonce" in kind)
        return None

    def _add(self, name: str, kind: str, bottoms: list[str], said: dict[str, Any] | None = None, blobs: Any = ()) -> str:
        param = {
            "Deconvolution": "convolution_param", "LRN": "lrn_param", "ReLU": "relu_param"
        }.get(kind, f"{kind.lower()}_param")  # fmt: skip
        self.layers.append(L(name, kind, bottoms, [name], {param: said} if said else {}, list(blobs)))
        return name

    def _conv(self, name: str, bottom: str, out: int, kernel: int, pad: int = 0, stride: int = 1, group: int = 1) -> str:
        width = self.channels[bottom] // group
        # logits of a few units, as trained nets have them
        spread = (2 / (width * kernel * kernel)) ** 0.5 * (0.05 if name.startswith("score") else 1)
        blobs = [self.random.normal(0, spread, (out, width, kernel, kernel)), self.random.normal(0, 0.1, out)]
        self.channels[name] = out
        said = {"num_output": out, "pad": pad, "kernel_size": kernel, "group": group, "stride": stride}
        return self._add(name, "Convolution", [bottom], said, [array.astype(np.float32) for array in blobs])

    def _relu(self, bottom: str) -> None:
        self.layers.append(L(f"relu_{bottom}", "ReLU", [bottom], [bottom]))

    def _pool(self, name: str, bottom: str, kernel: int) -> str:
        self.channels[name] = self.channels[bottom]
        return self._add(name, "Pooling", [bottom], {"pool": "MAX", "kernel_size": kernel, "stride": 2})

    def _vgg(self, data: str, suffix: str, first: str) -> None:
        maps = data
        for block, (width, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
            for i in range(1, depth + 1):
                name = first if (block, i) == (1, 1) else f"conv{block}_{i}"
                maps = self._conv(name + suffix, maps, width // self.divide, 3, 100 if (block, i) == (1, 1) else 1)
                self._relu(maps)
            maps = self._pool(f"pool{block}{suffix}", maps, 2)
        self._dense(maps, 7, suffix)

    def _dense(self, maps: str, kernel: int, suffix: str) -> str:
        for name, side in (("fc6", kernel), ("fc7", 1)):
            maps = self._conv(name + suffix, maps, 4096 // self.divide, side)
            self._relu(maps)
            self.layers.append(L(f"drop_{maps}", "Dropout", [maps], [maps], {"dropout_param": {"dropout_ratio": 0.5}}))
        return maps

    def _up(self, name: str, bottom: str, kernel: int, stride: int) -> str:
        classes = self.channels[bottom]
        place = (np.arange(kernel) - (kernel - 1) / 2) / stride
        dense = np.zeros((classes, classes, kernel, kernel), np.float32)
        dense[range(classes), range(classes)] = np.outer(1 - abs(place), 1 - abs(place))
        self.channels[name] = classes
        said = {"num_output": classes, "bias_term": False, "kernel_size": kernel, "stride": stride}
        return self._add(name, "Deconvolution", [bottom], said, [dense])

    def _head(self, stride: str, ending: str, classes: int, streams: tuple[str, ...], scaled: bool) -> None:
        crops = CROPS[stride]
        scores = [self._conv(f"score_fr{ending}{stream}", f"fc7{stream}", classes, 1) for stream in streams]
        maps = scores[0]
        if len(scores) > 1:
            self.channels["score_fused"] = classes
            maps = self._add("score_fused", "Eltwise", scores, {"operation": "SUM", "coeff": [0.5, 0.5]})
        ups = {"32": ["upscore"], "16": ["upscore2", "upscore16"], "8": ["upscore2", "upscore_pool4", "upscore8"]}[stride]
        for up, level, crop in zip(ups, (4, 3), crops[:-1], strict=False):
            maps = self._up(up + ending, maps, 4, 2)
            source = f"pool{level}"
            if scaled:
                factor = np.full(self.channels[source], {4: 0.01, 3: 0.0001}[level], np.float32)
                self.channels[f"scale_{source}"] = self.channels[source]
                source = self._add(f"scale_{source}", "Scale", [source], None, [factor])
            skip = self._conv(f"score_pool{level}{ending}", source, classes, 1)
            cut = self._add(f"{skip}c", "Crop", [skip, maps], {"axis": 2, "offset": crop})
            maps = self._add(f"fuse_pool{level}{ending}", "Eltwise", [maps, cut], {"operation": "SUM"})
            self.channels[maps] = classes
        last = 2 ** (6 - len(crops))
        maps = self._up(ups[-1] + ending, maps, 2 * last, last)
        like = "data" if "" in streams else "color"
        self._add(f"score{ending}", "Crop", [maps, like], {"axis": 2, "offset": crops[-1]})

    def _alexnet(self) -> None:
        self.channels["data"] = 3
        d = self.divide
        norm = {"local_size": 5, "alpha": 1e-4, "beta": 0.75}
        maps = "data"
        plan = ((96, 11, 100, 4, 1), (256, 5, 2, 1, 2), (384, 3, 1, 1, 1), (384, 3, 1, 1, 2), (256, 3, 1, 1, 2))
        for i, (out, kernel, pad, stride, group) in enumerate(plan, 1):
            maps = self._conv(f"conv{i}", maps, out // d, kernel, pad, stride, group)
            self._relu(maps)
            if i in (1, 2, 5):
                maps = self._pool(f"pool{i}", maps, 3)
            if i in (1, 2):
                self.channels[f"norm{i}"] = self.channels[maps]
                maps = self._add(f"norm{i}", "LRN", [maps], norm)
        maps = self._conv("score_fr", self._dense(maps, 6, ""), 21, 1)
        maps = self._up("upscore", maps, 63, 32)
        self._add("score", "Crop", [maps, "data"], {"axis": 2, "offset": 18})
