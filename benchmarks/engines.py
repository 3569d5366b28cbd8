"""How fast each engine labels an image, against the plain net in the same run.

    python benchmarks/engines.py NAME... [--size 375 500] [--rounds 7] [--threads 2] [--precision bf16]

NAME is a net such as fcn8s-squeezenet1_1, with random weights and 21 classes. The engines take turns; times are medians of the
rounds, from pixels to labels (all that a Predictor does), and the ratio is to PyTorch as it is: ``model(image)``, argmax and the
search for numbers that are none. Beside it: the share of pixels with its label, and seconds of preparation. docs/engines.md holds
what it gave.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from fullconv.errors import FullconvError
from fullconv.inference.engines.choose import ENGINES
from fullconv.inference.engines.graph import onnx_of
from fullconv.inference.predictor import Predictor
from fullconv.labels import VOC
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN

Way = Callable[[], np.ndarray]


def untrained(name: str) -> FCN:
    """Return a net with random weights, whose labels are as ragged as they come."""
    torch.manual_seed(0)
    model = build_model(name, {"semantic": len(VOC)}).eval()
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter, std=0.01)
    return model.to(memory_format=torch.channels_last)


def plain(model: FCN, image: torch.Tensor) -> np.ndarray:
    """Return labels as anybody would compute them."""
    with torch.inference_mode():
        logits = model({"rgb": image})["semantic"]
        assert logits.isfinite().all()
        return logits.argmax(1)[0].to(torch.uint8).numpy()


def ways(name: str, size: tuple[int, int], precisions: list[str]) -> tuple[dict[str, Way], dict[str, float]]:
    """Return every way to label one image, the plain one first, and the seconds of processor time that each took to prepare."""
    model = untrained(name)
    image = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    found: dict[str, Way] = {"plain": lambda: plain(model, image)}
    prepared = {"plain": 0.0}
    start = time.process_time()
    onnx = onnx_of(model)
    converted = time.process_time() - start
    for engine, kind in ENGINES.items():
        graph, before = ((onnx,), converted) if engine in ("openvino", "onnxruntime") else ((), 0.0)
        for precision in precisions:
            start = time.process_time()
            try:
                predictor = Predictor(kind(model, precision, *graph), {"semantic": VOC})
                predictor.labels_of({"rgb": image[0]})
            except FullconvError as error:
                print(f"{engine} {precision}: {error}")
                continue
            prepared[f"{engine} {precision}"] = before + time.process_time() - start
            found[f"{engine} {precision}"] = lambda predictor=predictor: predictor.labels_of({"rgb": image[0]})
    return found, prepared


def measure(name: str, size: tuple[int, int], rounds: int, precisions: list[str]) -> None:
    """Print the table of one net."""
    every, prepared = ways(name, size, precisions)
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in every}
    for _ in range(rounds):
        for way, run in every.items():
            begin = time.perf_counter(), time.process_time()
            run()
            took[way].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    truth = every["plain"]()
    medians = {way: [statistics.median(times) for times in zip(*pairs, strict=True)] for way, pairs in took.items()}
    print(f"\n{name}, {size[0]}×{size[1]}, {torch.get_num_threads()} threads, medians of {rounds}\n")
    print("| engine | ms | processor ms | × plain (processor) | labels equal | prepared in s |\n|---|---|---|---|---|---|")
    for way, (wall, processor) in medians.items():
        ratio, equal = medians["plain"][1] / processor, (every[way]() == truth).mean()
        print(f"| {way} | {wall * 1e3:.0f} | {processor * 1e3:.0f} | {ratio:.2f} | {equal:.3%} | {prepared[way]:.1f} |")


def main() -> None:
    """Read the command line and measure each net."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--size", nargs=2, type=int, default=(375, 500), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--without", nargs="*", default=[], help="engines to leave out")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for engine in given.without:
        ENGINES.pop(engine)
    for name in given.names:
        measure(name, tuple(given.size), given.rounds, given.precision)


if __name__ == "__main__":
    main()
