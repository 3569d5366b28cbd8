"""The search for a CRF's settings: its way, what it maximises, and the file that it leaves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fullconv.crf.mean_field import CRFSpec, Refined
from fullconv.crf.settings import Tuned, read_crf
from fullconv.crf.tune import climb, tune
from fullconv.data.sample import Sample
from fullconv.data.scenes.scenes import SEMANTIC, Scenes
from fullconv.errors import DataError, FullconvError, SpecError
from fullconv.evaluation import compare
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.labels import LabelSet, voc_colors


class Coarse:
    """An engine that knows the truth of Scenes at an eighth of the resolution, and is not sure of it."""

    def __init__(self, scenes: Scenes) -> None:
        self.heads, self.inputs, self.device = {"semantic": 7}, ("rgb",), torch.device("cpu")
        self.known = {}
        for index in range(len(scenes)):
            sample = scenes[index]
            truth = nn.functional.one_hot(sample.targets["semantic"].as_subclass(torch.Tensor).long(), 7).permute(2, 0, 1)[None]
            small = nn.functional.avg_pool2d(truth.float(), 8)
            self.known[sample.picture.tobytes()] = 4 * nn.functional.interpolate(small, scale_factor=8.0, mode="bilinear")

    def __call__(self, batch: dict) -> dict:
        return {"semantic": self.known[batch["rgb"][0].numpy().transpose(1, 2, 0).tobytes()]}


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes("val", 4, (40, 56))


@pytest.fixture(scope="module")
def predictor(scenes: Scenes) -> Predictor:
    return Predictor(Coarse(scenes), {"semantic": SEMANTIC})


def test_the_search_reaches_the_top_of_a_hill_and_measures_nothing_twice() -> None:
    seen = []

    def hill(crf: CRFSpec) -> float:
        seen.append(crf)
        far = [np.log2(crf.appearance_color / 40), np.log2(crf.smoothness_weight / 1.5), np.log2(crf.appearance_position / 85)]
        return -float(np.square(far).sum())

    found = climb(hill, CRFSpec(appearance_color=10, smoothness_weight=3, appearance_position=60))
    assert (found.appearance_color, found.smoothness_weight) == (40, 1.5)
    assert found.appearance_position == pytest.approx(84.9)
    assert (found.appearance_weight, found.smoothness_position, found.iterations) == (4, 3, 10)
    assert len(seen) < 30


def test_the_search_stays_within_what_is_allowed() -> None:
    found = climb(lambda crf: crf.appearance_weight, CRFSpec(appearance_weight=300))
    assert found.appearance_weight == pytest.approx(849)
    assert climb(lambda crf: 0.0, CRFSpec()) == CRFSpec()


def test_what_is_told_is_what_evaluation_measures(scenes: Scenes, predictor: Predictor) -> None:
    steps: list[Tuned] = []
    counts: list[int] = []
    found = tune(predictor, scenes, start=CRFSpec(iterations=3), progress=counts.append, better=steps.append)
    assert steps[-1].crf == found.crf
    assert [step.trimap_iu[1] for step in steps] == sorted({step.trimap_iu[1] for step in steps})
    assert counts == list(range(1, 4 * found.trials + 1))
    plain = Refined(predictor, "semantic", CRFSpec(iterations=0))
    models = {"before": (plain, SEMANTIC), "after": (Refined(predictor, "semantic", found.crf), SEMANTIC)}
    studies = compare(models, scenes).studies.values()
    assert found.mean_iu == pytest.approx([study.report.metrics.mean_iu for study in studies])
    assert found.trimap_iu == pytest.approx([np.mean([b.mean_iu for b in study.trimap.metrics()]) for study in studies])
    assert found.trimap_iu[1] > found.trimap_iu[0]
    assert (found.data, found.images) == ("scenes val", 4)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    tuned = Tuned(crf=CRFSpec(appearance_color=28.3), data="voc2012 val", images=3, trials=2, trimap_iu=(0.25, 0.5))
    path = tmp_path / "new" / "crf.json"
    tuned.write(path)
    assert read_crf(str(path)) == tuned
    path.write_text('{"crf": {"smoothness_weight": 1}}')
    assert read_crf(str(path)).crf == CRFSpec(smoothness_weight=1)
    with pytest.raises(FullconvError, match="cannot write"):
        tuned.write(path / "below-a-file.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"crf.json: Invalid JSON: EOF .*; correct it, or run fullconv tune again"),
        (b'{"crf": {"appearance_weight": 1', r"Invalid JSON"),
        (b"\xff\xfe", r"Invalid JSON"),
        (b"[1, 2]", r"crf.json: Input should be"),
        (b"{}", r"crf.json: crf: Field required"),
        (
            b'{"crf": {"appearance_wieght": 1}}',
            r"crf.appearance_wieght: unknown; crf may have appearance_weight, .*, iterations; correct it",
        ),
        (b'{"crf": {"appearance_weight": -1}}', r"crf.appearance_weight: Input should be greater than or equal to 0"),
        (b'{"crf": {"appearance_color": 0}}', r"crf.appearance_color: Input should be greater than or equal to 0.1"),
        (b'{"crf": {"smoothness_position": NaN}}', r"crf.smoothness_position: Input should be a finite number"),
        (b'{"crf": {"iterations": 2.5}}', r"crf.iterations: Input should be a valid integer"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "crf.json"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=message):
        read_crf(str(path))


def test_names_that_mean_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no refinement is called 'CRFs'; write crf, or the .json file that fullconv tune wrote"):
        read_crf("CRFs")
    with pytest.raises(SpecError, match=r"cannot read .*none.json: No such file or directory"):
        read_crf(str(tmp_path / "none.json"))


class Flat:
    """One image of one class: no border anywhere."""

    name, labels = "flat", {"semantic": SEMANTIC}

    def __init__(self, count: int = 1) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        return Sample.from_arrays("one", {"rgb": np.zeros((8, 8, 3), np.uint8)}, {"semantic": np.zeros((8, 8), np.uint8)})


def test_what_cannot_be_tuned_on(checkpoint: Path) -> None:
    predictor = load(checkpoint)
    with pytest.raises(DataError, match="flat is empty"):
        tune(predictor, Flat(0))
    with pytest.raises(DataError, match="no pixel with truth is near a border"):
        tune(predictor, Flat())
    other = Flat()
    other.labels = {"semantic": LabelSet(("cat", "dog"), voc_colors(2))}
    with pytest.raises(DataError, match="has no ground truth of the classes that head semantic predicts"):
        tune(predictor, other)
