"""The picture of the demo, which is run for it: some minutes of two cores."""

from pathlib import Path

from PIL import Image

from fullconv.paper.demo import run


def stages(folder: Path) -> dict[str, Image.Image]:
    """Return what each net of the demo makes of three scenes."""
    run(folder / "demo")
    with Image.open(folder / "demo" / "stages.png") as picture:
        return {"demo.jpg": picture.copy()}
