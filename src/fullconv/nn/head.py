"""One output of an FCN: score layers on every map, upsampled and added from coarse to fine (paper, sections 3.3 and 4.2).

Letters: N images, C channels, h w map, K classes.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from fullconv.nn.align import Step
from fullconv.nn.fit import Overlap
from fullconv.nn.upsample import Deconvolution


class Head(nn.Module):
    """Feature maps of every stream to logits at the image's own resolution.

    Score layers are 1x1 convolutions that start at zero, so that training starts from the trunk's knowledge alone (reference).

    Parameters
    ----------
    classes
        K.
    channels
        Of each stream's maps, coarse to fine, by the stream's name; several streams' logits are averaged (section 5.2).
    steps
        The upsamplings, coarse to fine, from :func:`fullconv.nn.align.align`; the last one leads to the image's pixels.
    learned
        Train all upsamplings but the last, which the paper keeps fixed (section 4.1); else all stay bilinear.
    factors
        On each map's features before its score layer, coarse to fine; 1 by default.

    Examples
    --------
    FCN-32s of a trunk whose only map has stride 32, as VGG16's with the reference's padding:

    >>> import torch
    >>> from fractions import Fraction
    >>> from fullconv.geometry.axis import Place
    >>> from fullconv.nn.align import align
    >>> plan = align([Place(Fraction(32), Fraction(25, 2))], lambda side: [(side + 6) // 32 + 1])
    >>> head = Head(21, {"rgb": [4096]}, plan.steps)
    >>> head({"rgb": [torch.zeros(1, 4096, 2, 3)]}).shape
    torch.Size([1, 21, 96, 128])
    """

    def __init__(
        self,
        classes: int,
        channels: Mapping[str, Sequence[int]],
        steps: Sequence[Step],
        *,
        learned: bool = False,
        factors: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.factors = tuple(factors or (1.0,) * len(steps))
        self.score = nn.ModuleDict(
            {stream: nn.ModuleList(nn.Conv2d(width, classes, 1) for width in widths) for stream, widths in channels.items()}
        )
        for parameter in self.score.parameters():
            nn.init.zeros_(parameter)
        last = len(steps) - 1
        self.upsample = nn.ModuleList(
            Deconvolution(classes, step.kernel, step.factor, learned and i < last) for i, step in enumerate(steps)
        )
        inner = [step.starts for step in steps[:-1]]
        self.crop = nn.ModuleList(Overlap(raised, finer) for raised, finer in inner)
        self.crop_skip = nn.ModuleList(Overlap(finer, raised) for raised, finer in inner)

    def forward(self, features: Mapping[str, Sequence[Tensor]]) -> Tensor:
        """Return logits float (N, K, h, w) that begin in front of the image and end behind it.

        Parameters
        ----------
        features
            Each stream's maps (N, C, h, w), coarse to fine.
        """
        return self.fuse(self.score_maps(features))

    def score_maps(self, features: Mapping[str, Sequence[Tensor]]) -> list[Tensor]:
        """Return the logits (N, K, h, w) of every level before they are joined, coarse to fine, averaged over the streams."""
        levels = range(len(self.factors))
        return [self._score(level, {stream: maps[level] for stream, maps in features.items()}) for level in levels]

    def _score(self, level: int, features: Mapping[str, Tensor]) -> Tensor:
        factor = self.factors[level]
        scored = []
        for stream, layers in self.score.items():
            maps = features[stream]
            scored.append(layers[level](maps if factor == 1 else maps * factor))  # type: ignore[index]  # a ModuleList
        total = scored[0]
        for other in scored[1:]:
            total = total + other
        return total if len(scored) == 1 else total * (1 / len(scored))

    def fuse(self, logits: Sequence[Tensor], skips: Sequence[int] | None = None) -> Tensor:
        """Return logits (N, K, h, w) from those of every level; see :meth:`forward`.

        Parameters
        ----------
        logits
            From :meth:`score_maps`, coarse to fine.
        skips
            Levels of the skips that take part, counted from 1, the first behind the coarsest; all by default. For looking at what
            each one contributes.
        """
        return self.upsample[-1](self.join(logits, skips))

    def join(self, logits: Sequence[Tensor], skips: Sequence[int] | None = None) -> Tensor:
        """Return the joined logits (N, K, h, w) of every level, before the last upsampling; parameters as of :meth:`fuse`."""
        joined = logits[0]
        for level, finer in enumerate(logits[1:], 1):
            raised = self.upsample[level - 1](joined)
            joined = self.crop[level - 1](raised, finer)
            if skips is None or level in skips:
                joined = joined + self.crop_skip[level - 1](finer, raised)
        return joined
