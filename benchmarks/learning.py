"""Mean IU against minutes of training: fullconv's nets and other libraries' decoders on the same trunk, in one loop.

    python benchmarks/learning.py scenes [--minutes 4] [--seeds 3] [--device cpu] [--out learning] [--ways WAY...]
    python benchmarks/learning.py voc --voc FOLDER [--minutes 20] [--seeds 1]

``scenes`` trains minivgg from scratch; ``voc`` trains EfficientNet-Lite0 from its ImageNet weights. Every way gets the same
images in the same order, the same optimiser, and the same seconds of training; measurements (eight in all) are not counted. On
a CPU seconds are the processor's by default, so that a machine that is busy with other things changes nothing (``--wall`` takes
those of a clock). Other decoders are given images that are padded to whole cells, and their logits are brought to the image's
size bilinearly, as their libraries do. What is not installed is left out. Writes OUT.md and OUT.png.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import matplotlib as mpl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.data import open_dataset
from fullconv.data.loading import Batch, train_loader, val_loader
from fullconv.metrics import ConfusionMatrix, metrics_of
from fullconv.nn.build import build_model, carry_over, load_weights
from fullconv.nn.fcn import FCN
from fullconv.nn.losses.upsampled import pixel_factors, upsampled_cross_entropy
from fullconv.spec import AugmentSpec, DataSpec, ModelSpec, OptimizerSpec
from fullconv.training.optimizer import build_optimizer, learning_rate_at, set_learning_rate

mpl.use("Agg")
SHARES = {32: 15 / 27, 16: 6 / 27, 8: 6 / 27}
"""Of the time, that the stages of ``scenes-fcn8s-minivgg.yaml`` get."""
MEASURED = 8
STEPS = 10**6
"""More than there is time for."""

Curve = list[tuple[float, float]]
"""Minutes, and mean IU in percent."""


class Task:
    """What is learned: data, trunk, optimiser."""

    def __init__(self, given: argparse.Namespace) -> None:
        if given.task == "scenes":
            self.backbone, weights, dropout, rate = "minivgg", None, 0.0, 5e-3
            augment = AugmentSpec(flip=True)
            self.data = DataSpec(size=(96, 128), count=1000, val_count=100, augment=augment, workers=given.workers)
            self.optimizer = OptimizerSpec(name="adamw", learning_rate=rate, weight_decay=1e-2, schedule="poly", warmup=20)
        else:
            self.backbone, weights, dropout, rate = "efficientnet_lite0", "imagenet", 0.2, 3e-4
            augment = AugmentSpec(flip=True, scale=(0.6, 1.3), crop=(288, 288), color=0.3)
            self.data = DataSpec(name="voc2012", root=given.voc, augment=augment, workers=given.workers)
            self.optimizer = OptimizerSpec(
                name="adamw",
                learning_rate=rate,
                score_learning_rate_factor=10,
                bias_learning_rate_factor=1.0,  # type: ignore[arg-type]  # a bare number is for both
                weight_decay=1e-2,
                schedule="poly",
                warmup=50,
            )
        self.weights, self.dropout, self.device = weights, dropout, torch.device(given.device)
        self.training = open_dataset(self.data, "train")
        self.validation = open_dataset(self.data, "val", own_size=True)
        self.classes = len(self.training.labels["semantic"])
        self.wall = given.wall or self.device.type != "cpu"

    def net(self, stride: int) -> FCN:
        """Return an FCN with the weights that it starts from."""
        spec = ModelSpec(name=f"fcn{stride}s-{self.backbone}", weights=self.weights, dropout=self.dropout)
        model = build_model(spec, {"semantic": self.classes})
        load_weights(model)
        return model.to(self.device, memory_format=torch.channels_last)

    def now(self) -> float:
        """Return seconds."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() if self.wall else time.process_time()


class Ours(nn.Module):
    """An FCN, trained as ``fullconv train`` does it."""

    def __init__(self, model: FCN) -> None:
        super().__init__()
        self.model = model

    def loss(self, images: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross entropy."""
        coarse = self.model.coarse({"rgb": images})["semantic"]
        layer, factors = self.model.last_upsampling("semantic"), pixel_factors("mean", target, None)
        return upsampled_cross_entropy(coarse, layer, self.model.crop.start, target, factors)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of images uint8 (N, 3, H, W)."""
        return self.model({"rgb": images})["semantic"]


class Other(nn.Module):
    """Another library's decoder on a trunk of ours."""

    def __init__(self, model: FCN, decoder: nn.Module, read: Callable[[Mapping[int, Tensor]], tuple[object, ...]]) -> None:
        super().__init__()
        self.model, self.decoder, self.read = model, decoder, read  # the model's own score layers stay at zero, unused

    def loss(self, images: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross entropy."""
        return F.cross_entropy(self(images).float(), target, ignore_index=255)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of images uint8 (N, 3, H, W)."""
        height, width = images.shape[-2:]
        padded = F.pad(self.model.normalise["rgb"](images), (0, -width % 32, 0, -height % 32))
        trunk = self.model.trunks["rgb"]
        logits = self.decoder(*self.read(dict(zip(trunk.strides, trunk(padded), strict=True))))
        return F.interpolate(logits, padded.shape[-2:], mode="bilinear", align_corners=False)[..., :height, :width]


def torchvision_decoder(name: str, task: Task) -> Other:
    """Return a decoder of torchvision's segmentation nets."""
    from torchvision.models.segmentation.deeplabv3 import DeepLabHead
    from torchvision.models.segmentation.fcn import FCNHead
    from torchvision.models.segmentation.lraspp import LRASPPHead

    model = task.net(8)
    channels = model.trunks["rgb"].channels
    if name == "FCNHead":
        return Other(model, FCNHead(channels[32], task.classes), lambda maps: (maps[32],))
    if name == "DeepLabHead":
        return Other(model, DeepLabHead(channels[16], task.classes), lambda maps: (maps[16],))
    head = LRASPPHead(channels[8], channels[16], task.classes, 128)
    return Other(model, head, lambda maps: ({"low": maps[8], "high": maps[16]},))


def smp_decoder(task: Task) -> Other:
    """Return the FPN of segmentation_models_pytorch."""
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder

    model = task.net(4)
    channels = model.trunks["rgb"].channels
    decoder = FPNDecoder([3, *(channels[stride] for stride in (4, 8, 16, 32))], encoder_depth=5)
    net = nn.Sequential(decoder, nn.Conv2d(decoder.out_channels, task.classes, 1))
    return Other(model, net, lambda maps: ([maps[stride] for stride in (4, 8, 16, 32)],))


WAYS: dict[str, Callable[[Task], Other] | tuple[int, ...]] = {
    "fcn8s, staged": (32, 16, 8),
    "fcn8s, at once": (8,),
    "torchvision FCNHead": lambda task: torchvision_decoder("FCNHead", task),
    "torchvision DeepLabHead": lambda task: torchvision_decoder("DeepLabHead", task),
    "torchvision LRASPPHead": lambda task: torchvision_decoder("LRASPPHead", task),
    "smp FPN": smp_decoder,
}


def optimizer_of(net: Ours | Other, spec: OptimizerSpec) -> torch.optim.Optimizer:
    """Return the same optimiser for all; another decoder's parameters are those of score layers."""
    found = build_optimizer(net.model, spec, spec.learning_rate)
    if isinstance(net, Other):
        factor = spec.score_learning_rate_factor
        group = {"name": "decoder", "params": list(net.decoder.parameters()), "factor": factor, "weight_decay": spec.weight_decay}
        found.add_param_group(group | {"lr": spec.learning_rate * factor})
    return found


@torch.inference_mode()
def mean_iu(net: Ours | Other, task: Task) -> float:
    """Return the mean IU in percent on the validation split."""
    net.eval()
    matrix = ConfusionMatrix(task.classes)
    for batch in val_loader(task.validation, task.data):
        found = net(batch["inputs"]["rgb"].to(task.device)).argmax(1).cpu().numpy()
        matrix.update(batch["targets"]["semantic"].numpy(), found, task.validation.labels["semantic"].ignore_index)
    net.train()
    return 100 * metrics_of(matrix).mean_iu


def batches(task: Task, seed: int, net: Ours | Other) -> Iterator[Batch]:
    """Return the images of a run, the same for all ways."""
    fill = net.model.padding_colors
    return iter(train_loader(task.training, task.data, 8, seed, steps=STEPS, fill=fill))


def curve(way: str, task: Task, seed: int, seconds: float) -> Curve:
    """Return what a way learns."""
    torch.manual_seed(seed)
    kind = WAYS[way]
    stages: list[tuple[Ours | Other, float]]
    if isinstance(kind, tuple):
        stages = [(Ours(task.net(stride)), SHARES[stride] if len(kind) > 1 else 1.0) for stride in kind]
    else:
        stages = [(kind(task).to(task.device, memory_format=torch.channels_last), 1.0)]
    found: Curve = [(0.0, mean_iu(stages[0][0], task))]
    used, before = 0.0, None
    source = batches(task, seed, stages[0][0])
    for net, share in stages:
        if before is not None:
            carry_over(before.model, net.model)
        spec = (
            task.optimizer
            if before is None
            else task.optimizer.model_copy(update={"learning_rate": task.optimizer.learning_rate / 2})
        )
        optimizer, began, step = optimizer_of(net.train(), spec), used, 0
        while used < began + share * seconds:
            begin = task.now()
            rate = learning_rate_at(step, (used - began) / (share * seconds), spec.learning_rate, spec, 0.1)
            set_learning_rate(optimizer, rate)
            batch = next(source)
            images, target = (each.to(task.device) for each in (batch["inputs"]["rgb"], batch["targets"]["semantic"]))
            optimizer.zero_grad()
            with torch.autocast(task.device.type, torch.bfloat16, enabled=task.device.type == "cuda"):
                loss = net.loss(images, target)
            loss.backward()
            optimizer.step()
            used, step = used + task.now() - begin, step + 1
            if used >= len(found) * seconds / MEASURED or used >= began + share * seconds:
                found.append((used / 60, mean_iu(net, task)))
        before = net
    return found


def write(curves: Mapping[str, list[Curve]], given: argparse.Namespace) -> None:
    """Write the table and the picture."""
    import matplotlib.pyplot as plt

    lines = ["| way | seeds | mean IU at the end | half way |", "|---|---|---|---|"]
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for way, runs in curves.items():
        ends, halves = [run[-1][1] for run in runs], [max(iu for at, iu in run if at <= given.minutes * 0.55) for run in runs]
        spread = [f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "" for values in (ends, halves)]
        lines.append(
            f"| {way} | {len(runs)} | {statistics.mean(ends):.1f}{spread[0]} | {statistics.mean(halves):.1f}{spread[1]} |"
        )
        for run in runs:
            line = axes.plot(*zip(*run, strict=True), color=f"C{list(WAYS).index(way)}", alpha=0.8)[0]
        line.set_label(way)
    axes.set(xlabel="minutes of training", ylabel="mean IU in %")
    axes.legend()
    figure.savefig(given.out.with_suffix(".png"), dpi=130)
    plt.close(figure)
    given.out.with_suffix(".md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Train every way with every seed, and write what is known after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("scenes", "voc"))
    parser.add_argument("--voc", type=Path, help="the folder that VOC 2012 is in")
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that read images; 0 counts reading as training")
    parser.add_argument("--wall", action="store_true", help="count the seconds of a clock on a CPU too")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--out", type=Path, default=Path("learning"))
    given = parser.parse_args()
    task, curves = Task(given), {}
    for seed in range(given.seeds):
        for way in given.ways:
            try:
                run = curve(way, task, seed, 60 * given.minutes)
            except ImportError as error:
                print(f"{way} is left out: {error}", flush=True)
                continue
            curves.setdefault(way, []).append(run)
            print(f"seed {seed}, {way}: " + ", ".join(f"{iu:.1f} after {at:.2f} min" for at, iu in run), flush=True)
            write(curves, given)


if __name__ == "__main__":
    main()
