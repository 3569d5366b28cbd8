"""How fast fullconv trains on a CPU, against a plain loop with the same net, and whether the losses are the same, in one run.

    python benchmarks/training.py [NAME...] [--voc FOLDER] [--rounds 7] [--seeds 3] [--steps 40] [--threads 2]

The plain loop is a user's: the net in PyTorch's own layout, dense bilinear deconvolutions as the reference stores them, cross
entropy of all pixels' logits, SGD as PyTorch has it, a look at the loss at every step. Ours is that of `fullconv train`:
channels-last, loss and last upsampling strip by strip, SGD in one go. Ways take turns, step by step; times are medians in
processor time. Then each way trains for some steps with each of some seeds of order and augmentation, from the same weights,
and the means of the losses are compared: the ways' difference has to be smaller than the spread over the seeds. Last, the
loader alone: images a second of processor time, as a multiple of what the step takes. Images are Scenes, or VOC's.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from itertools import islice

import torch
from torch import Tensor, nn

from fullconv.data import open_dataset
from fullconv.data.loading import Batch, train_loader
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.nn.losses.upsampled import pixel_factors, upsampled_cross_entropy
from fullconv.spec import AugmentSpec, DataSpec, OptimizerSpec
from fullconv.training.optimizer import build_optimizer

NAMES = ("fcn8s-squeezenet1_1", "fcn8s-efficientnet_lite0")
IMAGES, CROP = 4, (320, 320)
LEARNING_RATE = 1e-3
Step = Callable[[Batch], float]


class Plain(nn.Module):
    """A net of ours as somebody would write it by hand."""

    def __init__(self, model: FCN) -> None:
        super().__init__()
        self.model, self.head = model, model.head("semantic")
        self.upsample = nn.ModuleList(dense(part.weight, part.factor) for part in self.head.upsample)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of images uint8 (N, 3, H, W)."""
        padded = self.model.fit(self.model.normalise["rgb"](images))
        maps = self.head.score_maps({"rgb": self.model.trunks["rgb"](padded)})
        found = maps[0]
        for level, finer in enumerate(maps[1:], 1):
            raised = self.upsample[level - 1](found)
            found = self.head.crop[level - 1](raised, finer) + self.head.crop_skip[level - 1](finer, raised)
        return self.model.crop(self.upsample[-1](found), images)


def dense(weight: Tensor, factor: int) -> nn.ConvTranspose2d:
    """Return an upsampling of every class by itself as the reference stores it: class by class, zero off the diagonal."""
    classes, side = len(weight), weight.shape[-1]
    made = nn.ConvTranspose2d(classes, classes, side, factor, bias=False).requires_grad_(False)
    made.weight.zero_()
    made.weight[range(classes), range(classes)] = weight[:, 0]
    return made


def plain_step(model: FCN) -> Step:
    """Return a user's step."""
    net = Plain(model).train()
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], LEARNING_RATE, momentum=0.9, weight_decay=5e-4)

    def step(batch: Batch) -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(batch["inputs"]["rgb"]), batch["targets"]["semantic"], ignore_index=255)
        if not torch.isfinite(loss):
            raise RuntimeError("the loss is not finite")
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def our_step(model: FCN, short: bool = False) -> Step:
    """Return a step as ``fullconv train`` does it."""
    model.train().to(memory_format=torch.channels_last)
    plain = OptimizerSpec(learning_rate=LEARNING_RATE, bias_learning_rate_factor=1.0, bias_weight_decay=5e-4)  # as the plain loop
    optimizer = build_optimizer(model, plain, LEARNING_RATE)
    for group in optimizer.param_groups:
        group["weight_decay"] = 5e-4

    def step(batch: Batch) -> float:
        optimizer.zero_grad()
        target = batch["targets"]["semantic"]
        with torch.autocast("cpu", torch.bfloat16, enabled=short):
            coarse = model.coarse(batch["inputs"])["semantic"]
        factors = pixel_factors("mean", target, None)
        loss = upsampled_cross_entropy(coarse, model.last_upsampling("semantic"), model.crop.start, target, factors)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


WAYS: dict[str, Callable[[FCN], Step]] = {
    "plain loop, float32": plain_step,
    "fullconv, float32": our_step,
    "fullconv, bfloat16": lambda model: our_step(model, True),
}


def batches(spec: DataSpec, seed: int, steps: int) -> list[Batch]:
    """Return what a run would draw."""
    return list(islice(train_loader(open_dataset(spec, "train"), spec, IMAGES, seed, steps=steps), steps))


def initial(name: str, classes: int) -> FCN:
    """Return a net, the same at every call."""
    torch.manual_seed(0)
    model = build_model(name, classes)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0  # drawn in another order in another layout
    return model


def measure(name: str, spec: DataSpec, given: argparse.Namespace) -> None:
    """Print the table of one net."""
    dataset = open_dataset(spec, "train")
    model = initial(name, len(dataset.labels["semantic"]))
    batch = batches(spec, 0, 1)[0]
    steps = {way: build(copy.deepcopy(model)) for way, build in WAYS.items()}
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(given.rounds + 1):
        for way, step in steps.items():
            begun = time.process_time()
            step(batch)
            if turn:  # the first prepares kernels
                took[way].append(time.process_time() - begun)
    seconds = {way: statistics.median(times) for way, times in took.items()}
    losses: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(given.seeds):
        drawn = batches(spec, seed, given.steps)
        for way, build in WAYS.items():
            step = build(copy.deepcopy(model))
            curve = [step(one) for one in drawn]
            losses[way].append(statistics.mean(curve[len(curve) // 2 :]))
    print(f"\n{name}, {IMAGES} images of {CROP[0]}×{CROP[1]}, {torch.get_num_threads()} threads, medians of {given.rounds}\n")
    print("| way | processor ms a step | images/s of a processor | × plain | loss, second half of the steps, by seed |")
    print("|---|---|---|---|---|")
    plain = next(iter(seconds.values()))
    for way, value in seconds.items():
        told = ", ".join(f"{loss:.4f}" for loss in losses[way])
        print(f"| {way} | {1000 * value:.0f} | {IMAGES / value:.1f} | {plain / value:.2f} | {told} |")
    begun = time.process_time()
    count = 0
    for one in train_loader(dataset, spec, IMAGES, 1, steps=given.rounds):
        count += len(one["names"])
    rate = count / (time.process_time() - begun)
    demand = IMAGES / min(seconds.values())
    print(f"\nThe loader alone: {rate:.0f} images/s of a processor, {rate / demand:.1f} × what the fastest step takes.")


def main() -> None:
    """Read the command line and measure each net."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--voc", metavar="FOLDER", help="train on VOC 2012, which is in this folder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    augment = AugmentSpec(flip=True, scale=(0.75, 1.25), crop=CROP)
    spec = DataSpec(size=(240, 320), count=60, augment=augment)
    if given.voc:
        spec = DataSpec(name="voc2012", root=given.voc, augment=augment)
    for name in given.names:
        measure(name, spec, given)


if __name__ == "__main__":
    main()
