"""An image, however it is given: a path, bytes, an open file, a PIL image, an array or a tensor.

Letters: C channels, H height, W width.
"""

import os
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fullconv.data.images import read_image
from fullconv.errors import DataError
from fullconv.spec import ImageSpec
from fullconv.spec.image import PLAIN

ImageLike = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[np.uint8] | Tensor
"""What :meth:`fullconv.Predictor.predict` takes for an image; :func:`as_array` says what each must be like."""


def as_array(source: ImageLike, how: ImageSpec = PLAIN) -> NDArray[np.uint8]:
    """Return an image as uint8 (H, W, 3) RGB, upright; of other bands than colour uint8 (H, W, C).

    Parameters
    ----------
    source
        - a path, the bytes of an image file, or a file opened in mode ``rb``, of any format that Pillow reads;
        - a PIL image of any mode;
        - an array uint8 (H, W, 3) RGB or (H, W) grey;
        - a tensor uint8 (3, H, W) RGB or (1, H, W) grey on any device: channels first, as torchvision reads images.

        What comes from files and from PIL is laid upright and converted, see :func:`fullconv.data.images.read_image`.
        Arrays and tensors are 8-bit: of floating point numbers nobody knows whether they go to 1 or to 255, so they are
        refused rather than guessed. Where ``how`` declares a range, an array of another dtype is read as a file of it would be.
    how
        Bands, range and pages of the images that the model knows.

    Raises
    ------
    DataError
        When it cannot be read, or has another dtype, range or shape.

    Examples
    --------
    >>> as_array(torch.zeros(3, 4, 6, dtype=torch.uint8)).shape
    (4, 6, 3)
    >>> as_array(torch.zeros(4, 6, 3, dtype=torch.uint8))
    Traceback (most recent call last):
    fullconv.errors.DataError: an image as tensor is uint8 (3, H, W) RGB or (1, H, W) grey, ... come first: image.permute(2, 0, 1)
    """
    if not isinstance(source, Tensor):
        return read_image(source, how)
    channels = (1, 3) if how.channels == 3 else (how.channels,)
    if source.layout != torch.strided or source.is_meta:
        kind = "no values (device meta)" if source.is_meta else str(source.layout).removeprefix("torch.")
        raise DataError(f"an image as tensor holds its pixels one beside the other; got a tensor with {kind}")
    if source.dtype != torch.uint8 or source.dim() != 3 or source.shape[0] not in channels or not source.numel():
        wanted = "(3, H, W) RGB or (1, H, W) grey" if how.channels == 3 else f"({how.channels}, H, W)"
        raise DataError(
            f"an image as tensor is uint8 {wanted}, values 0 to 255; got "
            f"{str(source.dtype).removeprefix('torch.')} {tuple(source.shape)}{_advice(source)}"
        )
    channels_last = source.detach().cpu().numpy().transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(channels_last, (*channels_last.shape[:2], how.channels)))


def _advice(tensor: Tensor) -> str:
    """Return what to do about a tensor that is no image."""
    if tensor.dim() == 4:
        return "; give the images of a batch as a list: predict(list(batch))"
    if tensor.is_floating_point():
        return "; from 0 to 1 it is (255 * image).round().to(torch.uint8); the model does the normalisation itself"
    if tensor.dim() == 3 and tensor.shape[2] in (1, 3):
        return "; channels come first: image.permute(2, 0, 1)"
    return ""
