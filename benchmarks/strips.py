"""What the last upsampling and the labels of a large image take, in strips and at once.

    python benchmarks/strips.py [SIDE]

An image of SIDE×SIDE pixels (2000), 21 classes, FCN-8s; medians of five in turns, in seconds of one thread's processor time. What
comes before, the coarse logits, is computed once and left out. Both give the same labels.
"""

import statistics
import sys
import time

import torch

from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.net import NetEngine
from fullconv.inference.finite import check_finite
from fullconv.nn.build import build_model


def main() -> None:
    """Print both."""
    torch.set_num_threads(1)
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    model = build_model("fcn8s-minivgg", 21)
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter, std=0.01)
    batch = {"rgb": torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8)}
    with torch.inference_mode():
        coarse = EagerEngine(model).model.coarse(batch)
        engine = NetEngine(model, lambda _: coarse)

        def in_strips() -> torch.Tensor:
            return torch.cat([check_finite(rows).max(1).indices for rows in engine.strips(batch, "semantic")], 1)

        def at_once() -> torch.Tensor:
            return check_finite(engine(batch)["semantic"]).max(1).indices

        assert torch.equal(in_strips(), at_once())
        seconds: dict[str, list[float]] = {"in strips": [], "at once": []}
        for _ in range(5):
            for name, run in (("in strips", in_strips), ("at once", at_once)):
                begun = time.process_time()
                run()
                seconds[name].append(time.process_time() - begun)
    print({name: round(statistics.median(found), 2) for name, found in seconds.items()})


if __name__ == "__main__":
    main()
