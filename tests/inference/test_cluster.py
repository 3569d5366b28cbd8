"""Many images on a Ray cluster of two workers on this machine; skips where the extra [ray] is not installed."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.errors import SpecError
from fullconv.inference.cluster import Cluster
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.files import predict_files
from fullconv.inference.jobs import find_jobs
from fullconv.inference.load import load

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # of its own names, in its own code
COUNT = 40


class FatalOnce(EagerEngine):
    """A net whose worker the system ends over the first image that is 5 px wide, once."""

    mark = ""

    def strips(self, batch, head):
        if batch["rgb"].shape[-1] == 5 and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().strips(batch, head)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    folder = tmp_path_factory.mktemp("album")
    random = np.random.default_rng(0)
    for number in range(COUNT):
        size = (17, 5) if number == 20 else (20, 30)
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{number:02}.png")
    (folder / "07.png").write_bytes(b"damaged")
    return folder


def contents(folder):
    """Without what a worker that was killed had begun, which lies beside its file and is hidden."""
    return {path.name: path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


def test_without_ray_it_says_what_to_install(checkpoint, album, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert main(["predict", str(checkpoint), str(album), "--out", f"{tmp_path}/out", "--ray", "local"]) == 1
    assert "error: this needs ray, which is not installed; pip install 'fullconv[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_workers_write_the_files_of_one_process_also_when_one_of_them_ends(checkpoint, album, tmp_path, monkeypatch):
    pytest.importorskip("ray.data", reason="needs the extra: pip install 'fullconv[ray]'")
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")  # workers find FatalOnce
    predictor = load(checkpoint, "cpu")
    predict_files(predictor, find_jobs([str(album)], tmp_path / "one"))
    fatal = load(checkpoint, "cpu")
    fatal.engine = FatalOnce(fatal.model)
    fatal.engine.mark = f"{tmp_path}/mark"
    told = []
    found = predict_files(
        fatal,
        find_jobs([str(album)], tmp_path / "two"),
        compute=Cluster(fatal, workers=2),
        progress=lambda done, of, _: told.append((done, of)),
    )
    assert (tmp_path / "mark").exists()  # a worker did end
    assert told == [(done, COUNT) for done in range(1, COUNT + 1)]  # each image once
    assert list(found.failed) == [str(album / "07.png")]
    assert len(found.predicted) == COUNT - 1
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_cluster_that_is_not_there(checkpoint, album, tmp_path):
    pytest.importorskip("ray.data", reason="needs the extra: pip install 'fullconv[ray]'")
    predictor = load(checkpoint, "cpu")
    with pytest.raises(SpecError, match=r"no Ray cluster at auto: .*; give local, auto or HOST:PORT"):
        predict_files(predictor, find_jobs([str(album)], tmp_path / "out"), compute=Cluster(predictor, "auto"))
