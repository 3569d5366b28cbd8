"""HHA pictures that are kept in a folder: encoded once, read ever after."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fullconv.data.depth.hha import hha
from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.images import read_image_as_stored
from fullconv.errors import DataError
from fullconv.files import replacing

MADE_OF = "fullconv"
"""The text of a kept PNG that says of which camera and depth it was made."""


@dataclass(frozen=True)
class KeptHHA:
    """HHA pictures by their names.

    Parameters
    ----------
    folder
        Where they lie, as PNG; made when it is not there. ``None`` keeps nothing. What lies there already and does not say of
        which depth and camera it was made, such as published pictures, is taken as it is.
    """

    folder: Path | None

    def picture(
        self, name: str, depth: Callable[[], NDArray[np.float32]], camera: Intrinsics, size: tuple[int, int], version: str = ""
    ) -> NDArray[np.uint8]:
        """Return the HHA picture uint8 (H, W, 3) called ``name``: the kept one, or one that is made and kept.

        One that was made with another camera, or of another version of the depth, is made again.

        Parameters
        ----------
        name
            Without suffix, such as ``img_5001``.
        depth
            Gives the depth in metres when the picture must be made, see :func:`fullconv.data.depth.hha.hha`.
        camera
            Its intrinsics.
        size
            (height, width) that a kept picture must have.
        version
            Tells the depth from what it was before or may become.

        Raises
        ------
        DataError
            When a kept picture is damaged or has another size, or the depth cannot be encoded.
        FullconvError
            When the folder cannot be written.
        """
        path = self.folder / f"{name}.png" if self.folder else None
        made_of = f"{camera} {version}".strip()
        if path is not None and path.exists():
            kept = read_image_as_stored(path)
            with Image.open(path) as picture:
                before = picture.info.get(MADE_OF, made_of)
            if before == made_of and kept.shape[:2] != size:
                raise DataError(
                    f"{path} has {kept.shape[0]}x{kept.shape[1]} pixels and the frame {size[0]}x{size[1]} (height x width); "
                    "delete it, or name another folder as data.hha"
                )
            if before == made_of:
                return kept
        try:
            made = hha(depth(), camera)
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        if path is not None:
            with replacing(path) as temporary:
                about = PngInfo()
                about.add_text(MADE_OF, made_of)
                Image.fromarray(made).save(temporary, format="PNG", pnginfo=about)
        return made
