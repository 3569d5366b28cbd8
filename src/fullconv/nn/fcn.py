"""The fully convolutional network of Long, Shelhamer and Darrell (CVPR 2015), sections 3.3 and 4.

Reference implementation: shelhamer/fcn.berkeleyvision.org, the ``net.py`` of each model. Logits are read from the deepest map, at
stride 32, upsampled by deconvolution, and joined by the logits of finer maps (16, 8, 4) on the way to the image's own pixels.
Where we differ: deconvolutions are depth-wise (the reference's are dense with zeros off the diagonal); kernel and crop of
every upsampling are computed from the backbone's coordinate maps, so any backbone will do; and an image is padded as far as its
logits need it, so any size will do, from one pixel on (with the reference's padding of 100 px nothing is added).

The net is four parts behind each other, and each part traces, exports and compiles by itself and together with the others, for
every batch size, height and width:

    normalise   channel order, mean and standard deviation of each input
    fit         zeros around the image, as far as its logits need them
    core        trunks and heads: from padded images to logits that begin before the image and end behind it
    crop        the image's own pixels

Letters: N images, C channels, H W image, h w map, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from fullconv.errors import GeometryError, SpecError, WeightsError
from fullconv.geometry.graph import Geometry
from fullconv.geometry.trace import trace
from fullconv.nn.align import Alignment, align
from fullconv.nn.fit import Fit, Overlap
from fullconv.nn.head import Head
from fullconv.nn.hub_methods import HubMethods
from fullconv.nn.inputs import check_inputs
from fullconv.nn.normalise import Normalise, NormaliseDepth, normaliser, preprocessing_of
from fullconv.nn.trunk import Trunk
from fullconv.nn.upsample import Deconvolution
from fullconv.spec import INPUT_CHANNELS, ModelSpec, inputs_of

Stands = Mapping[str, Callable[[Tensor], list[Tensor]]]
"""By stream: padded, normalised images (N, C, H, W) to maps, as its trunk would give them."""


class Core(nn.Module):
    """The learned part of an FCN: padded, normalised images to logits.

    Parameters
    ----------
    trunks
        A trunk for each stream; a stream that is called ``rgb+depth`` reads both inputs, one behind the other (early fusion).
    heads
        The outputs by name; each reads the maps of all streams.
    """

    def __init__(self, trunks: Mapping[str, Trunk], heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.trunks = nn.ModuleDict(trunks)
        self.heads = nn.ModuleDict(heads)

    def forward(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits float (N, K, h, w) of each head, for padded images (N, C, H, W) by input."""
        features = self.features(images)
        return {name: head(features) for name, head in self.heads.items()}

    def features(self, images: Mapping[str, Tensor], instead: Stands | None = None) -> dict[str, list[Tensor]]:
        """Return every stream's maps (N, C, h, w), coarse to fine; ``instead`` holds what stands in for the trunks."""
        trunks = self.trunks if instead is None else instead
        return {stream: trunk(_joined(stream, images)) for stream, trunk in trunks.items()}


class FCN(HubMethods, nn.Module):
    """Images of any size to logits for every class at every pixel.

    Parameters
    ----------
    trunks
        A trunk for each stream, by the stream's name; several streams are joined by averaging their logits (paper, section 5.2).
    heads
        The outputs by name, built for the streams' channels and for the steps of ``alignment``.
    alignment
        Of the trunks' maps, from :func:`alignment_of`.
    spec
        What it was built from, which a checkpoint needs to build it again; ``None`` for a net that is put together by hand.
    """

    def __init__(
        self, trunks: Mapping[str, Trunk], heads: Mapping[str, Head], alignment: Alignment, spec: ModelSpec | None = None
    ) -> None:
        super().__init__()
        self._spec = spec
        self.alignment = alignment
        self.inputs = tuple(dict.fromkeys(name for stream in trunks for name in inputs_of(stream)))
        first = next(iter(trunks.values()))
        self.strides = first.strides
        self.normalise = nn.ModuleDict({name: normaliser(self._preparing(name, first)) for name in self.inputs})
        self.fit = Fit(alignment.padding)
        self.core = Core(trunks, heads)
        self.crop = Overlap(alignment.steps[-1].starts[0], 0)

    def _preparing(self, name: str, trunk: Trunk) -> dict[str, Any]:
        return preprocessing_of(name, trunk.preprocessing, self.channels_of(name))

    def channels_of(self, name: str) -> int:
        """Return the channels of an input."""
        return INPUT_CHANNELS[name] if self._spec is None else self._spec.channels_of(name)

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits float (N, K, H, W) for each head, at the images' own height and width, any size from 1x1 on.

        Parameters
        ----------
        inputs
            uint8 or float 0–255 in RGB order (N, C, H, W), depth in metres, by name; a bare tensor when there is one input.

        Raises
        ------
        SpecError
            When inputs are not what the net reads, see :func:`fullconv.nn.inputs.check_inputs`.
        """
        images = self._named(inputs)
        padded = self._padded(images)
        like = next(iter(images.values()))
        return {name: self.crop(logits, like) for name, logits in self.core(padded).items()}

    def _named(self, inputs: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if isinstance(inputs, fx.Proxy):  # traced for its geometry, which does not depend on what the images hold
            return dict.fromkeys(self.inputs, inputs)
        named = inputs if isinstance(inputs, Mapping) else {self.inputs[0]: inputs}
        check_inputs(self.inputs, named, {name: self.channels_of(name) for name in self.inputs})
        return named

    def _padded(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self.fit(self.normalise[name](images[name])) for name in self.inputs}

    def coarse(self, inputs: Tensor | Mapping[str, Tensor], instead: Stands | None = None) -> dict[str, Tensor]:
        """Return the logits float (N, K, h, w) of each head before their last upsampling; inputs as of :meth:`forward`.

        ``instead`` holds what computes the trunks' maps in their place, by stream.
        """
        return {name: self.head(name).join(maps) for name, maps in self.score_maps(inputs, instead).items()}

    def score_maps(self, inputs: Tensor | Mapping[str, Tensor], instead: Stands | None = None) -> dict[str, list[Tensor]]:
        """Return the logits (N, K, h, w) of each head before they are joined, coarse to fine, averaged over the streams."""
        features = self.core.features(self._padded(self._named(inputs)), instead)
        return {name: self.head(name).score_maps(features) for name in self.heads}

    def fuse(self, head: str, logits: Sequence[Tensor], image: Tensor, skips: Sequence[int] | None = None) -> Tensor:
        """Return logits (N, K, H, W) from the maps of one head.

        Parameters
        ----------
        head, logits
            The name and its maps, coarse to fine, from :meth:`score_maps`.
        image
            Any (N, C, H, W): the size to cut to.
        skips
            Strides of the skips that take part; all by default. For looking at what each one contributes.
        """
        levels = None if skips is None else [self.strides.index(stride) for stride in skips]
        return self.crop(self.head(head).fuse(logits, levels), image)

    @property
    def spec(self) -> ModelSpec:
        """What the net was built from.

        Raises
        ------
        SpecError
            When it was put together by hand.
        """
        if self._spec is None:
            raise SpecError("this FCN was put together by hand, so no file can say how; build it by fullconv.build_model")
        return self._spec

    @property
    def heads(self) -> dict[str, int]:
        """Number of classes of each output, by name."""
        return {name: self.head(name).classes for name in self.core.heads}

    def head(self, name: str) -> Head:
        """Return an output by its name."""
        found = self.core.heads[name]
        assert isinstance(found, Head)  # a ModuleDict knows only modules
        return found

    def last_upsampling(self, name: str) -> Deconvolution:
        """Return the upsampling of an output that leads to the image's pixels, from what :meth:`coarse` gives."""
        found = self.head(name).upsample[-1]
        assert isinstance(found, Deconvolution)  # a ModuleList knows only modules
        return found

    @property
    def trunks(self) -> dict[str, Trunk]:
        """The trunk of each stream, by name."""
        return {name: trunk for name, trunk in self.core.trunks.items() if isinstance(trunk, Trunk)}

    @property
    def geometry(self) -> Geometry:
        """The coordinate maps of the whole net, traced."""
        return trace(self)

    def normaliser(self, name: str) -> Normalise | NormaliseDepth:
        """Return the layer that an input goes through first."""
        found = self.normalise[name]
        assert isinstance(found, (Normalise, NormaliseDepth))  # a ModuleDict knows only modules
        return found

    @property
    def preprocessing(self) -> dict[str, dict[str, Any]]:
        """What each input goes through, as a weights file's header states it."""
        return {name: self.normaliser(name).preprocessing for name in self.inputs}

    def set_preprocessing(self, preprocessing: Mapping[str, Mapping[str, Any]]) -> None:
        """Put others in the place of the layers that inputs go through, by input.

        Raises
        ------
        WeightsError
            When one is not known, see :class:`fullconv.nn.normalise.Normalise`, or is for another kind of input.
        """
        device = next(self.parameters()).device
        for name, stated in preprocessing.items():
            made = normaliser(stated)
            if isinstance(made, NormaliseDepth) != (name == "depth") or made.mean.numel() != self.channels_of(name):
                raise WeightsError(f"preprocessing {dict(stated)} is not of {name}, which has {self.channels_of(name)} channels")
            self.normalise[name] = made.to(device)

    def preprocessing_tensors(self) -> dict[str, Tensor]:
        """Return the part of the state that :attr:`preprocessing` says too, and that a checkpoint's header holds."""
        return {f"normalise.{name}": tensor for name, tensor in self.normalise.state_dict().items()}

    @property
    def padding_colors(self) -> dict[str, tuple[float, ...]]:
        """The colour (0–255, RGB order) of each input that becomes zero: what to pad its images with."""
        return {name: self.normaliser(name).mean_color for name in self.inputs}

    def score_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the score layers: all that the paper's "fixed" nets train."""
        return [parameter for name in self.heads for parameter in self.head(name).score.parameters()]

    def upsampling_parameters(self) -> list[nn.Parameter]:
        """Return the learned deconvolutions' weights; none when they are fixed."""
        return [parameter for name in self.heads for parameter in self.head(name).upsample.parameters()]

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the trunks."""
        return list(self.core.trunks.parameters())


def alignment_of(trunks: Mapping[str, Trunk]) -> Alignment:
    """Return how the maps of the trunks, which must lie alike, are upsampled onto each other and onto the image.

    Raises
    ------
    GeometryError
        When the streams, or the two axes of one, lie differently on the image; when maps cannot be aligned.
    """
    first = next(iter(trunks.values()))
    if any(trunk.places(axis) != first.places(0) for trunk in trunks.values() for axis in (0, 1)):
        raise GeometryError("the streams' maps (or their two axes) lie differently on the image; use one backbone for all")
    geometry = first.geometry
    inner = [i for i in range(len(geometry.layers)) if geometry.place(i) is not None]  # what is pooled over the image has size 1
    return align(first.places(0), lambda side: geometry.sizes_along(0, side, [*first.taps, *inner]))


def _joined(stream: str, images: Mapping[str, Tensor]) -> Tensor:
    """Return the inputs of a stream one behind the other (N, C, H, W)."""
    names = inputs_of(stream)
    return images[names[0]] if len(names) == 1 else torch.cat([images[name] for name in names], 1)
