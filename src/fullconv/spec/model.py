"""What a network is."""

import re
from typing import Literal

from pydantic import Field

from fullconv.spec.base import Spec

STRIDES = (32, 16, 8, 4)


class ModelSpec(Spec):
    """A network: ``fcn<stride>s-<backbone>`` and how it is put together.

    Parameters
    ----------
    name
        Such as ``fcn8s-squeezenet1_1`` or ``fcn32s-caffe-vgg16``.
    weights
        Backbone weights: a ``.safetensors`` path, or a name that is looked for in ``$FULLCONV_WEIGHTS`` and then at
        torchvision; ``imagenet`` stands for the backbone's own name; ``None`` starts from random weights.
    partial_weights
        Accept weights that cover the backbone only in part (without it a half match is an error).
    padding
        ``same`` keeps borders (default); ``paper`` pads the first convolution by 100 px as the reference does (the
        default of the ``caffe-`` backbones).
    deconvolution
        ``fixed``: all upsampling stays bilinear (reference); ``learned``: all but the last are trained (paper 3.3).
    skip_scales
        Factor on a skip's features before its score layer, by stride; ``{16: 0.01, 8: 0.0001}`` is the paper's "at
        once".
    hidden_layers
        Keep the classifier's hidden dense layers (fc6, fc7) as convolutions; ``False`` scores the features directly.
    dropout
        Probability in every dropout of the backbone, in [0, 1); ``None`` keeps the backbone's own.
    """

    name: str = Field(pattern=r"^fcn(32|16|8|4)s-[a-z0-9_\-]+$")
    weights: str | None = None
    partial_weights: bool = False
    padding: Literal["same", "paper"] | None = None
    deconvolution: Literal["fixed", "learned"] = "fixed"
    skip_scales: dict[int, float] = Field(default_factory=dict)
    hidden_layers: bool = True
    dropout: float | None = Field(default=None, ge=0, lt=1)

    @property
    def stride(self) -> int:
        """Stride of the finest scores that are used: 32, 16, 8 or 4."""
        return int(re.match(r"fcn(\d+)s-", self.name).group(1))  # type: ignore[union-attr]  # the pattern above

    @property
    def backbone(self) -> str:
        """Name of the backbone, such as ``squeezenet1_1``."""
        return self.name.split("-", 1)[1]
