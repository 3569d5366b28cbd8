"""The authors' published models: which of our nets each is, and what Caffe's layers are called in it.

Source: the ``net.py`` of each folder of shelhamer/fcn.berkeleyvision.org, and the data layers beside them for the means; the
definitions of the Caffe model zoo for the classifiers. Names and numbers only.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from fullconv.data.sets.nyud_layouts import NYUDV2
from fullconv.data.sets.pascal_context import CONTEXT
from fullconv.data.sets.siftflow import HEADS
from fullconv.interop.caffe.older_names import name_in_file
from fullconv.labels import VOC, LabelSet
from fullconv.nn.normalise import CAFFE
from fullconv.spec import ModelSpec, inputs_of

VGG16 = (
    *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1", "conv4_2", "conv4_3"),
    *("conv5_1", "conv5_2", "conv5_3", "fc6", "fc7"),
)
ALEXNET = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
UPSCORES = {32: ("upscore",), 16: ("upscore2", "upscore16"), 8: ("upscore2", "upscore_pool4", "upscore8")}
SCORES = ("score_fr", "score_pool4", "score_pool3")
SCALES = {16: "scale_pool4", 8: "scale_pool3"}


@dataclass(frozen=True)
class Published:
    """An FCN that the authors published.

    Parameters
    ----------
    model
        Our name of the net.
    labels
        The classes of each head.
    mean
        Of its colour images, blue first; ``None`` for nets that see none.
    streams
        As :class:`fullconv.spec.ModelSpec` has them, and what the layers of each have behind their names.
    heads
        What the score layers of each head have behind their names.
    renamed
        Layers that are called otherwise, by the usual name.
    scaled
        Whether factors stand on the skips ("at once").
    trunk
        Layers with weights in front of the scores, which in our net have the same names.
    """

    model: str
    labels: Mapping[str, LabelSet]
    mean: tuple[float, float, float] | None
    streams: Mapping[str, str] = field(default_factory=lambda: {"rgb": ""})
    heads: Mapping[str, str] = field(default_factory=lambda: {"semantic": ""})
    renamed: Mapping[str, str] = field(default_factory=dict)
    scaled: bool = False
    trunk: tuple[str, ...] = VGG16

    @property
    def spec(self) -> ModelSpec:
        """Our net, without factors on its skips."""
        return ModelSpec(name=self.model, streams=tuple(self.streams))

    @property
    def scales(self) -> dict[int, str]:
        """Names of the layers that scale skips, by stride."""
        return {stride: name for stride, name in SCALES.items() if self.scaled and stride >= self.spec.stride}

    def places_in(self, own: Container[str]) -> dict[str, str]:
        """Return the name of every layer with weights in a file that has the layers ``own``, by the path of our module."""
        found = {}
        upscores = UPSCORES[self.spec.stride]
        for stream, suffix in self.streams.items():
            for name in self.trunk:
                found[f"core.trunks.{stream}.graph.{name}"] = self.renamed.get(name, name) + suffix
            for head, ending in self.heads.items():
                for level in range(len(upscores)):
                    found[f"core.heads.{head}.score.{stream}.{level}"] = name_in_file(SCORES[level], ending + suffix, own)
        for head, ending in self.heads.items():
            for step, name in enumerate(upscores):
                found[f"core.heads.{head}.upsample.{step}"] = name_in_file(name, ending, own)
        return found

    def classes_in(self, own: Container[str]) -> dict[str, int]:
        """Return the number of classes that each score layer gives, by its name in a file that has the layers ``own``."""
        places = self.places_in(own).items()
        return {name: len(self.labels[path.split(".")[2]]) for path, name in places if path.startswith("core.heads.")}

    def preprocessing(self) -> dict[str, dict[str, Any]]:
        """Return the colour part of the preprocessing, by input; other inputs have the net's own."""
        known = {name for stream in self.streams for name in inputs_of(stream)}
        return {"rgb": CAFFE | {"mean": list(self.mean)}} if self.mean and "rgb" in known else {}


@dataclass(frozen=True)
class PublishedClassifier:
    """A classifier of ImageNet, or its fully convolutional cast.

    Parameters
    ----------
    backbone
        Our name of the net.
    places
        Caffe's name of every layer with weights, by the path of our module, in order; the last one gives the classes, and a
        cast may lack it.
    mean
        Of its images, blue first.
    dropped
        Beginnings of the names of layers that only training needs.
    norm_reads
        What the layer ``norm1`` reads, where that alone tells a net from another.
    """

    backbone: str
    places: Mapping[str, str]
    mean: tuple[float, float, float]
    dropped: tuple[str, ...] = ()
    norm_reads: str | None = None


def _googlenet() -> dict[str, str]:
    parts = {
        "single.0": "1x1", "three.0": "3x3_reduce", "three.2": "3x3", "five.0": "5x5_reduce", "five.2": "5x5",
        "pool.1": "pool_proj",
    }  # fmt: skip
    blocks = [f"inception_{block}" for block in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]
    return (
        {"conv1": "conv1/7x7_s2", "reduce2": "conv2/3x3_reduce", "conv2": "conv2/3x3"}
        | {f"{block}.{ours}": f"{block}/{theirs}" for block in blocks for ours, theirs in parts.items()}
        | {"loss3": "loss3/classifier"}
    )


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_VOC: dict[str, LabelSet] = {"semantic": VOC}
_NYUD: dict[str, LabelSet] = {"semantic": NYUDV2}
_CONTEXT: dict[str, LabelSet] = {"semantic": CONTEXT}
_SIFTFLOW = {head: truth.labels for head, truth in HEADS.items()}
_BGR = (104.00699, 116.66877, 122.67892)
_NYUD_BGR = (116.190, 97.203, 92.318)
_CONTEXT_BGR = (104.007, 116.669, 122.679)
_SIFTFLOW_BGR = (114.578, 115.294, 108.353)
_TWO_HEADS = {"semantic": "_sem", "geometric": "_geo"}

PUBLISHED: dict[str, Published] = {
    **{f"voc-fcn{stride}s": Published(f"fcn{stride}s-caffe-vgg16", _VOC, _BGR) for stride in UPSCORES},
    "voc-fcn8s-atonce": Published("fcn8s-caffe-vgg16", _VOC, _BGR, scaled=True),
    "voc-fcn-alexnet": Published("fcn32s-caffe-alexnet", _VOC, _BGR, trunk=ALEXNET),
    "nyud-fcn32s-color": Published("fcn32s-caffe-vgg16", _NYUD, _NYUD_BGR),
    "nyud-fcn32s-color-d": Published(
        "fcn32s-caffe-vgg16", _NYUD, _NYUD_BGR, streams={"rgb+depth": ""}, renamed={"conv1_1": "conv1_1_bgrd"}
    ),
    "nyud-fcn32s-hha": Published("fcn32s-caffe-vgg16", _NYUD, None, streams={"hha": ""}),
    "nyud-fcn32s-color-hha": Published("fcn32s-caffe-vgg16", _NYUD, _NYUD_BGR, streams={"rgb": "color", "hha": "hha"}),
    **{
        f"siftflow-fcn{stride}s": Published(f"fcn{stride}s-caffe-vgg16", _SIFTFLOW, _SIFTFLOW_BGR, heads=_TWO_HEADS)
        for stride in UPSCORES
    },
    **{f"pascalcontext-fcn{stride}s": Published(f"fcn{stride}s-caffe-vgg16", _CONTEXT, _CONTEXT_BGR) for stride in UPSCORES},
}
"""By the name of the reference's folder."""

CLASSIFIERS: dict[str, PublishedClassifier] = {
    "ilsvrc-vgg16": PublishedClassifier("caffe-vgg16", _same(*VGG16, "fc8"), (103.939, 116.779, 123.68)),
    "caffenet": PublishedClassifier("caffe-alexnet", _same(*ALEXNET, "fc8"), _BGR, norm_reads="pool1"),
    "alexnet": PublishedClassifier("caffe-bvlc_alexnet", _same(*ALEXNET, "fc8"), _BGR, norm_reads="conv1"),
    "googlenet": PublishedClassifier("caffe-googlenet", _googlenet(), (104.0, 117.0, 123.0), dropped=("loss1/", "loss2/")),
}
"""Classifiers by the name that ``--model`` takes."""
