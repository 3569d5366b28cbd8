"""The fully convolutional network of Long, Shelhamer and Darrell (CVPR 2015), sections 3.3 and 4.

Reference implementation: shelhamer/fcn.berkeleyvision.org, the ``net.py`` of each model. Scores are read from the deepest map, at
stride 32, upsampled by deconvolution, and joined by the scores of finer maps (16, 8, 4) on the way to the image's own pixels.
Where we differ: deconvolutions are depth-wise (the reference's are dense with zeros off the diagonal); kernel and crop of
every upsampling are computed from the backbone's coordinate maps, so any backbone will do; and an image is padded as far as its
scores need it, so any size will do, from one pixel on (with the reference's padding of 100 px nothing is added).

Letters: N images, C channels, H W image, h w map, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from fullconv.errors import GeometryError, SpecError
from fullconv.geometry.graph import Geometry
from fullconv.geometry.trace import trace
from fullconv.nn.align import Decoder, Fit, Overlap
from fullconv.nn.normalise import normaliser, preprocessing_of
from fullconv.nn.trunk import Trunk
from fullconv.nn.upsample import Deconvolution
from fullconv.spec import ModelSpec, inputs_of


class FCN(nn.Module):
    """Images of any size to a score for every class at every pixel.

    Parameters
    ----------
    trunks
        A trunk for each stream; streams are joined by averaging their scores (late fusion, paper section 5.2). A stream that is
        called ``rgb+depth`` reads both inputs, one behind the other (early fusion).
    heads
        Number of classes of each output, by name.
    spec
        How the parts are put together: fixed or learned deconvolutions, factors on the skips.

    Raises
    ------
    GeometryError
        When the maps of the streams do not lie on each other, or cannot be aligned.
    """

    def __init__(self, trunks: Mapping[str, Trunk], heads: Mapping[str, int], spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.heads = dict(heads)
        self.trunks = nn.ModuleDict(trunks)
        first = next(iter(trunks.values()))
        self.inputs = tuple(dict.fromkeys(name for stream in trunks for name in inputs_of(stream)))
        self.normalise = nn.ModuleDict({name: normaliser(preprocessing_of(name, first.preprocessing)) for name in self.inputs})
        if any(trunk.places(axis) != first.places(0) for trunk in trunks.values() for axis in (0, 1)):
            raise GeometryError("the streams' maps (or their two axes) lie differently on the image; use one backbone for all")
        self.strides = first.strides
        self.decoder = Decoder(first.places(0), lambda side: first.geometry.sizes_along(0, side, first.taps))
        self.fit = Fit(self.decoder)
        self.score = nn.ModuleDict({head: self._score_layers(trunks, classes) for head, classes in heads.items()})
        self.upsample = nn.ModuleDict({head: self._deconvolutions(classes) for head, classes in heads.items()})
        starts = [step.starts for step in self.decoder.steps]
        self.crop = nn.ModuleDict({str(stride): Overlap(a, b) for stride, (a, b) in zip(self._targets, starts, strict=True)})
        self.crop_skip = nn.ModuleDict(
            {str(stride): Overlap(b, a) for stride, (a, b) in zip(self.strides[1:], starts, strict=False)}
        )

    @property
    def _targets(self) -> tuple[int, ...]:
        """Strides that each upsampling leads to, coarse to fine; 1 is the image."""
        return (*self.strides[1:], 1)

    def _score_layers(self, trunks: Mapping[str, Trunk], classes: int) -> nn.ModuleDict:
        """1x1 convolutions that start at zero, so that training starts from the trunk's knowledge alone (reference)."""
        layers = nn.ModuleDict()
        for name, trunk in trunks.items():
            layers[name] = nn.ModuleDict({str(stride): nn.Conv2d(trunk.channels[stride], classes, 1) for stride in self.strides})
        for parameter in layers.parameters():
            nn.init.zeros_(parameter)
        return layers

    def _deconvolutions(self, classes: int) -> nn.ModuleDict:
        """Bilinear upsamplings; learned ones but for the last, which the paper keeps fixed (section 4.1)."""
        learned = self.spec.deconvolution == "learned"
        steps = zip(self._targets, self.decoder.steps, strict=True)
        return nn.ModuleDict(
            {str(to): Deconvolution(classes, step.kernel, step.factor, learned and to > 1) for to, step in steps}
        )

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits float (N, K, H, W) for each head, at the images' own height and width, any size from 1x1 on.

        Parameters
        ----------
        inputs
            uint8 or float 0–255 in RGB order (N, C, H, W), depth in metres, by name; a bare tensor when there is one input.

        Raises
        ------
        SpecError
            When an input is missing.
        """
        images = self._named(inputs)
        scores = self.score_maps(images)
        return {head: self.fuse(head, scores[head], next(iter(images.values()))) for head in self.heads}

    def _named(self, inputs: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if isinstance(inputs, fx.Proxy):  # traced for its geometry, which does not depend on what the images hold
            return dict.fromkeys(self.inputs, inputs)
        named = inputs if isinstance(inputs, Mapping) else {self.inputs[0]: inputs}
        if not set(self.inputs) <= set(named):
            raise SpecError(f"the model reads {', '.join(self.inputs)}; got {', '.join(named)}")
        return named

    def score_maps(self, inputs: Tensor | Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
        """Return the scores (N, K, h, w) of each head before they are joined, coarse to fine, averaged over the streams."""
        images = self._named(inputs)
        normal = {name: self.normalise[name](images[name]) for name in self.inputs}
        features = {stream: trunk(self.fit(_joined(stream, normal))) for stream, trunk in self.trunks.items()}
        return {head: [self._score(head, level, features) for level in range(len(self.strides))] for head in self.heads}

    def _score(self, head: str, level: int, features: Mapping[str, Sequence[Tensor]]) -> Tensor:
        stride = self.strides[level]
        factor = self.spec.skip_scales.get(stride, 1.0) if level else 1.0
        layers: Any = self.score[head]
        total = None
        for name, maps in features.items():
            scaled = maps[level] if factor == 1 else maps[level] * factor
            scores = layers[name][str(stride)](scaled)
            total = scores if total is None else total + scores
        assert total is not None  # a model has at least one stream
        return total if len(features) == 1 else total * (1 / len(features))

    def fuse(self, head: str, scores: Sequence[Tensor], image: Tensor, skips: Sequence[int] | None = None) -> Tensor:
        """Return logits (N, K, H, W) from the score maps of one head.

        Parameters
        ----------
        head, scores
            The name and its maps, coarse to fine, from :meth:`score_maps`.
        image
            Any (N, C, H, W): the size to cut to.
        skips
            Strides of the skips that take part; all by default. For looking at what each one contributes.
        """
        upsample: Any = self.upsample[head]
        joined = scores[0]
        for stride, finer in zip(self.strides[1:], scores[1:], strict=True):
            raised = upsample[str(stride)](joined)
            joined = self.crop[str(stride)](raised, finer)
            if skips is None or stride in skips:
                joined = joined + self.crop_skip[str(stride)](finer, raised)
        return self.crop["1"](upsample["1"](joined), image)

    @property
    def geometry(self) -> Geometry:
        """The coordinate maps of the whole net, traced."""
        return trace(self)

    @property
    def preprocessing(self) -> dict[str, dict[str, Any]]:
        """What each input goes through, as a weights file's header states it."""
        return {name: part.preprocessing for name, part in self.normalise.items()}  # type: ignore[misc]  # Normalise

    def set_preprocessing(self, preprocessing: Mapping[str, Mapping[str, Any]]) -> None:
        """Put others in the place of the layers that inputs go through, by input.

        Raises
        ------
        WeightsError
            When one is not known, see :class:`fullconv.nn.normalise.Normalise`.
        """
        device = next(self.parameters()).device
        for name, stated in preprocessing.items():
            self.normalise[name] = normaliser(stated).to(device)

    @property
    def padding_colors(self) -> dict[str, tuple[float, ...]]:
        """The colour (0–255, RGB order) of each input that becomes zero: what to pad its images with."""
        return {name: part.mean_color for name, part in self.normalise.items()}  # type: ignore[misc]  # Normalise

    def score_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the score layers: all that the paper's "fixed" nets train."""
        return list(self.score.parameters())

    def upsampling_parameters(self) -> list[nn.Parameter]:
        """Return the learned deconvolutions' weights; none when they are fixed."""
        return list(self.upsample.parameters())

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the trunks."""
        return list(self.trunks.parameters())


def _joined(stream: str, images: Mapping[str, Tensor]) -> Tensor:
    """Return the inputs of a stream one behind the other (N, C, H, W)."""
    names = inputs_of(stream)
    return images[names[0]] if len(names) == 1 else torch.cat([images[name] for name in names], 1)
