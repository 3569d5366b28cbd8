"""Stage by stage is what the whole image gives, whatever each stage computes at once and wherever it is begun."""

import functools
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.ops import SqueezeExcitation

from fullconv.errors import DataError, GeometryError, SpecError
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled import predict_windows
from fullconv.inference.tiled.ahead import STRIP
from fullconv.inference.tiled.part import Part
from fullconv.inference.tiled.plan import cut
from fullconv.inference.tiled.stage_plan import plan_stages
from fullconv.inference.tiled.staged import StagePlan, predict_staged
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.nn.stages import stages_of
from fullconv.spec import ModelSpec

LABELS = LabelSet(("sky", "sea", "sand"))
CASES = {
    "minivgg": ModelSpec(name="fcn8s-minivgg"),
    "vgg16": ModelSpec(name="fcn8s-narrow-vgg16", padding="paper"),
    "alexnet": ModelSpec(name="fcn16s-narrow-alexnet", padding="same"),
    "squeezenet": ModelSpec(name="fcn4s-squeezenet1_1"),
    "depth": ModelSpec(name="fcn16s-minivgg", streams=("rgb+depth",)),
}


@functools.cache
def predictor_of(case: str, dtype: torch.dtype = torch.float64) -> Predictor:
    torch.manual_seed(0)
    model = build_model(CASES[case], len(LABELS))
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.1)
    return Predictor(model.to(dtype), {"semantic": LABELS})


def squeezing() -> nn.Module:
    """Return a classifier with squeeze-and-excitation, which sees the whole image."""
    features = [nn.Conv2d(3, 6, 4, 4), nn.ReLU(), SqueezeExcitation(6, 2), nn.Conv2d(6, 6, 8, 8), nn.ReLU()]
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))


def image_of(size: tuple[int, int]) -> dict[str, NDArray[np.generic]]:
    draw = np.random.default_rng(size[0] * 1000 + size[1])
    pixels = draw.integers(0, 256, (*size, 3), np.uint8)
    return {"rgb": pixels, "depth": draw.uniform(0, 5, (*size, 1)).astype(np.float32)}


def reader(image: dict[str, NDArray[np.generic]]) -> Callable[[int, int, int, int], dict[str, NDArray[np.generic]]]:
    height, width = image["rgb"].shape[:2]

    def read(top: int, left: int, rows: int, columns: int) -> dict[str, NDArray[np.generic]]:
        assert 0 <= top <= top + rows <= height
        assert 0 <= left <= left + columns <= width
        return {name: pixels[top : top + rows, left : left + columns] for name, pixels in image.items()}

    return read


def whole_logits(predictor: Predictor, image: dict[str, NDArray[np.generic]]) -> Tensor:
    batch = {name: torch.from_numpy(image[name].transpose(2, 0, 1).copy())[None] for name in predictor.engine.inputs}
    with torch.inference_mode():
        return predictor.model(batch)["semantic"][0]


def seen(predict: Callable[..., object], size: tuple[int, int], first_row: int = 0) -> tuple[Tensor, NDArray[np.uint8]]:
    """Return the logits and labels of all parts, each pixel from one part alone."""
    logits, labels = torch.full((len(LABELS), *size), torch.nan, dtype=torch.float64), np.full(size, 255, np.uint8)

    def look(top: int, left: int, found: Tensor) -> None:
        place = logits[:, top : top + found.shape[1], left : left + found.shape[2]]
        assert place.isnan().all()
        place.copy_(found)

    parts: list[Part] = list(predict(first_row=first_row, look=look))  # type: ignore[call-overload]  # an iterator of parts
    for part in parts:
        height, width = part.labels.shape
        labels[part.top : part.top + height, part.left : part.left + width] = part.labels
    return logits, labels


def plan_of(predictor: Predictor, chunk: int, wide: int) -> StagePlan:
    (trunk,) = predictor.model.trunks.values()
    stages = stages_of(trunk)
    return StagePlan([chunk + 3 * i for i in range(len(stages))], [wide + i for i in range(len(stages))])


@settings(max_examples=6)
@given(st.sampled_from(sorted(CASES)), st.integers(1, 300), st.integers(1, 140), st.integers(4, 40), st.integers(12, 60))
@example("vgg16", 300, 40, 4, 12)
@example("depth", 1, 1, 4, 12)
def test_staged_is_the_whole_image(case: str, height: int, width: int, chunk: int, wide: int) -> None:
    predictor, image = predictor_of(case), image_of((height, width))
    plan = plan_of(predictor, chunk, wide)
    logits, labels = seen(functools.partial(predict_staged, predictor, reader(image), (height, width), plan), (height, width))
    whole = whole_logits(predictor, image)
    torch.testing.assert_close(logits, whole, rtol=0, atol=1e-12 * max(whole.abs().max().item(), 1))
    assert np.array_equal(labels, whole.argmax(0).numpy())


def test_begun_further_down_it_gives_the_same_to_the_last_bit() -> None:
    size = (3 * STRIP + 17, 64)
    predictor, image = predictor_of("minivgg", torch.float32), image_of(size)
    predict = functools.partial(predict_staged, predictor, reader(image), size, plan_of(predictor, 8, 24))
    from_top, _ = seen(predict, size)
    for row in (STRIP, 2 * STRIP):
        below, _ = seen(predict, size, row)
        assert torch.equal(below[:, row:], from_top[:, row:])
        assert below[:, :row].isnan().all()


@settings(max_examples=5)
@given(st.sampled_from(sorted(CASES)), st.integers(1, 160), st.integers(1, 160), st.integers(60, 130))
def test_windows_give_the_labels_of_the_whole_image(case: str, height: int, width: int, tile: int) -> None:
    predictor, image = predictor_of(case, torch.float32), image_of((height, width))
    predict = functools.partial(predict_windows, predictor, reader(image), (height, width), tile=(tile, 2 * tile))
    logits, labels = seen(predict, (height, width))
    whole = whole_logits(predictor, image).double()
    torch.testing.assert_close(logits, whole, rtol=0, atol=1e-4)
    sure = whole.topk(2, 0).values.diff(dim=0).abs()[0] > 1e-4
    assert np.array_equal(labels[sure.numpy()], whole.argmax(0).numpy()[sure.numpy()])


def test_more_memory_is_less_work_and_less_than_needed_is_refused() -> None:
    model, memories = predictor_of("squeezenet", torch.float32).model, (60_000_000, 120_000_000, 500_000_000)
    works = [plan_stages(model, "semantic", (4000, 4000), memory) for memory in memories]
    assert works[0][1] > works[1][1] > works[2][1] > 1
    assert all(taken <= memory for (_, _, taken), memory in zip(works, memories, strict=True))
    with pytest.raises(DataError, match=r"0 MB of memory are left for an image, and its smallest part takes \d+ MB"):
        plan_stages(model, "semantic", (4000, 4000), 100_000)


class Counting(TorchDispatchMode):
    """Counts the multiplications of convolutions whose numbers are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.multiplications = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        real = found.device.type == "cpu" and not isinstance(found, FakeTensor) if isinstance(found, Tensor) else False
        if func is torch.ops.aten.conv2d.default and real:
            self.multiplications += found.numel() * args[1][0].numel()
        return found


@pytest.mark.parametrize(("case", "most"), [("vgg16", 1.0), ("squeezenet", 1.2)])
def test_the_work_is_what_was_planned(case: str, most: float) -> None:
    size = (400, 300)
    predictor, image = predictor_of(case), image_of(size)
    how = cut(predictor_of(case, torch.float32), size, 30_000_000)
    with Counting() as whole:
        whole_logits(predictor, image)
    with Counting() as staged:
        parts = sum(1 for _ in how.parts(predictor, reader(image), size))
    assert parts == 2
    assert 1 <= how.overhead <= most
    # of a small image few rows are computed at once, and of those at both ends of a map fewer than was planned
    assert staged.multiplications / whole.multiplications == pytest.approx(how.overhead, rel=0.03)


def test_what_cannot_be_tiled_is_refused_in_words() -> None:
    sees_all = Predictor(build_model("fcn32s-mine", 3, backbone=squeezing), {"semantic": LABELS})
    with pytest.raises(GeometryError, match="sees the whole image at once"):
        cut(sees_all, (300, 300), 10**9)
    about = cut(sees_all, (300, 300), 10**9, tile=100, approximate=True).about
    assert about.startswith("by approximation, in blended windows of 100×100 px, which differ from the whole image")
    resizing = Predictor(predictor_of("minivgg", torch.float32).model, {"semantic": LABELS}, scale=0.5)
    with pytest.raises(SpecError, match=r"trained on images resized by 0\.5"):
        next(predict_windows(resizing, reader(image_of((10, 10))), (10, 10), tile=5))


def test_a_window_of_another_size_is_an_error() -> None:
    with pytest.raises(DataError, match="a window of 10×12 px at row 0, column 0 was read as"):
        next(predict_windows(predictor_of("minivgg", torch.float32), lambda *_: np.zeros((5, 5, 3), np.uint8), (10, 12), tile=64))
