"""A net at the scale that it was trained at, its logits at the images' own size: what predicts and what measures agree.

A recipe's ``data.scale`` makes images and masks smaller or larger before the net learns them. The net then knows things at
that size, so images are resized by the same factor and with the same filter before it sees them
(:func:`fullconv.data.joint_transform.resized`); its logits are brought back to the image's own height and width, bilinear
between the centres of pixels (averaged over their footprint where they shrink), and only then become probabilities and labels.
Metrics are those of labels at the images' own size, so that nets of different scales compare.

Letters: N images, C channels, H height, W width, K classes.
"""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

Net = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
"""Images (N, C, H, W) by input to logits (N, K, H, W) by head."""


def logits_at_scale(net: Net, inputs: Mapping[str, Tensor], scale: float = 1.0) -> dict[str, Tensor]:
    """Return logits (N, K, H, W) by head at the images' own size, of a net that was trained at ``scale`` times that size.

    Parameters
    ----------
    net
        Such as an :class:`~fullconv.nn.fcn.FCN` in evaluation mode.
    inputs
        uint8 (N, C, H, W), or measurements in float32, by name.
    scale
        Factor on height and width, above 0; with 1 nothing is resized.

    Examples
    --------
    >>> import torch
    >>> sizes = []
    >>> def net(inputs):
    ...     sizes.append(tuple(inputs["rgb"].shape[-2:]))
    ...     return {"semantic": inputs["rgb"].float()}
    >>> logits_at_scale(net, {"rgb": torch.zeros(1, 3, 41, 60, dtype=torch.uint8)}, 0.5)["semantic"].shape, sizes
    (torch.Size([1, 3, 41, 60]), [(20, 30)])
    """
    if scale == 1:
        return dict(net(inputs))
    from fullconv.data.joint_transform import resized, scaled_size  # late, as most nets need nothing resized by torchvision

    height, width = next(iter(inputs.values())).shape[-2:]
    size = scaled_size((height, width), scale)
    found = net({name: resized(images, size) for name, images in inputs.items()})
    return {
        head: F.interpolate(logits.float(), (height, width), mode="bilinear", align_corners=False, antialias=scale > 1)
        for head, logits in found.items()
    }
