"""Whether an image file says where on the earth it lies, without the libraries that read maps."""

import struct
from pathlib import Path

import tifffile

PLACED = ("GeoKeyDirectoryTag", "ModelPixelScaleTag", "ModelTransformationTag")
"""Tags of GeoTIFF, any of which says something of the place."""
SUFFIXES = (".tif", ".tiff")


def lies_on_earth(path: Path) -> bool:
    """Return whether a file is a GeoTIFF; of what is damaged, or no TIFF, that is not said.

    Examples
    --------
    >>> lies_on_earth(Path("beach.jpg"))
    False
    """
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        with tifffile.TiffFile(path) as file:
            return any(tag in file.pages[0].aspage().tags for tag in PLACED)
    except (OSError, tifffile.TiffFileError, struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False
