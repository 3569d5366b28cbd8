"""Pictures of thirteen kinds against pixels known from elsewhere; and hundreds of them, good and broken, in one run."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.images import read_image
from fullconv.inference.files import predict_files
from fullconv.inference.jobs import find_jobs
from fullconv.inference.load import load

Pixels = NDArray[np.uint8]


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(values: NDArray[np.unsignedinteger], color: int, palette: bytes = b"", size: tuple[int, int] | None = None) -> bytes:
    """A PNG written by hand: ``values`` (H, W, C) of 8 or 16 bits; ``color`` is its colour type, ``size`` what it claims."""
    height, width = size or values.shape[:2]
    rows = b"".join(b"\0" + row.astype(values.dtype.newbyteorder(">")).tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 8 * values.itemsize, color, 0, 0, 0)
    extra = chunk(b"PLTE", palette) if palette else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bmp(rgb: Pixels) -> bytes:
    """A 24-bit BMP written by hand: rows from the bottom up, blue first, each filled up to four bytes."""
    height, width, _ = rgb.shape
    rows = b"".join(row[:, ::-1].tobytes() + bytes(-3 * width % 4) for row in rgb[::-1])
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(rgb: Pixels, **options: object) -> tuple[bytes, Pixels]:
    """A JPEG of blocks of 8×8 pixels of one colour, which are stored exactly but for the rounding of Y, Cb and Cr (JFIF 1.02)."""
    red, green, blue = rgb.astype(float).transpose(2, 0, 1)
    y = np.floor(0.299 * red + 0.587 * green + 0.114 * blue + 0.5)
    cb = (-0.168735892 * red - 0.331264108 * green + 0.5 * blue).round().clip(-128, 127)
    cr = (0.5 * red - 0.418687589 * green - 0.081312411 * blue).round().clip(-128, 127)
    stored = np.stack([y + 1.402 * cr, y - 0.344136286 * cb - 0.714136286 * cr, y + 1.772 * cb], 2).round().clip(0, 255)
    blocks = np.ones((8, 8, 1), np.uint8)
    content = encoded(Image.fromarray(np.kron(rgb, blocks)), "JPEG", quality=100, subsampling=0, **options)
    return content, np.kron(stored.astype(np.uint8), blocks)


def rotated(rgb: Pixels) -> tuple[bytes, Pixels]:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: clockwise by a quarter makes it upright
    content, stored = jpeg(rgb, exif=exif)
    return content, np.rot90(stored, -1)


def still(rgb: Pixels) -> tuple[bytes, Pixels]:
    few = rgb // 128 * 255  # eight colours, so that the palette loses nothing
    return encoded(Image.fromarray(few), "GIF"), few


def on_white(values: Pixels, alpha: Pixels) -> Pixels:
    """Values laid on white; exact, as both are multiples of fives."""
    return ((values.astype(int) * alpha + 255 * (255 - alpha.astype(int))) // 255).astype(np.uint8)


def grey_alpha(rgb: Pixels) -> tuple[bytes, Pixels]:
    grey, alpha = rgb[..., :1] // 5 * 5, rgb[..., 1:2] // 86 * 102  # alpha 0, 102 or 204: multiples of 51
    return png(np.concatenate([grey, alpha], 2), 4), np.repeat(on_white(grey, alpha), 3, 2)


def rgba(rgb: Pixels) -> tuple[bytes, Pixels]:
    values, alpha = rgb // 5 * 5, rgb[..., :1] // 86 * 102
    return png(np.concatenate([values, alpha], 2), 6), on_white(values, alpha)


def cmyk(rgb: Pixels) -> tuple[bytes, Pixels]:
    black = rgb[..., :1] // 128 * 255  # none or all, where inks mix exactly
    inks = np.ascontiguousarray(np.concatenate([rgb, black], 2))
    image = Image.frombytes("CMYK", rgb.shape[1::-1], inks.tobytes())
    return encoded(image, "TIFF"), np.where(black == 255, 0, 255 - rgb).astype(np.uint8)


def palette(rgb: Pixels) -> tuple[bytes, Pixels]:
    colors = np.random.default_rng(5).integers(0, 256, (256, 3), np.uint8)
    return png(rgb[..., :1], 3, colors.tobytes()), colors[rgb[..., 0]]


def grey(rgb: Pixels) -> Pixels:
    return np.repeat(rgb[..., :1], 3, 2)


KINDS: dict[str, Callable[[Pixels], tuple[bytes, Pixels]]] = {
    "jpeg.jpg": jpeg,
    "rotated.jpeg": rotated,
    "png.png": lambda rgb: (png(rgb, 2), rgb),
    "tiff.tif": lambda rgb: (encoded(Image.fromarray(rgb), "TIFF", compression="tiff_lzw"), rgb),
    "webp.webp": lambda rgb: (encoded(Image.fromarray(rgb), "WEBP", lossless=True), rgb),
    "bmp.bmp": lambda rgb: (bmp(rgb), rgb),
    "still.gif": still,
    "grey-16-bit.png": lambda rgb: (png(rgb[..., :1].astype(np.uint16) * 257, 0), grey(rgb)),
    "grey.png": lambda rgb: (png(rgb[..., :1], 0), grey(rgb)),
    "grey-alpha.png": grey_alpha,
    "rgba.png": rgba,
    "cmyk.tiff": cmyk,
    "palette.png": palette,
}


def noise(seed: int, size: tuple[int, int] = (11, 14)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read_exactly(name: str, tmp_path: Path) -> None:
    content, truth = KINDS[name](noise(3))
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / name), truth)


def test_a_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(png(noise(0), 2))
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), noise(0))


def break_some(folder: Path) -> set[str]:
    """Write twenty files and links that are no pictures; return their names."""
    whole = {name: content for name, make in KINDS.items() if (content := make(noise(1, (40, 40)))[0])}
    broken = {f"cut-{name}": content[: len(content) // 2] for name, content in whole.items()}
    broken |= {
        "empty.png": b"",
        "text.jpg": b"hello",
        "bomb.png": png(np.zeros((1, 1, 1), np.uint8), 0, size=(60_000, 60_000)),
        "float.tif": encoded(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF"),
    }
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "nowhere.jpg").symlink_to("none.jpg")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    return {*broken, "pipe.jpg", "nowhere.jpg", "circle.jpg"}


def test_three_hundred_files_of_every_kind_twenty_of_them_broken(checkpoint: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "album", tmp_path / "out"
    truths: dict[str, Pixels] = {}
    for number in range(280):
        name, make = list(KINDS.items())[number % len(KINDS)]
        seed = number % 11  # none of their colours lies between two numbers of JPEG
        content, truth = make(noise(seed, (5 + seed % 3, 9)))
        path = folder / f"day {number % 7}" / f"{number}-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        truths[str(path)] = truth
    broken = break_some(folder)
    assert len(broken) == 20
    predictor = load(checkpoint)
    outcome = predict_files(predictor, find_jobs([str(folder)], out))
    assert {Path(path).name for path in outcome.failed} == broken
    assert all(path in problem and "\n" not in problem for path, problem in outcome.failed.items())
    assert set(outcome.predicted) == set(truths)
    labels_of: dict[bytes, Pixels] = {}  # many kinds hold the same pixels
    for path, truth in truths.items():
        with Image.open(out / Path(path).relative_to(folder).with_suffix(".png")) as labels:
            key = bytes(truth.shape) + truth.tobytes()
            if key not in labels_of:
                labels_of[key] = predictor.predict(truth).labels
            np.testing.assert_array_equal(np.array(labels), labels_of[key])
