"""Label maps in the files of other tools, one file a format; what is drawn by regions starts from ``polygons.find_objects``."""

import numpy as np
from numpy.typing import NDArray

Labelled = tuple[str, NDArray[np.uint8]]
"""An image's name and its labels (H, W)."""
