"""Tables of pairs as spreadsheets write them: what ``init`` finds is what the recipe then reads."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data.folder.layout import guess_layout
from fullconv.data.folder.pairing import find_pairs
from fullconv.errors import DataError


def written(root: Path, header: str, separator: str, encoding: str, name: str = "pairs.csv") -> Path:
    lines = [header.replace(",", separator)]
    for number in range(6):
        for folder in ("photos", "truth"):
            path = root / folder / f"{number}{folder[0]}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((4, 4), number % 2, np.uint8)).save(path)
        lines.append(separator.join([f"photos/{number}p.png", f"truth/{number}t.png", "Train" if number < 4 else "Validation"]))
    (root / name).write_bytes("\r\n".join(lines).encode(encoding))
    return root


@pytest.mark.parametrize("name", ["pairs.csv", "listing.csv"])
@pytest.mark.parametrize(
    ("header", "separator", "encoding"),
    [("Image,Mask,Split", ",", "utf-8"), ("image,mask,split", "|", "utf-8"), ("IMAGE,MASK,SPLIT", "\t", "utf-16")],
)
def test_init_reads_tables_as_the_recipe_does(header: str, separator: str, encoding: str, name: str, tmp_path: Path) -> None:
    layout = guess_layout(written(tmp_path, header, separator, encoding, name))
    pairs = {
        split: [pair.image.name for pair in find_pairs(tmp_path, layout.folder, split)] for split in (layout.train, layout.val)
    }
    assert [*pairs.values()] == [["0p.png", "1p.png", "2p.png", "3p.png"], ["4p.png", "5p.png"]]


def test_a_table_without_the_columns_says_which_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pairs.csv: no column mask; there are image, truth, split"):
        guess_layout(written(tmp_path, "image,truth,split", ";", "utf-8"))
