"""One dense pass against the classifier slid over the same grid of windows: what sharing the windows' overlap saves.

Long et al. 2015, section 3.1: AlexNet takes 1.2 ms for one window and 22 ms for a 10x10 grid of outputs at once, backward
2.4 ms and 37 ms. Here both run on this machine, in turns. The windows have their best chance: they are cut out beforehand
and classified many at a time, so what is measured is computing, not calls.

Letters: N windows, K classes, g side of the grid of outputs.
"""

import statistics
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fullconv.evaluation.plots import figure
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.backbones.caffe import initialise
from fullconv.nn.convolutionalize import DenseClassifier, convolutionalize
from fullconv.paper.experiment import Context
from fullconv.paper.findings import Claim, Finding, Picture, Row
from fullconv.paper.published import published

BACKBONE, SIDE, STRIDE = "caffe-alexnet", 227, 32
GRIDS = {1: 5, 2: 5, 5: 3, 10: 3}
"""Sides of the grids that are timed, and how often each is."""
BATCH = 100
"""Windows at a time: the quickest of 1, 5, 10, 25, 50 and 100 for a 10x10 grid, measured on two CPU cores that were busy."""
PASSES = ("forward", "forward + backward")
PAPERS_GRID = 10
CLAIMED = 5
"""The paper: "more than 5 times faster than the naive approach"."""
TOLERANCE = 1e-4


class Passes(NamedTuple):
    """One number for the forward pass, and one for forward and backward together."""

    forward: float
    both: float


@dataclass(frozen=True)
class Timing:
    """Median seconds of ``repetitions`` that a grid of ``grid`` times ``grid`` outputs took, at once and window by window."""

    grid: int
    at_once: Passes
    windows: Passes
    repetitions: int

    @property
    def faster(self) -> Passes:
        """How many times faster the dense pass is: forward, and with the backward pass."""
        return Passes(self.windows.forward / self.at_once.forward, self.windows.both / self.at_once.both)


def sliding(context: Context) -> Finding:
    """Return what a dense pass saves at each grid of :data:`GRIDS`; draws ``sliding.png`` into the context's folder."""
    context.say("sliding: one dense pass against window by window, AlexNet")
    difference = small_difference()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    classifier = BACKBONES[BACKBONE].build().eval().to(device)
    dense = convolutionalize(classifier, (SIDE, SIDE))
    timings = []
    wall, busy = time.perf_counter(), time.process_time()
    for grid, repetitions in GRIDS.items():
        timings.append(measure(classifier, dense, grid, repetitions))
        context.say(f"  {grid}x{grid} outputs: {timings[-1].faster.forward:.1f}x, {timings[-1].faster.both:.1f}x with backward")
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    picture = _draw(context.folder / "sliding.png", timings)
    notes = [] if device == "cuda" else _processor_notes(timings, busy / wall / torch.get_num_threads())
    return Finding(tuple(rows(timings)), tuple(claims(timings, difference)), (picture,), tuple(notes))


def cut_windows(image: Tensor, side: int, stride: int) -> Tensor:
    """Return the windows (g * g, C, side, side) of an image (1, C, H, W), every ``stride`` px, row by row."""
    cut = image.unfold(2, side, stride).unfold(3, side, stride)  # (1, C, g, g, side, side)
    return cut.permute(0, 2, 3, 1, 4, 5).flatten(0, 2).contiguous()


def small_difference(grid: int = 3) -> float:
    """Return how far window by window is from at once on a narrow AlexNet without padding, relative to the largest score.

    There both are one function. AlexNet itself pads, so a window that was cut out sees zeros where the image goes on;
    :func:`fullconv.nn.proof.prove` shows that it computes the same too, once a window is given its surroundings.
    """
    torch.manual_seed(0)
    narrow = _narrow().eval()
    dense = convolutionalize(narrow, (SIDE, SIDE))
    image = torch.randn(1, 3, *[SIDE + STRIDE * (grid - 1)] * 2)
    with torch.inference_mode():
        at_once = dense(image)[0].flatten(1).T  # (K, g, g) -> (g * g, K)
        one_by_one = narrow(cut_windows(image, SIDE, STRIDE))
    return ((at_once - one_by_one).abs().max() / one_by_one.abs().max()).item()


def _narrow() -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 8, 11, 4), relu1=nn.ReLU(), pool1=nn.MaxPool2d(3, 2),
        conv2=nn.Conv2d(8, 8, 5), relu2=nn.ReLU(), pool2=nn.MaxPool2d(3, 2),
        conv3=nn.Conv2d(8, 8, 3), conv4=nn.Conv2d(8, 8, 3), conv5=nn.Conv2d(8, 8, 3), pool5=nn.MaxPool2d(3, 2),
        flatten=nn.Flatten(), fc6=nn.Linear(8 * 2 * 2, 5),
    )  # fmt: skip
    return initialise(nn.Sequential(layers))


def measure(classifier: nn.Module, dense: DenseClassifier, grid: int, repetitions: int) -> Timing:
    """Return the times of a grid of outputs of a noise image; the two ways take turns."""
    side = SIDE + STRIDE * (grid - 1)
    image = torch.randn(1, 3, side, side, device=next(classifier.parameters()).device)
    windows = cut_windows(image, SIDE, STRIDE).split(BATCH)
    nets: dict[str, tuple[nn.Module, Sequence[Tensor]]] = {"at once": (dense, [image]), "windows": (classifier, windows)}
    steps = {"forward": _forward, "both": _both}
    found: dict[tuple[str, str], list[float]] = {(way, what): [] for way in nets for what in steps}
    for repetition in range(repetitions + 1):
        for way, what in found:
            seconds = _timed(steps[what], *nets[way])
            if repetition:  # the first warms up
                found[way, what].append(seconds)
    medians = {key: statistics.median(values) for key, values in found.items()}
    at_once, windowed = (Passes(medians[way, "forward"], medians[way, "both"]) for way in nets)
    return Timing(grid, at_once, windowed, repetitions)


def _forward(net: nn.Module, parts: Sequence[Tensor]) -> None:
    with torch.inference_mode():
        for part in parts:
            net(part)


def _both(net: nn.Module, parts: Sequence[Tensor]) -> None:
    """Run forward and backward: the gradient of the sum of all scores for all parameters; each batch frees its maps."""
    for part in parts:
        net(part).sum().backward()


def _timed(step: Callable[[nn.Module, Sequence[Tensor]], None], net: nn.Module, parts: Sequence[Tensor]) -> float:
    wait: Callable[[], Any] = torch.cuda.synchronize if parts[0].is_cuda else lambda: None
    wait()
    start = time.perf_counter()
    step(net, parts)
    wait()
    seconds = time.perf_counter() - start
    net.zero_grad(set_to_none=True)  # AlexNet's gradients are 250 MB
    return seconds


def papers_speed_up() -> Passes:
    """Return the paper's ratios at 10x10, derived from its figures: 100 windows against one pass.

    Examples
    --------
    >>> forward, both = papers_speed_up()
    >>> f"{forward:.1f} {both:.1f}"  # 120 / 22 and 360 / 59
    '5.5 6.1'
    """
    window, grid = (_printed(item) for item in ("one window", "10x10 grid at once"))
    assert window is not None  # both stand in published.yaml
    assert grid is not None
    return Passes(*(PAPERS_GRID**2 * one / many for one, many in zip(window, grid, strict=True)))


def _printed(item: str) -> Passes | None:
    """Return the paper's milliseconds of a row; it prints forward and backward apart."""
    figures = published("sliding").paper.get(item)
    return None if figures is None else Passes(figures["forward ms"], figures["forward ms"] + figures["backward ms"])


def rows(timings: Sequence[Timing]) -> list[Row]:
    """Return milliseconds and ratios of every grid, and of one window as a share of the largest grid's."""
    last = timings[-1]
    share = Passes(*(value / last.grid**2 for value in last.windows))
    found = _milliseconds("one window", share, last, f"a share of {last.grid**2} at a time")
    for timing in timings:
        name = f"{timing.grid}x{timing.grid}"
        found += _milliseconds(f"{name} grid at once", timing.at_once, timing, "one pass")
        found += _milliseconds(f"{name} windows", timing.windows, timing, f"{min(BATCH, timing.grid**2)} at a time")
        printed = papers_speed_up() if timing.grid == PAPERS_GRID else (None, None)
        for what, ratio, paper in zip(PASSES, timing.faster, printed, strict=True):
            found.append(Row(f"{name} speed-up", f"{what} ×", (ratio,), _data(timing), "windows / at once", paper=paper))
    return found


def _milliseconds(item: str, seconds: Passes, timing: Timing, how: str) -> list[Row]:
    protocol, data = f"{how}, median of {timing.repetitions}", _data(timing)
    values, printed = [1000 * value for value in seconds], _printed(item) or (None, None)
    return [
        Row(item, f"{what} ms", (value,), data, protocol, paper=paper, digits=0 if value >= 100 else 1)
        for what, value, paper in zip(PASSES, values, printed, strict=True)
    ]


def _data(timing: Timing) -> str:
    side = SIDE + STRIDE * (timing.grid - 1)
    return f"noise, {side}×{side} px, random AlexNet"


def claims(timings: Sequence[Timing], difference: float) -> list[Claim]:
    """Return what the paper says of the dense pass, judged by the largest grid; ``difference`` is of :func:`small_difference`."""
    last, printed = timings[-1], papers_speed_up()
    grid = f"{last.grid}×{last.grid}"
    forward = [timing.faster.forward for timing in timings]
    listed = ", ".join(f"{ratio:.1f}× at {timing.grid}×{timing.grid}" for ratio, timing in zip(forward, timings, strict=True))
    same = "window by window and at once give the same scores (narrow AlexNet without padding)"
    return [
        Claim(same, difference <= TOLERANCE, f"largest difference {difference:.0e} of the largest score"),
        Claim(
            f"a {grid} grid at once is more than {CLAIMED}× faster than its windows, forward",
            last.faster.forward > CLAIMED,
            f"{last.faster.forward:.1f}×; paper {printed.forward:.1f}×",
        ),
        Claim(
            f"and so it is with the backward pass, at {grid}",
            last.faster.both > CLAIMED,
            f"{last.faster.both:.1f}×; paper {printed.both:.1f}×",
        ),
        Claim("the advantage grows with the grid", forward == sorted(set(forward)), listed),
    ]


def _processor_notes(timings: Sequence[Timing], share: float) -> list[str]:
    """Return what to know about times of a processor; ``share`` is the part of its threads' time that this process had."""
    notes = [
        f"Sliding: while it was timed, this process had {share:.0%} of the time of {torch.get_num_threads()} threads. Much less "
        "than all means a busy machine, and then the ratios are worth little: repeat it when nothing else runs."
    ]
    if timings[0].faster.forward < 1:
        notes.append(
            "A single window is slower in the dense form: AlexNet's first dense layer took 178 ms as a 6×6 convolution against "
            "12 ms as a matrix product (one core, torch 2.14.1), and it costs that once for any grid."
        )
    return notes


def _draw(path: Path, timings: Sequence[Timing]) -> Picture:
    """Draw seconds and ratio over the side of the grid."""
    grids, printed = [timing.grid for timing in timings], papers_speed_up()
    with figure(path, (10, 4)) as drawing:
        seconds, ratio = drawing.subplots(1, 2)
        for what, title, style in zip(Passes._fields, PASSES, ("o-", "s--"), strict=True):
            for way, color in (("windows", "C3"), ("at_once", "C0")):
                values = [getattr(getattr(timing, way), what) for timing in timings]
                seconds.plot(grids, values, style, color=color, label=f"{way.replace('_', ' ')}, {title}")
            color = "C2" if what == "forward" else "C4"
            ratio.plot(grids, [getattr(timing.faster, what) for timing in timings], style, color=color, label=title)
            ratio.plot(PAPERS_GRID, getattr(printed, what), "*", markersize=12, color=color, label=f"paper, {title}")
        seconds.set_yscale("log")
        seconds.set_ylabel("seconds")
        ratio.axhline(1, color="grey", linewidth=0.8)
        ratio.set_ylabel("times faster at once")
        for plot in (seconds, ratio):
            plot.set_xlabel("side of the grid of outputs")
            plot.set_xticks(grids)
            plot.grid(alpha=0.3)
            plot.legend(fontsize=9)
    return Picture(path.name, "AlexNet at once and window by window on this machine; stars: the paper's figures, on a K40c.")
