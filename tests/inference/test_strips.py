"""Labels that are made strip by strip are those of the whole logits, and what is no number is found in every strip."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.errors import WeightsError
from fullconv.inference.engines import net
from fullconv.inference.engines.net import NetEngine
from fullconv.inference.finite import check_finite
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.inference.threshold import labels_at
from fullconv.labels import LabelSet
from fullconv.nn.upsample import Deconvolution


@settings(max_examples=60)
@given(data=st.data(), factor=st.sampled_from([1, 2, 4, 8, 32]), high=st.integers(1, 9))
def test_rows_are_those_of_the_whole(data: st.DataObject, factor: int, high: int) -> None:
    kernel = data.draw(st.sampled_from([max(2 * factor - 1, 1), 2 * factor]), "kernel")
    layer = Deconvolution(3, kernel, factor, learned=False)
    scores = torch.randn(2, 3, high, 4, generator=torch.Generator().manual_seed(high))
    whole = layer(scores)
    first = data.draw(st.integers(0, whole.shape[2] - 1), "first")
    last = data.draw(st.integers(first + 1, whole.shape[2]), "last")
    torch.testing.assert_close(layer.rows(scores, first, last), whole[:, :, first:last], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (8, 30), (9, 1), (45, 31)])
def test_labels_in_strips_are_those_of_the_logits(
    size: tuple[int, int], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = load(checkpoint, "cpu")
    images = {"rgb": torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))}
    truth = predictor.logits(images)["semantic"].argmax(1)[0].numpy()
    monkeypatch.setattr(net, "STRIP", 8)
    np.testing.assert_array_equal(predictor.labels_of(images), truth)
    np.testing.assert_array_equal(predictor.predict(images["rgb"]).labels, truth)


def test_a_large_image_is_never_whole_in_memory(checkpoint: Path) -> None:
    """The memory behind every strip is that of one strip."""
    predictor = load(checkpoint, "cpu")
    assert isinstance(predictor.engine, NetEngine)
    batch = {"rgb": torch.zeros(1, 3, 5 * net.STRIP + 3, 20, dtype=torch.uint8)}
    with torch.inference_mode():
        strips = list(predictor.engine.strips(batch, "semantic"))
        whole = predictor.engine(batch)["semantic"]
    assert [strip.shape[2] for strip in strips] == [*[net.STRIP] * 5, 3]
    assert max(strip.untyped_storage().nbytes() for strip in strips) < whole.untyped_storage().nbytes() / 4


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_number_that_is_none_is_found(bad: float, layout: torch.memory_format) -> None:
    logits = torch.randn(2, 5, 13, 11).to(memory_format=layout)[..., 1:10]
    assert check_finite(logits) is logits
    logits[1, 3, 12, 8] = bad
    with pytest.raises(WeightsError, match="logits that are not finite"):
        check_finite(logits)


class Broken:
    """An engine whose second strip holds a number that is none."""

    inputs, heads, device = ("rgb",), {"semantic": 2}, torch.device("cpu")

    def __call__(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"semantic": torch.cat(list(self.strips(batch, "semantic")), 2)}

    def strips(self, batch: Mapping[str, torch.Tensor], head: str) -> list[torch.Tensor]:
        logits = torch.zeros(1, 2, *batch["rgb"].shape[2:])
        logits[0, 1, -1, -1] = -torch.inf
        return list(logits.split(4, 2))


def test_damage_in_the_last_strip_is_told() -> None:
    predictor = Predictor(Broken(), {"semantic": LabelSet(("a", "b"))})
    with pytest.raises(WeightsError, match="logits that are not finite"):
        predictor.predict(np.zeros((9, 5, 3), np.uint8))


def test_of_equal_logits_the_first_class_is_taken() -> None:
    random = torch.randint(0, 3, (1, 6, 50, 60), generator=torch.Generator().manual_seed(0)).float()
    for logits in (random, random.to(memory_format=torch.channels_last)):
        found = labels_at(logits, LabelSet(tuple("abcdef")), None)
        np.testing.assert_array_equal(found.numpy(), random.numpy().argmax(1))
