"""Streams of a skip net: they add up to the net, and leaving one out is a net without it."""

import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.data.scenes.scenes import Scenes
from fullconv.metrics import ConfusionMatrix, metrics_of
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.paper.skip_contributions import ablation, contributions, draw_streams, most_refined_class
from fullconv.spec import ModelSpec


@pytest.fixture(scope="module")
def model() -> FCN:
    torch.manual_seed(0)
    net = build_model(ModelSpec(name="fcn8s-minivgg", hidden_layers=False), {"semantic": 7})
    for parameter in net.score_parameters():
        torch.nn.init.normal_(parameter)
    return net.eval()


@pytest.mark.parametrize("size", [(40, 56), (33, 71), (1, 1)])
def test_the_streams_add_up_to_the_logits(model: FCN, size: tuple[int, int]) -> None:
    image = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    with torch.inference_mode():
        parts = contributions(model, "semantic", image)
        whole = model(image)["semantic"]
    assert list(parts) == [32, 16, 8]
    torch.testing.assert_close(sum(parts.values()), whole, atol=1e-4 * float(whole.abs().max()), rtol=0)


def test_without_a_stream_is_the_net_whose_score_layer_is_zero(model: FCN) -> None:
    """Second route: the layer's weights are set to zero and the whole net is run and counted."""
    scenes = Scenes("val", 2, (48, 64))
    found = ablation(model, "semantic", scenes)
    assert list(found) == ["all streams", "without deep", "without pool4", "without pool3", "deep alone"]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    for name, silenced in {"all streams": (), "without pool4": (16,), "without deep": (32,), "deep alone": (16, 8)}.items():
        with torch.no_grad():
            for stride in silenced:
                for parameter in model.head("semantic").score["rgb"][model.strides.index(stride)].parameters():
                    parameter.zero_()
        matrix = ConfusionMatrix(7)
        for i in range(len(scenes)):
            with torch.inference_mode():
                labels = model(scenes[i].inputs["rgb"][None])["semantic"][0].argmax(0).numpy()
            matrix.update(scenes[i].targets["semantic"].numpy(), labels)
        model.load_state_dict(weights)
        assert np.abs(found[name].matrix.matrix - matrix.matrix).sum() <= 4, name  # float ties at class borders
        assert found[name].metrics.mean_iu == pytest.approx(metrics_of(matrix).mean_iu, abs=2e-3)


def test_the_class_that_is_drawn_is_in_the_truth_and_varies_most() -> None:
    truth = np.array([[0] * 50, [2] * 49 + [255]])
    maps = torch.zeros(1, 4, 2, 50)
    maps[0, :, 0] = torch.tensor([1.0, 9.0, 3.0, 9.0])[:, None]
    assert most_refined_class([maps, maps], truth, 255) == 2
    assert most_refined_class([maps], np.full((2, 50), 255), 255) == 0


def test_the_picture_has_a_row_for_every_sample(model: FCN, tmp_path) -> None:  # type: ignore[no-untyped-def]
    for count in (1, 2):
        draw_streams(model, "semantic", Scenes("val", 2, (48, 64)), range(count), tmp_path / f"{count}.png")
    sizes = []
    for count in (1, 2):
        with Image.open(tmp_path / f"{count}.png") as picture:
            sizes.append(picture.size)
    one, two = sizes
    assert two[0] == one[0]
    assert two[1] > 1.5 * one[1]
