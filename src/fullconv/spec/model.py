"""What a network is."""

import re
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from fullconv.errors import SpecError
from fullconv.spec.base import Spec

STRIDES = (32, 16, 8, 4)
INPUT_CHANNELS = {"rgb": 3, "hha": 3, "depth": 1}
"""What a network can be given, and the channels of each: colour, depth encoded as HHA, depth in metres."""
COLORS = 3
"""Channels that the first layer of a classifier has weights for."""
OTHERS = r"unet|unet\+\+|unetplusplus|deeplab\w*|pspnet|pan|fpn|linknet|manet|upernet|segformer|lraspp|mask2former"
"""Architectures of other libraries that may stand before the name of a backbone."""
NAMED = "a model is called fcn32s-, fcn16s-, fcn8s- or fcn4s- and a backbone"


class ModelSpec(Spec):
    """A network: ``fcn<stride>s-<backbone>`` and how it is put together.

    Parameters
    ----------
    name
        Name of the model: ``fcn32s-``, ``fcn16s-``, ``fcn8s-`` or ``fcn4s-`` and a backbone, such as ``fcn8s-squeezenet1_1``,
        ``fcn32s-caffe-vgg16``, ``fcn8s-timm/resnet18d`` or, with a net of one's own, ``fcn8s-mynets:lenet`` (module:function).
    streams
        The inputs that the scores are read from, a trunk each: of ``rgb``, ``hha`` and ``depth``. Several streams are fused late:
        their logits are averaged. Inputs joined by ``+`` in one stream are fused early: ``rgb+depth`` is one trunk whose first
        layer sees four channels (paper 5.2).
    weights
        Backbone weights: a ``.safetensors`` path, or a name that is looked for in ``$FULLCONV_WEIGHTS`` and then at
        torchvision; ``imagenet`` stands for the backbone's own name; ``None`` starts from random weights. Or a trained model of
        this backbone, ``other/model.safetensors``, at whatever stride and of whatever classes: the trunk starts from it, and so
        do the score layers of classes of the same name. Or one for every stream, such as ``{rgb: color/model.safetensors, hha:
        depth/model.safetensors}``.
    partial_weights
        Accept weights that cover the backbone only in part, at least half of its tensors (without it a half match is an error).
    padding
        ``same`` keeps borders (default); ``paper`` pads the first convolution by 100 px as the reference does (the
        default of the ``caffe-`` backbones).
    centre
        Where outputs lie on the image in backbones that pad unevenly (TensorFlow's: EfficientNet-Lite, timm's ``tf_`` nets):
        ``cell``, in the middle of the stride × stride pixels that each stands for, where trained weights read (docs/geometry.md);
        ``window``, in the middle of all that it sees, as in models of fullconv 0.1.
    deconvolution
        ``fixed``: all upsampling stays bilinear (reference); ``learned``: all but the last are trained (paper 3.3).
    skip_scales
        Factor on a skip's features before its score layer, by stride; ``{16: 0.01, 8: 0.0001}`` is the paper's "at
        once".
    hidden_layers
        Keep the classifier's hidden dense layers (fc6, fc7) as convolutions; ``False`` scores the features directly.
    channels
        Number of channels of the input ``rgb``. A recipe takes it from ``data.image.bands``, so leave it out.
    dropout
        Probability in every dropout of the backbone, in [0, 1); ``None`` keeps the backbone's own.
    """

    name: str = Field(pattern=r"^fcn(32|16|8|4)s-[A-Za-z0-9_.:/\-]+$")
    streams: tuple[str, ...] = Field(default=("rgb",), min_length=1)
    weights: str | dict[str, str] | None = None
    partial_weights: bool = False
    padding: Literal["same", "paper"] | None = None
    centre: Literal["window", "cell"] = "cell"
    deconvolution: Literal["fixed", "learned"] = "fixed"
    skip_scales: dict[int, float] = Field(default_factory=dict)
    hidden_layers: bool = True
    channels: int = Field(default=COLORS, ge=2)
    dropout: float | None = Field(default=None, ge=0, lt=1)

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the spec of a model that a name says all of.

        Raises
        ------
        SpecError
            When the name is not of the form.

        Examples
        --------
        >>> ModelSpec.named("fcn8s-resnet50").stride
        8
        """
        try:
            return cls(name=name)
        except ValidationError as error:
            raise SpecError(
                f"no model is called {name!r}; {NAMED}, such as fcn8s-vgg16; did you mean {nearest_model(name)}?"
            ) from error

    @property
    def stride(self) -> int:
        """Stride of the finest scores that are used: 32, 16, 8 or 4."""
        return int(re.match(r"fcn(\d+)s-", self.name).group(1))  # type: ignore[union-attr]  # the pattern above

    @property
    def backbone(self) -> str:
        """Name of the backbone, such as ``squeezenet1_1``."""
        return self.name.split("-", 1)[1]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs of all streams, each once."""
        return tuple(dict.fromkeys(name for stream in self.streams for name in inputs_of(stream)))

    def channels_of(self, name: str) -> int:
        """Return the channels of an input."""
        return self.channels if name == "rgb" else INPUT_CHANNELS[name]

    @model_validator(mode="after")
    def _streams_are_known(self) -> Self:
        for stream in self.streams:
            names = inputs_of(stream)
            known = all(name in INPUT_CHANNELS for name in names)
            if not known or len(set(names)) < len(names) or INPUT_CHANNELS[names[0]] != COLORS:
                raise ValueError(
                    f"no stream can be {stream!r}; accepted are rgb, hha, and either of them with more inputs joined to it, such "
                    "as rgb+depth"
                )
        if len(set(self.streams)) < len(self.streams):
            raise ValueError(f"streams {list(self.streams)} name one twice; leave it out")
        if isinstance(self.weights, dict) and set(self.weights) != set(self.streams):
            raise ValueError(
                f"weights are given for {sorted(self.weights)}, but the streams are {sorted(self.streams)}: one each"
            )
        return self


def nearest_model(name: str) -> str:
    """Return the model that a name without a stride, with a mistyped one or of another architecture may stand for.

    Examples
    --------
    >>> nearest_model("resnet50"), nearest_model("fcn_resnet50"), nearest_model("FCN-16-vgg16"), nearest_model("unet")
    ('fcn8s-resnet50', 'fcn8s-resnet50', 'fcn16s-vgg16', 'fcn8s-resnet50')
    """
    stride = re.match(r"fcn[-_]?(32|16|8|4)", str(name).lower())
    backbone = re.sub(rf"^(?:fcn[-_]?(?:32|16|8|4)?s?|{OTHERS})(?:[-_]|$)", "", str(name).lower())
    return f"fcn{stride.group(1) if stride else 8}s-{backbone or 'resnet50'}"


def inputs_of(stream: str) -> tuple[str, ...]:
    """Return the inputs that a stream reads.

    Examples
    --------
    >>> inputs_of("rgb+depth")
    ('rgb', 'depth')
    """
    return tuple(stream.split("+"))
