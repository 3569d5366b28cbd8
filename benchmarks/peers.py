"""How fast fullconv labels an image, against what people would use instead, in one run.

    python benchmarks/peers.py [WAY...] [--size 375 500] [--rounds 5] [--threads 2] [--memory]

Every net has 21 classes and random weights. "plain port" is FCN-8s of VGG16 as the popular ports write it: padding of 100, dense
deconvolutions, argmax; it has the weights of fullconv's fcn8s-caffe-vgg16, whose labels are compared with its own. Ways take
turns; times are medians of the rounds, and the ratio is to the plain port in processor time. GMAC are the multiplications that a
way does; beside them is its share of the best that this machine did in that precision, in a large matrix product or convolution
measured in the same run. With --memory each way runs once more in a process of its own, whose peak is told (on Linux). What is
not installed is left out with one line.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fullconv.inference.engines.choose import ENGINES
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.precision import Precision
from fullconv.inference.predictor import Predictor
from fullconv.labels import VOC
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN

CLASSES = 21
PLAIN = "plain port"
OURS = (
    "fcn8s-caffe-vgg16 eager fp32",
    "fcn8s-caffe-vgg16 eager bf16",
    "fcn8s-resnet50 eager fp32",
    "fcn8s-resnet50 eager bf16",
    "fcn8s-efficientnet_lite0 eager fp32",
    "fcn8s-efficientnet_lite0 eager bf16",
    "fcn8s-squeezenet1_1 eager fp32",
)


class Way(NamedTuple):
    """A way to label an image: what does it, its multiplications and its precision."""

    run: Callable[[], NDArray[np.uint8]]
    multiplications: float
    precision: str


class PlainPort(nn.Module):
    """FCN-8s of VGG16 as ports of the reference to PyTorch have it, with the weights of ours."""

    def __init__(self, model: FCN) -> None:
        super().__init__()
        head = model.head("semantic")
        self.trunk = model.trunks["rgb"].graph
        self.register_buffer("mean", model.normaliser("rgb").mean.clone())
        self.score = head.score["rgb"]
        self.upscore = nn.ModuleList(_dense(part.weight.detach(), part.factor) for part in head.upsample)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of images uint8 (N, 3, H, W) RGB."""
        height, width = images.shape[-2:]
        fc7, pool4, pool3 = self.trunk(images.flip(1).float() - self.mean)
        found = self.upscore[0](self.score[0](fc7))
        found = found + self.score[1](pool4)[:, :, 5 : 5 + found.shape[2], 5 : 5 + found.shape[3]]
        found = self.upscore[1](found)
        found = found + self.score[2](pool3)[:, :, 9 : 9 + found.shape[2], 9 : 9 + found.shape[3]]
        return self.upscore[2](found)[:, :, 31 : 31 + height, 31 : 31 + width].contiguous()


def _dense(weight: Tensor, factor: int) -> nn.ConvTranspose2d:
    """Return an upsampling of every class by itself as the reference stores it: class by class, zero off the diagonal."""
    side = weight.shape[-1]
    made = nn.ConvTranspose2d(CLASSES, CLASSES, side, factor, bias=False)
    with torch.no_grad():
        made.weight.zero_()
        made.weight[range(CLASSES), range(CLASSES)] = weight[:, 0]
    return made


def ours(name: str) -> FCN:
    """Return a net with random scores, the same at every call."""
    torch.manual_seed(0)
    model = build_model(name, CLASSES).eval()
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.01)
    return model


def by_engine(name: str, image: Tensor) -> Way:
    """Return one of :data:`OURS`."""
    net, engine, precision = name.split()
    model = ours(net)
    chosen: Precision = precision  # type: ignore[assignment]  # one of three, of OURS or the command line
    run = ENGINES[engine](model, chosen)
    work = counted(lambda: model({"rgb": image}))
    if isinstance(run, EagerEngine):
        height, width = image.shape[-2:]
        work -= (1 - run.computed((height, width))) * counted(lambda: model.trunks["rgb"](model.fit(image.float())))
    predictor = Predictor(run, {"semantic": VOC})
    return Way(lambda: predictor.labels_of({"rgb": image[0]}), work, precision)


def torchvision_net(name: str) -> nn.Module:
    """Return one of torchvision's segmentation nets."""
    from torchvision.models import segmentation

    return getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=CLASSES)


def smp_net(decoder: str, encoder: str) -> nn.Module:
    """Return a net of segmentation_models_pytorch."""
    import segmentation_models_pytorch as smp

    return getattr(smp, decoder)(encoder, encoder_weights=None, classes=CLASSES)


def segformer() -> nn.Module:
    """Return SegFormer-B0 of transformers, whose defaults it is."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    return SegformerForSemanticSegmentation(SegformerConfig(num_labels=CLASSES))


PEERS: dict[str, Callable[[], nn.Module]] = {
    "torchvision fcn_resnet50": lambda: torchvision_net("fcn_resnet50"),
    "torchvision deeplabv3_mobilenet_v3_large": lambda: torchvision_net("deeplabv3_mobilenet_v3_large"),
    "torchvision lraspp_mobilenet_v3_large": lambda: torchvision_net("lraspp_mobilenet_v3_large"),
    "smp Unet resnet50": lambda: smp_net("Unet", "resnet50"),
    "smp FPN resnet50": lambda: smp_net("FPN", "resnet50"),
    "smp Unet efficientnet_lite0": lambda: smp_net("Unet", "tu-efficientnet_lite0"),
    "smp FPN efficientnet_lite0": lambda: smp_net("FPN", "tu-efficientnet_lite0"),
    "transformers SegFormer-B0": segformer,
}


def by_peer(name: str, image: Tensor) -> Way:
    """Return the plain port, or one of :data:`PEERS`, as its documentation runs it: logits at the image's size, argmax."""
    net = PlainPort(ours("fcn8s-caffe-vgg16")) if name == PLAIN else PEERS[name]()
    net.eval()
    height, width = image.shape[-2:]
    mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))

    def logits() -> Tensor:
        if name == PLAIN:
            return net(image)
        images = (image / 255 - mean) / std
        if name.startswith("smp"):  # takes sides that 32 divides
            images = nn.functional.pad(images, (0, -width % 32, 0, -height % 32))
        found = net(images)
        found = found["out"] if isinstance(found, dict) and "out" in found else getattr(found, "logits", found)
        if found.shape[-2] < height:  # SegFormer's are at a quarter of the size
            found = nn.functional.interpolate(found, (height, width), mode="bilinear", align_corners=False)
        return found[..., :height, :width]

    @torch.inference_mode()
    def run() -> NDArray[np.uint8]:
        return logits().argmax(1)[0].to(torch.uint8).numpy()

    return Way(run, counted(logits), "fp32")


def counted(run: Callable[[], object]) -> float:
    """Return how many multiplications something does, in 10⁹."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2e9


def best_of_machine(dtype: torch.dtype) -> float:
    """Return 10⁹ multiplications a second of processor time in a large matrix product or convolution, whichever has more."""
    square, maps = torch.randn(2048, 2048).to(dtype), torch.randn(1, 256, 96, 128).to(dtype).to(memory_format=torch.channels_last)
    kernel = torch.randn(256, 256, 3, 3).to(dtype).to(memory_format=torch.channels_last)
    tasks = {2048**3: lambda: square @ square, 256 * 256 * 9 * 96 * 128: lambda: nn.functional.conv2d(maps, kernel, padding=1)}
    found = []
    for work, run in tasks.items():
        for _ in range(4):
            begun = time.process_time()
            run()
            found.append(work / 1e9 / (time.process_time() - begun))
    return max(found)


def built(name: str, image: Tensor) -> Way | None:
    """Return a way of a name, run once; ``None`` where it is not installed, which is told."""
    try:
        way = by_peer(name, image) if name == PLAIN or name in PEERS else by_engine(name, image)
    except ImportError as error:
        print(f"{name} is left out: {error}")
        return None
    way.run()
    way.run()  # what is kept from a first image is there now
    return way


def peak_memory(name: str, given: argparse.Namespace) -> int:
    """Return the megabytes that a process had at most which labels three images one way."""
    size = [str(number) for number in given.size]
    alone = [sys.executable, __file__, name, "--size", *size, "--threads", str(given.threads), "--alone"]
    return int(subprocess.run(alone, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure(given: argparse.Namespace, image: Tensor) -> None:
    """Print the table."""
    names = given.ways or [PLAIN, *OURS, *PEERS]
    ways = {name: way for name in names if (way := built(name, image)) is not None}
    best = {"fp32": [best_of_machine(torch.float32)], "bf16": [best_of_machine(torch.bfloat16)]}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            begun = time.perf_counter(), time.process_time()
            way.run()
            took[name].append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
        best["fp32"].append(best_of_machine(torch.float32))
        best["bf16"].append(best_of_machine(torch.bfloat16))
    peak = {precision: statistics.median(found) for precision, found in best.items()}
    labels = {name: ways[name].run() for name in ways if name == PLAIN or "caffe" in name}
    print(f"\n{given.size[0]}×{given.size[1]}, {torch.get_num_threads()} threads, medians of {given.rounds}")
    print(
        f"best of this machine, 10⁹ multiplications a second of a processor: {peak['fp32']:.0f} fp32, {peak['bf16']:.0f} bf16\n"
    )
    print("| way | ms | processor ms | × plain port | GMAC | of the best | labels as plain port | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    for name, way in ways.items():
        wall, processor = (statistics.median(times) for times in zip(*took[name], strict=True))
        ratio = f"{statistics.median(t for _, t in took[PLAIN]) / processor:.2f}" if PLAIN in took else ""
        equal = f"{(labels[name] == labels[PLAIN]).mean():.3%}" if name in labels and PLAIN in labels else ""
        share = way.multiplications / processor / peak[way.precision]
        memory = peak_memory(name, given) if given.memory else ""
        row = [
            name,
            f"{wall * 1e3:.0f}",
            f"{processor * 1e3:.0f}",
            ratio,
            f"{way.multiplications:.1f}",
            f"{share:.0%}",
            equal,
            memory,
        ]
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", help=f"by default all: {PLAIN}, {', '.join([*OURS, *PEERS])}")
    parser.add_argument("--size", nargs=2, type=int, default=(375, 500), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    image = torch.randint(0, 256, (1, 3, *given.size), dtype=torch.uint8)
    if not given.alone:
        measure(given, image)
        return
    way = built(given.ways[0], image)
    if way is not None:
        way.run()
        # what the resource module tells is at least the peak of the process that started this one
        print(int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) // 1024)


if __name__ == "__main__":
    main()
