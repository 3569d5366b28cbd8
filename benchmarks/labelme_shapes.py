"""Whether LabelMe's shapes become the pixels that LabelMe's own tools make of them.

    pip download --no-deps labelme==6.3.1 && unzip labelme-6.3.1-*.whl 'labelme/utils/shape.py'
    python benchmarks/labelme_shapes.py labelme/utils/shape.py

The file is taken by itself, as the package asks for Qt. Printed is how many of 200 random shapes of each kind differ, which lie
in and across the border, with whole and broken numbers. With labelme 6.3.1 none does.
"""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np

from fullconv.formats.rasterise import labelme_figure

CORNERS = {"polygon": (3, 12), "rectangle": (2, 3), "oriented_rectangle": (4, 5), "circle": (2, 3), "line": (2, 3)}
CORNERS |= {"linestrip": (2, 8), "point": (1, 2)}
"""Fewest corners of a shape of each kind, and one more than the most."""


def shape_module(path: Path) -> types.ModuleType:
    """Return LabelMe's module of shapes without the package around it."""
    typed = types.ModuleType("labelme._label_file")
    typed.ShapeDict = dict  # type: ignore[attr-defined]  # a type that needs Qt beside it
    sys.modules |= {"labelme": types.ModuleType("labelme"), "labelme._label_file": typed}
    spec = importlib.util.spec_from_file_location("shape", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def main() -> None:
    """Print the shapes that differ, by kind."""
    theirs, draw = shape_module(Path(sys.argv[1])), np.random.default_rng(0)
    for kind, corners in CORNERS.items():
        differ = 0
        for number in range(200):
            height, width = (int(side) for side in draw.integers(1, 80, 2))
            points = draw.uniform(-10, 90, (int(draw.integers(*corners)), 2))
            points = points.round() if number % 3 == 1 else points
            mask = theirs.shape_to_mask((height, width), points.tolist(), kind)
            differ += not np.array_equal(mask, labelme_figure(kind, points, (height, width)).on((height, width)))
        print(f"{kind}: {differ} of 200 differ")


if __name__ == "__main__":
    main()
