"""Test-time augmentation: a net sees an image several times, mirrored and at other sizes, and its probabilities are averaged.

What a net says of a mirror image, mirrored back, is a second opinion on the same pixels; so is what it says of the image made
smaller or larger, brought back to the image's own size between the centres of pixels. Every view's logits are brought back to
the image's own pixels first, become probabilities by softmax, and those are averaged with equal weights.

Left and right are exchanged, never top and bottom. A mirrored room is a room: each of its depths is what it was, and so is each
channel of HHA (disparity, height above ground, angle with gravity), as none of them knows left from right. Upside down the
heights and angles would be those of another room.

Letters: N images, C channels, K classes, H height, W width.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fullconv.errors import SpecError
from fullconv.evaluation.at_scale import Net, logits_at_scale

LEAST, MOST = 0.1, 10.0
"""The scales that are accepted."""
ACCEPTED = (
    "accepted are flip (the mirror image too) and scales=A:B:…, factors on height and width "
    f"from {LEAST:g} to {MOST:g}, such as flip,scales=0.75:1.25"
)


@dataclass(frozen=True)
class TTA:
    """The views in which a net sees an image: at its own size, at other ``scales``, and each of them mirrored.

    Parameters
    ----------
    flip
        Whether each view is seen mirrored left to right too.
    scales
        Further factors on height and width, :data:`LEAST` to :data:`MOST`; 1, the image itself, always belongs to them.

    Raises
    ------
    SpecError
        When a scale is out of range or given twice; when there is nothing to average.

    Examples
    --------
    >>> TTA(flip=True, scales=(0.75, 1.25)).views
    ((1.0, False), (1.0, True), (0.75, False), (0.75, True), (1.25, False), (1.25, True))
    """

    flip: bool = False
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for scale in self.scales:
            if not LEAST <= scale <= MOST:
                raise SpecError(f"the test-time augmentation has the scale {scale:g}; {ACCEPTED}")
        if len(set(self.scales)) < len(self.scales):
            raise SpecError(f"the test-time augmentation has a scale twice in {_colons(self.scales)}; give each once")
        if not self.flip and set(self.scales) <= {1.0}:
            raise SpecError(f"the test-time augmentation shows the image as it is and nothing else; {ACCEPTED}")

    @classmethod
    def parse(cls, text: str) -> "TTA":
        """Return what a text such as ``flip,scales=0.75:1.25`` means.

        Raises
        ------
        SpecError
            When it is none, with what is accepted.

        Examples
        --------
        >>> TTA.parse("scales=1.5")
        TTA(flip=False, scales=(1.5,))
        """
        flip, scales = False, None
        for part in (part.strip() for part in text.split(",")):
            name, equals, value = part.partition("=")
            if part == "flip" and not flip:
                flip = True
            elif name == "scales" and equals and scales is None:
                scales = tuple(_number(factor, text) for factor in value.split(":"))
            else:
                twice = " twice" if part == "flip" or (name == "scales" and equals) else ""
                raise SpecError(f"the test-time augmentation {text!r} has {part!r}{twice}; {ACCEPTED}")
        return cls(flip, scales or ())

    def __str__(self) -> str:
        """Return the text that :meth:`parse` reads, the same for all that mean the same."""
        others = sorted(set(self.scales) - {1.0})
        return ",".join((*(("flip",) if self.flip else ()), *((f"scales={_colons(others)}",) if others else ())))

    @property
    def views(self) -> tuple[tuple[float, bool], ...]:
        """The scale of each view, and whether it is mirrored; the image as it is comes first."""
        scales = (1.0, *sorted(set(self.scales) - {1.0}))
        return tuple((scale, mirrored) for scale in scales for mirrored in ((False, True) if self.flip else (False,)))

    def log_probabilities(
        self,
        net: Net,
        inputs: Mapping[str, Tensor],
        scale: float = 1.0,
        check: Callable[[Tensor], Tensor] = lambda logits: logits,
    ) -> dict[str, Tensor]:
        """Return the logarithms (N, K, H, W) of the averaged probabilities of each head, at the images' own size.

        They are logits like any other: their softmax is the averaged probabilities, and the largest is the label.

        Parameters
        ----------
        net, inputs, scale
            As for :func:`fullconv.evaluation.at_scale.logits_at_scale`: a net that learned images at ``scale`` sees them at that
            size, and at that size times each of the scales.
        check
            Is given the logits of each view, and may refuse them.

        Examples
        --------
        >>> def net(inputs):  # two classes: the first where it is bright, more so at the left
        ...     bright = inputs["rgb"][:, :1].float() * torch.linspace(1, 0, inputs["rgb"].shape[-1])
        ...     return {"semantic": torch.cat([bright, -bright], 1)}
        >>> image = torch.ones(1, 3, 2, 5, dtype=torch.uint8)
        >>> found = TTA(flip=True).log_probabilities(net, {"rgb": image})["semantic"].softmax(1)
        >>> torch.allclose(found, found.flip(-1))
        True
        """
        total: dict[str, Tensor] = {}
        for logits in self._logits(net, inputs, scale):
            for head, found in logits.items():
                probabilities = check(found).float().softmax(1)
                total[head] = total[head].add_(probabilities) if head in total else probabilities
        least = torch.finfo(torch.float32).tiny  # what no view finds possible has a logarithm all the same
        return {head: found.div_(len(self.views)).clamp_min_(least).log_() for head, found in total.items()}

    def _logits(self, net: Net, inputs: Mapping[str, Tensor], scale: float) -> Iterator[dict[str, Tensor]]:
        """Yield the logits of each view, laid back over the image."""
        mirror = {name: images.flip(-1) for name, images in inputs.items()} if self.flip else {}
        for factor, mirrored in self.views:
            found = logits_at_scale(net, mirror if mirrored else inputs, scale * factor)
            yield {head: logits.flip(-1) for head, logits in found.items()} if mirrored else found


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise SpecError(f"the test-time augmentation {whole!r} has the scale {text.strip()!r}; {ACCEPTED}") from error


def _colons(scales: tuple[float, ...] | list[float]) -> str:
    return ":".join(f"{scale:.12g}" for scale in scales)
