"""Table 1: what is counted equals the paper's numbers; rows and claims when nets train, and when weights are missing."""

from pathlib import Path

import pytest
import torch
from in_small import Small, assert_trained_as_planned
from made_scores import net
from rich.console import Console

from fullconv.geometry.trace import trace
from fullconv.nn.build import build_model
from fullconv.paper import table1
from fullconv.paper.experiment import Context
from fullconv.paper.findings import Finding, Row
from fullconv.paper.published import published
from fullconv.paper.table1 import NETS, architecture, depth, forward_seconds, plan
from fullconv.spec import ModelSpec


@pytest.mark.parametrize("item", NETS)
def test_whole_nets_have_the_papers_numbers(item: str) -> None:
    found, paper = architecture(f"caffe-{NETS[item]}"), published("T1").paper[item]
    assert found.conv_layers == paper["conv layers"]
    assert round(found.parameters / 1e6) == paper["parameters M"]
    assert found.classifier_field == paper["receptive field px"]
    assert found.stride == paper["stride px"]
    assert found.field == (715 if item == "FCN-GoogLeNet" else found.classifier_field)


def test_depth_is_the_longest_way() -> None:
    class Branches(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.long, self.longer, self.short = (torch.nn.Conv2d(3, 3, 1) for _ in range(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return torch.relu(self.longer(self.long(x)) + self.short(x))

    geometry = trace(Branches())
    assert [depth(geometry, geometry.index[name]) for name in ("image", "first", "short", "longer", "relu")] == [0, 1, 2, 3, 3]


def test_times_are_taken_in_turns_and_the_first_is_not_counted() -> None:
    calls: list[str] = []
    models = {name: build_model(ModelSpec(name="fcn32s-minivgg"), {"semantic": 2}).eval() for name in ("a", "b")}
    for name, model in models.items():
        model.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    found = forward_seconds(models, 33, 2)
    assert calls == ["a", "b"] * 3
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 2, "b": 2}
    assert min(min(seconds) for seconds in found.values()) > 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small images and narrow nets where whole ones are timed."""
    monkeypatch.setattr(table1, "SIDE", 40)
    monkeypatch.setattr(table1, "REPEATS", 2)
    build = table1.build_model
    narrow = lambda spec, heads: build(ModelSpec(name=spec.name.replace("caffe", "narrow")), heads)  # noqa: E731
    monkeypatch.setattr(table1, "build_model", narrow)


@pytest.mark.usefixtures("quick")
def test_on_scenes_all_columns_are_measured(small: Small) -> None:
    found = table1.run(small.named("T1", 0.001))
    assert_trained_as_planned(small, "T1", 0.008)
    assert found.complete
    for item in NETS:
        assert 0 < found.row(item, "mean IU").mean < 100
        assert found.row(item, "conv layers").mean == found.row(item, "conv layers").paper
    row = found.row("FCN-VGG16", "mean IU")
    assert row.protocol == "fcn32s-narrow-vgg16 from scratch, 2 steps of 8"
    assert row.data == "scenes val, 4 images"
    assert (row.paper, row.reference) == (56.0, 63.6)
    assert found.row("FCN-AlexNet", "forward relative to VGG16").paper == 0.24
    assert found.row("FCN-GoogLeNet", "receptive field px without the last pooling").mean == 715
    assert len(found.claims) == 3
    assert found.claims[2].holds
    assert (small.out / "T1" / "predictions.png").stat().st_size > 5000


@pytest.mark.usefixtures("quick")
def test_without_weights_everything_but_the_score_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise table1.WeightsError("no weights for 'caffe-vgg16': no such file, $FULLCONV_WEIGHTS is not set")

    monkeypatch.setattr(Context, "train", refuse)
    found = table1.run(Context(tmp_path, "T1", "voc2011", tmp_path, console=Console(quiet=True)))
    assert not found.complete
    assert "not run: no weights for 'caffe-vgg16'" in found.row("FCN-VGG16", "mean IU").cells()[4]
    assert all(row.measured for row in found.rows if row.quantity != "mean IU")
    assert [claim.text[:5] for claim in found.claims] == ["AlexN", "depth"]
    assert found.pictures == ()


def test_real_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    recipe = plan(Context(tmp_path, "T1", "voc2012", tmp_path), 3)["FCN-GoogLeNet"].recipe
    assert (recipe.model.name, recipe.data.val, recipe.train.seed) == ("fcn32s-googlenet", "val", 3)
    recipe = plan(Context(tmp_path, "T1", "voc2011", tmp_path), 0)["FCN-VGG16"].recipe
    assert (recipe.data.name, recipe.data.val) == ("voc2011", "val")


@pytest.fixture(scope="module")
def architectures() -> tuple[Row, ...]:
    """What is counted of the three nets."""
    return tuple(row for item, backbone in NETS.items() for row in table1._architecture(item, backbone))


def test_two_nets_are_compared_where_the_third_has_no_weights(architectures: tuple[Row, ...]) -> None:
    rows = list(architectures)
    rows += [Row(item, "forward relative to VGG16", (0.3,), "", "", paper=0.24) for item in NETS]
    two = {"FCN-AlexNet": net(30.0), "FCN-VGG16": net(40.0)}
    claim = table1._claims(Finding(tuple(rows)), two)[0]
    assert claim.text == "VGG16 is better than FCN-AlexNet, the third is not trained, in mean IU"
    assert claim.holds
    assert len(table1._claims(Finding(tuple(rows)), {"FCN-AlexNet": net(30.0), "FCN-GoogLeNet": net(30.0)})) == 2


@pytest.mark.parametrize(
    ("vgg", "google", "holds"),
    [
        ((40.0, 41.0, 42.0), (35.0, 36.0, 37.0), True),
        ((40.0, 41.0, 42.0), (42.0, 36.0, 43.0), None),
        ((40.0, 41.0, 42.0), (44.0, 46.0, 47.0), False),
    ],
)
def test_the_best_is_best_beyond_chance(
    vgg: tuple[float, ...], google: tuple[float, ...], holds: bool | None, architectures: tuple[Row, ...]
) -> None:
    scores = {"FCN-AlexNet": net(30.0, 30.0, 30.0), "FCN-VGG16": net(*vgg), "FCN-GoogLeNet": net(*google)}
    rows = list(architectures)
    rows += [Row(item, "forward relative to VGG16", (0.3,), "", "", paper=0.24) for item in NETS]
    assert table1._claims(Finding(tuple(rows)), scores)[0].holds is holds
