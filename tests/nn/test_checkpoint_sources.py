"""A checkpoint as bytes or as an open file is the same as by its path, and as strictly checked."""

import io
import json
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

import fullconv
from fullconv.errors import WeightsError
from fullconv.nn.checkpoint import load_checkpoint


class Harmful:
    """What a pickle may do to whoever opens it."""

    ran = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return setattr, (Harmful, "ran", True)


def test_path_bytes_and_open_file_give_the_same_model(checkpoint: Path) -> None:
    by_path = load_checkpoint(checkpoint)
    with checkpoint.open("rb") as opened:
        for found in (load_checkpoint(checkpoint.read_bytes()), load_checkpoint(opened), load_checkpoint(str(checkpoint))):
            assert found.header == by_path.header
            assert found.labels == by_path.labels
            state = by_path.model.state_dict()
            assert all(torch.equal(tensor, state[name]) for name, tensor in found.model.state_dict().items())
            assert not found.model.training
    image = torch.zeros(3, 9, 9, dtype=torch.uint8)
    labels = fullconv.load(io.BytesIO(checkpoint.read_bytes()), "cpu").predict(image).labels
    assert (labels == fullconv.load(checkpoint, "cpu").predict(image).labels).all()


def both_ways(content: bytes, tmp_path: Path) -> tuple[str, str]:
    """Return what is said of a content as bytes, and of the same as an open file."""
    said = []
    (tmp_path / "bad.safetensors").write_bytes(content)
    with (tmp_path / "bad.safetensors").open("rb") as opened:
        for source in (content, opened):
            with pytest.raises(WeightsError) as raised:
                load_checkpoint(source)
            said.append(str(raised.value))
    assert "\n" not in said[0]
    assert said[1].replace(str(tmp_path / "bad.safetensors"), "the checkpoint") == said[0]
    return said[0], said[1]


@pytest.mark.parametrize("kept", [1, 7, 8, 9, 100, 0.5, -1])
def test_content_cut_short(checkpoint: Path, kept: float, tmp_path: Path) -> None:
    content = checkpoint.read_bytes()
    cut = content[: int(len(content) * kept) if 0 < kept < 1 else int(kept)]
    assert re.match("the checkpoint is (damaged or cut short|no .safetensors file)", both_ways(cut, tmp_path)[0])


def test_content_of_other_kinds(checkpoint: Path, tmp_path: Path) -> None:
    assert both_ways(b"", tmp_path)[0].startswith("the checkpoint is empty; copy it again")
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    for content in (buffer.getvalue(), pickle.dumps(Harmful()), pickle.dumps(Harmful(), 2)):
        assert "the checkpoint is a pickle (.pt, .pth, .ckpt), which could run code" in both_ways(content, tmp_path)[0]
    assert not Harmful.ran
    assert "holds weights, but no fullconv model: it has no header" in both_ways(save({"a": torch.zeros(1)}), tmp_path)[0]
    for header, message in (("{", "has a damaged header"), ("[]", "has a header that is no mapping"), ("{}", "has format None")):
        assert message in both_ways(save({"a": torch.zeros(1)}, {"fullconv": header}), tmp_path)[0]
    assert "is no .safetensors file" in both_ways(b"\xff" * 100, tmp_path)[0]
    empty = json.dumps({}).encode()
    assert "no fullconv model: it has no header" in both_ways(len(empty).to_bytes(8, "little") + empty, tmp_path)[0]


def test_what_cannot_be_read(checkpoint: Path, tmp_path: Path) -> None:
    with (
        checkpoint.open(encoding="latin-1") as text,
        pytest.raises(WeightsError, match="is opened as text; open it in mode 'rb'"),
    ):
        load_checkpoint(text)  # type: ignore[arg-type]  # the mistake
    with (
        (tmp_path / "new").open("wb") as written,
        pytest.raises(WeightsError, match=r"new cannot be read \(UnsupportedOperation"),
    ):
        load_checkpoint(written)
    with checkpoint.open("rb") as closed:
        pass
    with pytest.raises(WeightsError, match=r"cannot be read .*closed file.*give a path, bytes or an open binary file"):
        load_checkpoint(closed)
    with pytest.raises(WeightsError, match=r"the checkpoint cannot be read .*'int' object has no attribute 'read'"):
        load_checkpoint(3)  # type: ignore[arg-type]  # the mistake
