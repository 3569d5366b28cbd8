"""The doctor names images that a person may see otherwise than the net does."""

import numpy as np
from PIL import Image
from planted import Folder, photograph


def kinds(folder: Folder) -> dict[str, tuple[str, int]]:
    return {finding.kind: (finding.level, finding.count) for finding in folder.examine().findings}


def test_a_sound_folder_has_none(folder: Folder) -> None:
    assert not {"transparency", "CMYK", "mixed images", "suffix of another format", "files passed over"} & set(kinds(folder))


def test_transparency_suffixes_and_files_passed_over(folder: Folder) -> None:
    clear = np.dstack([np.array(photograph(0)), np.zeros((48, 64), np.uint8)])
    Image.fromarray(clear).save(folder.image(0))
    photograph(1).save(folder.image(1), format="JPEG")  # called .png
    photograph(2).convert("CMYK").save(folder.image(2), format="JPEG")
    (folder.root / "images/train/x.heic").write_bytes(b"anything")
    photograph(3).save(folder.root / "images/train/y.foto", format="PNG")
    (folder.root / "images/train/Thumbs.db").write_bytes(b"no image")
    found = folder.examine().findings
    levels = {finding.kind: (finding.level, finding.count) for finding in found}
    assert levels["transparency"] == ("warning", 1)
    assert levels["suffix of another format"] == ("note", 2)
    assert levels["CMYK"] == ("note", 1)
    passed = [finding.what for finding in found if finding.kind == "files passed over"]
    assert passed == ["1 file called .foto passed over: y.foto", "1 file called .heic passed over: x.heic"]


def test_images_that_need_a_word_are_an_error_that_says_which(folder: Folder) -> None:
    Image.fromarray(np.full((48, 64), 900, np.uint16)).save(folder.image(3))
    (finding,) = [finding for finding in folder.examine().findings if finding.kind == "undeclared images"]
    assert (finding.level, finding.count) == ("error", 1)
    assert "data.image.range" in finding.what
