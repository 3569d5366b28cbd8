"""Images that no memory holds: predicted part by part, and together exactly what the whole image would give.

The interface that everything else builds on (rasters, files, the command line) is one function::

    predict_windows(predictor, read, size, *, tile, head=None, maps=(), first_row=0) -> Iterator[Part]

    read(top, left, height, width) -> uint8 (height, width, C), as fullconv.data.images.read_image gives it;
                                      for models of several inputs a dict of such arrays by input ("rgb", "depth", "hha")
    size                              (height, width) of the image in pixels
    tile                              pixels that a tile keeps, one number or (height, width); more are read around it
    Part                              top, left, labels uint8 (h, w); maps by name ("confidence", "entropy"), uint8 (h, w)

Parts come row by row, from left to right, and cover the image once. ``read`` is only asked for what lies inside the image.
"""

from fullconv.inference.tiled.part import Part, Read
from fullconv.inference.tiled.windows import predict_windows

__all__ = ["Part", "Read", "predict_windows"]
