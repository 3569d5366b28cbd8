"""Time and error of convolutions by minimal filtering against oneDNN's direct ones, at the sizes of VGG16's maps.

    python benchmarks/winograd.py [--threads 1] [--rounds 7]

Medians of processor time, the two ways in turn. Errors are the largest, as shares of the largest value in float64: of both ways,
and for 3×3 with the points that are usual, 0, ±1, ±2 and infinity.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from fullconv.inference.engines.packed import PackedConv2d
from fullconv.inference.engines.winograd import FILTERINGS, Filtering, Moved, WinogradConv2d

USUAL = Filtering(3, 4, (0, 1, -1, 2, -2))
LAYERS = ((128, 128, 3, (195, 258)), (256, 256, 3, (100, 132)), (512, 512, 3, (53, 69)), (512, 4096, 7, (18, 22)))
"""Channels read and made, weights in a direction, height and width of the map that is read."""


def processor_ms(ways: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, float]:
    """Return medians, after one round that is not counted."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            took[name].append(1000 * (time.process_time() - begin))
    return {name: statistics.median(times[1:]) for name, times in took.items()}


@torch.inference_mode()
def main() -> None:
    """Print a row for each layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    print("| layer | direct ms | filtered ms | share | error direct | filtered | usual points |\n|---|---|---|---|---|---|---|")
    for read, made, taps, size in LAYERS:
        layer = nn.Conv2d(read, made, taps, padding=taps // 2)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        maps = torch.randn(1, read, *size).relu().contiguous(memory_format=torch.channels_last)
        kinds = {"direct": PackedConv2d, "filtered": WinogradConv2d}
        made_of = {name: kind(layer, None, None, torch.float32) for name, kind in kinds.items()}
        ways: dict[str, Callable[[], Tensor]] = {name: partial(part, maps) for name, part in made_of.items()}
        took = processor_ms(ways, given.rounds)
        truth = layer.double()(maps.double())
        layer.float()
        errors = [float((way() - truth).abs().max() / truth.abs().max()) for way in ways.values()]
        usual = ""
        if taps == USUAL.taps:
            padding = (taps // 2, taps // 2)
            found = Moved(USUAL, layer.weight, layer.bias, False)(maps, padding, USUAL.tiling(maps, padding))
            usual = f"{float((found - truth).abs().max() / truth.abs().max()):.1e}"
        name = f"{taps}×{taps}, {read} to {made} channels, {size[0]}×{size[1]}"
        print(
            f"| {name} | {took['direct']:.0f} | {took['filtered']:.0f} | {took['filtered'] / took['direct']:.2f} | "
            f"{errors[0]:.1e} | {errors[1]:.1e} | {usual} |",
            flush=True,
        )
    assert set(FILTERINGS) == {taps for _, _, taps, _ in LAYERS}, "a row for every kind"


if __name__ == "__main__":
    main()
