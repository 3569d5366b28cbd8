"""Models come from files, are loaded again when these change, and stay when the new file is no good."""

import io
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from served import Serving, as_file, photograph, until

from fullconv.errors import SpecError, WeightsError
from fullconv.inference.load import load
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.serve.models import Models, open_model
from fullconv.serve.settings import Settings, named_models
from fullconv.spec import ModelSpec

PNG = {"content-type": "image/png"}


def write(path: Path, seed: int, classes: int = 3) -> None:
    torch.manual_seed(seed)
    model = build_model(ModelSpec(name="fcn32s-minivgg", hidden_layers=False), {"semantic": classes})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    save_checkpoint(path, model, {"semantic": LabelSet(tuple("abcdefgh")[:classes])})


def put(path: Path, content: bytes) -> None:
    """Put a file in the place of another at once, so that nobody sees it while it is being written."""
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["runs/road/model.safetensors", "b.onnx"], ["road", "b"]),
        (["a=runs/road/model.safetensors", "night=runs/road/model.safetensors"], ["a", "night"]),
        (["hf://owner/road-net@v1", "voc-subset"], ["road-net", "voc-subset"]),
        (["runs/my.model.v2.safetensors", "a/b=c/model.safetensors"], ["my.model.v2", "b=c"]),
    ],
)
def test_names(given: list[str], named: list[str]) -> None:
    if "b=c" in named:  # a folder may be called so; the model needs another name
        with pytest.raises(SpecError, match="no model can be called 'b=c'"):
            named_models(given)
    else:
        assert [name for name, _ in named_models(given)] == named


def test_two_models_of_one_name_and_none_at_all() -> None:
    with pytest.raises(SpecError, match=r"x/a\.onnx and y/a\.safetensors are both called a"):
        named_models(["x/a.onnx", "y/a.safetensors"])
    with pytest.raises(SpecError, match="no model to serve"):
        named_models([])


def test_a_file_that_changes_is_loaded_again_and_garbage_is_not(serving: Serving, tmp_path: Path) -> None:
    file, other = tmp_path / "model.safetensors", tmp_path / "other.safetensors"
    write(file, 0)
    write(other, 1)
    first, second = (load(path).predict(photograph()).labels for path in (file, other))
    assert not np.array_equal(first, second)
    client, service = serving(models=(("net", str(file)),))

    def shares() -> list[int]:
        answer = client.post("/v1/segment?format=json", content=as_file(photograph()), headers=PNG)
        assert answer.status_code == 200
        return [one["pixels"] for one in answer.json()["classes"]]

    def reloads(result: str) -> bool:
        return f'fullconv_reloads_total{{model="net",result="{result}"}} 1.0' in client.get("/metrics").text

    before = [int((first == k).sum()) for k in range(3)]
    after = [int((second == k).sum()) for k in range(3)]
    assert shares() == before
    put(file, b"\x08\0\0\0\0\0\0\0garbage!" * 100)
    until(lambda: reloads("refused"))
    assert shares() == before
    put(file, other.read_bytes()[:-1000])  # cut short
    service.reload()
    until(lambda: 'result="refused"} 2.0' in client.get("/metrics").text)
    assert shares() == before
    file.unlink()
    until(lambda: 'result="refused"} 3.0' in client.get("/metrics").text)
    assert shares() == before
    other.replace(file)
    until(lambda: reloads("loaded"))
    assert shares() == after


def test_requests_go_on_while_a_model_is_loaded_again(serving: Serving, tmp_path: Path) -> None:
    """What has begun with a model ends with it, and no answer mixes two."""
    file, other = tmp_path / "model.safetensors", tmp_path / "other.safetensors"
    write(file, 0)
    write(other, 1)
    whole = {load(path).predict(photograph()).labels.tobytes() for path in (file, other)}
    client, _ = serving(models=(("net", str(file)),))
    seen = []
    for number in range(30):
        if number == 5:
            other.replace(file)
        found = client.post("/v1/segment?format=npz", content=as_file(photograph()), headers=PNG)
        assert found.status_code == 200
        seen.append(np.load(io.BytesIO(found.content))["labels"].tobytes())
    assert set(seen) <= whole


def test_garbage_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "model.safetensors"
    write(file, 0)
    models = Models(Settings((("net", str(file)),)))
    models.load()
    file.write_bytes(b"no model")
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            models.refresh()
    assert [record.message.startswith("the new file of net cannot be used") for record in caplog.records] == [True]


def test_what_cannot_be_served_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        Models(Settings((("net", str(tmp_path / "none.safetensors")),))).load()
    with pytest.raises(WeightsError, match="no such file"):
        Models(Settings((("net", str(tmp_path / "none.onnx")),))).load()
    spec = ModelSpec(name="fcn32s-minivgg", hidden_layers=False, streams=("rgb+depth",))
    save_checkpoint(tmp_path / "depth.safetensors", build_model(spec, {"semantic": 2}), {"semantic": LabelSet(("a", "b"))})
    with pytest.raises(SpecError, match="depth reads rgb, depth, and a request brings one image"):
        Models(Settings((("depth", str(tmp_path / "depth.safetensors")),))).load()


def test_a_folder_that_takes_no_lock_is_said(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "full").touch()  # a file, in which nothing can be made
    settings = Settings((("scenes", str(checkpoint)),), device="cpu", shared=tmp_path / "full" / "folder")
    with pytest.raises(WeightsError, match=r"cannot share the weights of scenes in .*: Not a directory; make room there"):
        open_model("scenes", checkpoint, settings)


def test_of_several_the_one_that_cannot_be_loaded_is_named(checkpoint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"garbage")
    models = Models(Settings((("net", str(checkpoint)), ("other", str(broken)))))
    with pytest.raises(WeightsError, match=rf"^{broken}: the checkpoint is no \.safetensors file; give"):
        models.load()
