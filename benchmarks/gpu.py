"""How fast fullconv predicts and trains on a CUDA card, against what people would use instead, in one run of at most 2.5 minutes.

    python benchmarks/gpu.py [--out results.md] [--minutes 2.5] [--only predict|train]

Nets have 21 classes and random weights; images have 375×500 pixels. "plain port" is FCN-8s of VGG16 as ports of the reference
write it, run as people do: float32 as PyTorch has it on cards (TF32 in convolutions), NCHW, logits, argmax, labels to the
processor. Every way takes images uint8 on the processor and gives labels uint8 there. Times are medians of runs between two
CUDA events, after warming up; peak is what a large matrix product reaches in that precision here. What does not fit into the
minutes is left out and said.
"""

import argparse
import copy
import functools
import gc
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peers import PEERS, PLAIN, PlainPort, counted, ours
from torch import Tensor, nn

from fullconv.inference.engines.choose import ENGINES
from fullconv.inference.predictor import Predictor
from fullconv.labels import VOC
from fullconv.nn.fcn import FCN
from fullconv.nn.losses.upsampled import pixel_factors, upsampled_cross_entropy
from fullconv.spec import OptimizerSpec
from fullconv.training.optimizer import build_optimizer

SIZE = (375, 500)
NETS = ("fcn8s-caffe-vgg16", "fcn8s-vgg16", "fcn8s-resnet50", "fcn8s-efficientnet_lite0", "fcn8s-squeezenet1_1")
COMPILED = ("fcn8s-resnet50", "fcn8s-efficientnet_lite0")
"""Which are compiled too: it takes some fifteen seconds a net."""
TRAINED = ("fcn8s-caffe-vgg16", "fcn8s-resnet50", "fcn8s-efficientnet_lite0")
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ROUNDS = 10


class Took(NamedTuple):
    """Milliseconds of a run: the median, the least and the most."""

    median: float
    least: float
    most: float


def timed(run: Callable[[], Any], rounds: int = ROUNDS, warm: int = 6) -> Took:
    """Return how long a run takes on the card, from its first operation to its last."""
    for _ in range(warm):
        run()
    torch.cuda.synchronize()
    found = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        found.append(begin.elapsed_time(end))
    return Took(statistics.median(found), min(found), max(found))


def peaks() -> dict[str, float]:
    """Return 10¹² multiplications a second of a large matrix product in each precision; fp32 with TF32, as in convolutions."""
    found = {}
    torch.backends.cuda.matmul.allow_tf32 = True
    for name, dtype in TYPES.items():
        square = torch.randn(8192, 8192, device="cuda").to(dtype)
        took = timed(functools.partial(torch.matmul, square, square), 5, 3)
        found[name] = 8192**3 / 1e9 / took.least
    torch.backends.cuda.matmul.allow_tf32 = False
    return found


def plain_labels(net: nn.Module, images: Tensor, mean: Tensor | None = None) -> Tensor:
    """Return labels as a user computes them."""
    with torch.inference_mode():
        given = images.to("cuda")
        found = net(given if mean is None else given / 255 - mean)
        return (found["out"] if isinstance(found, dict) else found).argmax(1).to(torch.uint8).cpu()


HEADS = {
    "predict": (
        "| net | engine | batch | ms: median (least–most) | images/s | × plain port | × fcn_resnet50 | share of peak | equal |",
        "|---|---|---|---|---|---|---|---|---|",
    ),
    "train": (
        "| net | way | batch | ms a step | images/s | × plain | loss after 20 steps (plain) | peak memory |",
        "|---|---|---|---|---|---|---|---|",
    ),
}


class Prediction:
    """The rows of the table of prediction, one engine after the other."""

    def __init__(self, end: float, add: Callable[[str], None]) -> None:
        self.end, self.add, self.best = end, add, peaks()
        generator = torch.Generator().manual_seed(0)
        self.images = {n: torch.randint(0, 256, (n, 3, *SIZE), dtype=torch.uint8, generator=generator) for n in (1, 8)}
        self.peer: dict[tuple[str, int], float] = {}
        self.truths: dict[str, Tensor] = {}

    def row(self, net: str, engine: str, count: int, took: Took, labels: Tensor | None, work: float, precision: str) -> None:
        """Add a row."""
        speed = 1000 * count / took.median
        ratios = [
            f"{speed / self.peer[name, count]:.2f}" if (name, count) in self.peer else "" for name in (PLAIN, "fcn_resnet50")
        ]
        share = f"{work * count / took.median / self.best[precision]:.0%}" if work else ""
        equal = f"{(labels == self.truths[net]).float().mean():.3%}" if labels is not None and net in self.truths else ""
        spread = f"{took.median:.2f} ({took.least:.2f}–{took.most:.2f})"
        self.add(f"| {net} | {engine} | {count} | {spread} | {speed:.0f} | {' | '.join(ratios)} | {share} | {equal} |")

    def peers(self) -> None:
        """Measure what others would use."""
        mean = torch.full((1, 3, 1, 1), 0.45, device="cuda")
        port = PlainPort(ours(NETS[0])).eval().cuda()
        torchvision = PEERS["torchvision fcn_resnet50"]().eval().cuda()
        self.truths[NETS[0]] = plain_labels(port, self.images[1])
        for name, net, shift in ((PLAIN, port, None), ("fcn_resnet50", torchvision, mean)):
            for count, batch in self.images.items():
                run = functools.partial(plain_labels, net, batch, shift)
                took = timed(run)
                self.peer[name, count] = 1000 * count / took.median
                self.row(name, "plain", count, took, None, 0, "fp32")
                with torch.autocast("cuda", torch.bfloat16):
                    self.row(name, "plain, bf16 autocast", count, timed(run), None, 0, "bf16")

    def engine(self, name: str, engine: str, precisions: Sequence[str]) -> None:
        """Measure a net by an engine."""
        model = ours(name)
        image = torch.empty(1, 3, *SIZE, device="meta")
        away = copy.deepcopy(model).to("meta")
        work = counted(lambda: away({"rgb": image}))
        model = model.cuda()
        if name not in self.truths:
            self.truths[name] = plain_labels(Semantic(model), self.images[1])
        for precision in precisions:
            if time.monotonic() > self.end:
                self.add(f"| {name} | {engine} {precision} | | left out: the time is over | | | | | |")
                continue
            predictor = Predictor(ENGINES[engine](model, precision), {"semantic": VOC})
            for count, batch in self.images.items():

                @torch.inference_mode()
                def run(batch: Tensor = batch, predictor: Predictor = predictor) -> Tensor:
                    return predictor._labels({"rgb": batch}, "semantic").cpu()

                labels = run() if count == 1 else None
                self.row(name, f"{engine} {precision}", count, timed(run), labels, work, precision)


class Semantic(nn.Module):
    """A net of one output, as others have it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K, H, W)."""
        return self.model({"rgb": images})["semantic"]


def plain_step(net: nn.Module, images: Tensor, target: Tensor) -> Callable[[], Tensor]:
    """Return a step of training as a user writes it: float32, NCHW, SGD, a look at the loss at every step."""
    optimizer = torch.optim.SGD(net.parameters(), 1e-4, momentum=0.9, weight_decay=5e-4)

    def step() -> Tensor:
        optimizer.zero_grad()
        found = net(images.to("cuda"))
        loss = nn.functional.cross_entropy(found["semantic"] if isinstance(found, dict) else found, target.to("cuda"))
        if not torch.isfinite(loss):
            raise RuntimeError("the loss is not finite")
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def our_step(model: FCN, images: Tensor, target: Tensor, precision: str, compiled: bool) -> Callable[[], Tensor]:
    """Return a step as ``fullconv train`` does it."""
    model = model.train().cuda().to(memory_format=torch.channels_last)
    net = torch.compile(model.coarse) if compiled else model.coarse
    layer, start = model.last_upsampling("semantic"), model.crop.start
    optimizer = build_optimizer(model, OptimizerSpec(learning_rate=1e-4), 1e-4)
    images, target = images.pin_memory(), target.pin_memory()

    def step() -> Tensor:
        optimizer.zero_grad()
        given, truth = images.to("cuda", non_blocking=True), target.to("cuda", non_blocking=True)
        with torch.autocast("cuda", TYPES[precision], enabled=precision != "fp32"):
            coarse = net({"rgb": given})["semantic"]
        loss = upsampled_cross_entropy(coarse, layer, start, truth, pixel_factors("mean", truth, None))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


class Training:
    """The rows of the table of training."""

    def __init__(self, end: float, add: Callable[[str], None]) -> None:
        self.end, self.add = end, add
        generator = torch.Generator().manual_seed(0)
        self.images = nn.functional.interpolate(torch.rand(8, 3, 12, 16, generator=generator) * 255, SIZE).to(torch.uint8)
        self.target = (self.images.sum(1, dtype=torch.int64) // 36).clamp(max=20)
        self.plain: dict[str, tuple[float, float]] = {}

    def row(self, name: str, way: str) -> None:
        """Measure a net in a way, and add its row."""
        if time.monotonic() > self.end:
            self.add(f"| {name} | {way} | | left out: the time is over | | | | |")
            return
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        torch.manual_seed(0)
        model = without_dropout(ours(name))
        given = self.images, self.target
        if way == "plain fp32":
            step = plain_step((PlainPort(model) if "caffe" in name else model).train().cuda(), *given)
        else:
            step = our_step(model, *given, way.split()[1], way.endswith("compiled"))
        for _ in range(19):
            step()
        loss = step().item()
        took = timed(step, ROUNDS, 1)
        peak = torch.cuda.max_memory_allocated() / 2**30
        plain = self.plain.setdefault(name, (took.median, loss))
        self.add(
            f"| {name} | {way} | {len(self.images)} | {took.median:.1f} | {1000 * len(self.images) / took.median:.0f} "
            f"| {plain[0] / took.median:.2f} | {loss:.4f} ({plain[1]:.4f}) | {peak:.1f} GB |"
        )
        del step
        gc.collect()


def without_dropout(model: FCN) -> FCN:
    """Return a net whose losses can be compared, as nothing is drawn."""
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu.md"))
    parser.add_argument("--minutes", type=float, default=2.5)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("there is no CUDA card here; benchmarks/peers.py measures on a CPU")
    end, card = time.monotonic() + 60 * given.minutes, torch.cuda.get_device_name()
    rows: dict[str, list[str]] = {"predict": [], "train": []}
    about = f"{card}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}, {platform.machine()}, 375×500 pixels, 21 classes."

    def add(table: str, row: str) -> None:
        print(row, flush=True)
        rows[table].append(row)
        lines = [about]
        for title, key in (("Prediction", "predict"), ("Training", "train")):
            lines += ["", f"### {title}", "", *HEADS[key], *rows[key]]
        given.out.write_text("\n".join(lines) + "\n")

    prediction = Prediction(end, functools.partial(add, "predict"))
    best = ", ".join(f"{name} {value:.0f}" for name, value in prediction.best.items())
    about += f" Peak in 10¹² multiplications a second: {best} (fp32: TF32)."
    training = Training(end, functools.partial(add, "train"))
    # what takes long to compile comes last
    prediction.peers()
    for name in NETS:
        prediction.engine(name, "eager", ("bf16", "fp32", "fp16"))
    for name in TRAINED:
        for way in ("plain fp32", "ours fp32", "ours bf16"):
            training.row(name, way)
    for name in COMPILED:
        training.row(name, "ours bf16 compiled")
        prediction.engine(name, "compiled", ("bf16",))
    print(f"written to {given.out}")


if __name__ == "__main__":
    main()
