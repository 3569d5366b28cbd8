"""Where on the image the maps of a trunk read, against where the geometry places them: random and trained weights.

    python benchmarks/where_weights_read.py fcn4s-efficientnet_lite0 [fcn4s-squeezenet1_1=squeezenet1_1-trunk.safetensors …]

For an output in the middle of each map, its features are added with random signs and differentiated with respect to the image.
Where the squared gradient has its centre of mass is where the output reads. Printed is that less the output's place, in pixels:
means and standard errors over photographs of scikit-image, resized to 480×480, and eight draws of signs.
"""

import argparse
import statistics

import numpy as np
import torch
from PIL import Image
from skimage import data

from fullconv.nn.build import build_model
from fullconv.spec import ModelSpec

SIDE, DRAWS = 480, 8
PHOTOGRAPHS = (data.astronaut, data.chelsea, data.coffee, data.rocket)


def offsets(model: torch.nn.Module) -> dict[int, list[tuple[float, float]]]:
    """Return for each stride how far below and to the right of their place outputs read, in pixels."""
    (trunk,) = model.core.trunks.values()
    found: dict[int, list[tuple[float, float]]] = {stride: [] for stride in trunk.strides}
    torch.manual_seed(0)
    for photograph in PHOTOGRAPHS:
        pixels = np.asarray(Image.fromarray(photograph()).resize((SIDE, SIDE)))
        image = model.normalise["rgb"](torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]).detach().requires_grad_()
        for stride, features, *places in zip(trunk.strides, trunk(image), trunk.places(0), trunk.places(1), strict=True):
            at = [side // 2 for side in features.shape[2:]]
            for _ in range(DRAWS):
                signs = torch.randn(features.shape[1]).sign()
                (gradient,) = torch.autograd.grad((features[0, :, *at] * signs).sum(), image, retain_graph=True)
                mass = gradient[0].square().sum(0)
                centre = [float((mass.sum(1 - axis) * torch.arange(SIDE)).sum() / mass.sum()) for axis in (0, 1)]
                down, right = (c - float(p.stride * i + p.offset) for c, p, i in zip(centre, places, at, strict=True))
                found[stride].append((down, right))
    return found


def main() -> None:
    """Print a row for each net, weights and stride."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="+", help="NAME or NAME=WEIGHTS")
    print("| net | weights | centre | stride | down | right |\n|---|---|---|---|---|---|")
    for given in parser.parse_args().nets:
        name, _, weights = given.partition("=")
        for source in (None, weights or "imagenet"):
            for centre in ("window", "cell"):
                spec = ModelSpec(name=name, weights=source, hidden_layers=False, centre=centre)
                for stride, pairs in offsets(build_model(spec, 2).eval()).items():
                    cells = [
                        f"{statistics.mean(side):+.1f} ± {statistics.stdev(side) / len(side) ** 0.5:.1f}"
                        for side in zip(*pairs, strict=True)
                    ]
                    print(f"| {name} | {source or 'random'} | {centre} | {stride} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
