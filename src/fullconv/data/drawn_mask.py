"""A mask that is no file: drawn from the annotations of its image when it is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fullconv.data.images import upright_size
from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, draw


@dataclass(frozen=True)
class DrawnMask:
    """The mask of an image as its shapes are drawn.

    It goes where the path of a mask goes: :func:`fullconv.data.images.decode` draws it.

    Parameters
    ----------
    source
        The file or folder of annotations.
    shapes
        The image with its shapes.
    image
        The file of the image; the mask has its size where the annotations do not say one.
    values
        Of the classes.
    """

    source: Path
    shapes: AnnotatedImage
    image: Path
    values: Mapping[str, int]

    def __hash__(self) -> int:
        return hash((self.source, self.image))

    def __str__(self) -> str:
        return f"{self.source} ({self.image.name})"

    def __fspath__(self) -> str:
        return str(self)

    @property
    def name(self) -> str:
        """What its file would be called."""
        return f"{self.image.stem}{self.suffix}"

    @property
    def suffix(self) -> str:
        """Of the file that it would be."""
        return ".png"

    def is_file(self) -> bool:
        """Return that it can be read."""
        return True

    def draw(self) -> Image.Image:
        """Return the mask as an image of mode ``L``, or of 16 bits where a value needs them.

        Raises
        ------
        DataError
            When a shape cannot be drawn, has a class without a value, or the image is damaged.
        """
        size = self.shapes.size or upright_size(self.image)
        try:
            return Image.fromarray(draw(self.shapes, size, self.values))
        except DataError as error:
            raise DataError(f"{self.source}: {error}") from error
