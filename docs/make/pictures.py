"""Draw every picture of the documentation, from rendered scenes and photographs that scikit-image ships.

    make pictures                                   all of them, some minutes of one core
    python docs/make/pictures.py labelled heatmap   these only

Functions of the modules beside this one draw a group each. A picture is a file in docs/pictures of 150 kB at
most; what is larger is refused, so that the repository stays small.
"""

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

import demo_run
import drawings
import photographs
import scene_drawings
import scenes_run

FOLDER = Path(__file__).parents[1] / "pictures"
MOST_BYTES = 150_000
WIDEST = 1100
"""Pixels; pages are narrower, and screens with two pixels a dot show it sharp."""

Drawn = dict[str, Image.Image]
PICTURES: dict[str, Callable[[Path], Drawn]] = {
    "labelled": photographs.labelled,
    "skips-photograph": photographs.skips,
    "heatmap": photographs.heatmap,
    "crf": photographs.crf,
    "receptive-fields": drawings.receptive_fields,
    "alignment": drawings.alignment,
    "strides": drawings.strides,
    "hha": drawings.hha_channels,
    "masks": scene_drawings.masks,
    "tasks": scene_drawings.tasks,
    "patches": scene_drawings.patches,
    "interlaced": scene_drawings.interlaced,
    "doctor": scenes_run.doctor,
    "run": scenes_run.run,
    "demo": demo_run.stages,
}
"""Name of a group to what draws it: given a folder for intermediate files, names of files (.jpg, .png) to pictures."""


def encoded(picture: Image.Image, name: str) -> bytes:
    """Return a picture as the bytes of a JPEG or, of at most 256 colours, a PNG, by the suffix of its name."""
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    handle = io.BytesIO()
    if name.endswith(".jpg"):
        for quality in (88, 80, 70, 60):
            handle = io.BytesIO()
            picture.convert("RGB").save(handle, "JPEG", quality=quality, optimize=True)
            if handle.tell() <= MOST_BYTES:
                break
    else:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(handle, "PNG", optimize=True)
    return handle.getvalue()


def main(names: list[str]) -> int:
    """Draw groups of pictures; return the exit code."""
    if unknown := sorted(set(names) - set(PICTURES)):
        print(f"error: no picture is called {', '.join(unknown)}; there are {', '.join(PICTURES)}", file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    for group in names or PICTURES:
        with tempfile.TemporaryDirectory() as scratch:
            drawn = PICTURES[group](Path(scratch))
        for name, picture in drawn.items():
            content = encoded(picture, name)
            if len(content) > MOST_BYTES:
                print(f"error: {name} takes {len(content):,} bytes; draw it smaller", file=sys.stderr)
                return 1
            (FOLDER / name).write_bytes(content)
            print(f"docs/pictures/{name}: {picture.width}×{picture.height}, {len(content):,} bytes", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
