"""Whether a PNG is whole, against files that PIL writes and every way to change a byte of them."""

import io

import numpy as np
import pytest
from PIL import Image

from fullconv.formats.png import is_whole


def written(mode: str, size: tuple[int, int]) -> bytes:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8), "RGBA")
    picture = noise.convert("L").convert("I;16") if mode == "I;16" else noise.convert(mode)
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (33, 20), (300, 200)])
def test_what_pil_writes_is_whole(mode: str, size: tuple[int, int]) -> None:
    assert is_whole(written(mode, size))


def test_no_byte_may_change_and_none_may_lack() -> None:
    whole = written("P", (9, 5))
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x41
        assert not is_whole(bytes(changed)), place
        assert not is_whole(whole[:place]), place
