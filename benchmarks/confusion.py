"""How fast the confusion matrix of one image is counted, against what people use instead.

    python benchmarks/confusion.py [--size 375 500] [--classes 21] [--rounds 21] [--noise 0]

Ways take turns of five images on one thread; times are medians in processor time. All count the same matrix, which is checked.
The truth is that of a rendered scene, the prediction the best that a net of stride 8 could make of it; with --noise a share of
its pixels is random, which those of no net are. A way that is not installed is left out with one line.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.data.scenes.scenes import Scenes
from fullconv.geometry.bound import coarsen
from fullconv.metrics import ConfusionMatrix

Way = Callable[[NDArray[np.uint8], NDArray[np.uint8], int], NDArray[np.int64]]
IGNORE = 255
REPEATS = 5


def ours(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Return the matrix as fullconv counts it, checks of the labels included."""
    found = ConfusionMatrix(classes)
    found.update(truth, prediction, IGNORE)
    return found.matrix


def bincount(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Return it by the formula of the reference implementation's ``score.py``, as it is copied everywhere."""
    valid = (truth >= 0) & (truth < classes)
    pairs = classes * truth[valid].astype(int) + prediction[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def by_torchmetrics(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Return it by torchmetrics' class for images of several classes."""
    from torchmetrics.classification import MulticlassConfusionMatrix

    metric = MulticlassConfusionMatrix(classes, ignore_index=IGNORE)
    metric.update(torch.from_numpy(prediction).long(), torch.from_numpy(truth).long())
    return metric.compute().numpy()


def by_sklearn(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Return it by scikit-learn."""
    from sklearn.metrics import confusion_matrix

    valid = truth != IGNORE
    return confusion_matrix(truth[valid], prediction[valid], labels=np.arange(classes))


WAYS: dict[str, tuple[str, Way]] = {
    "fullconv": ("numpy", ours),
    "numpy's bincount": ("numpy", bincount),
    "torchmetrics": ("torchmetrics", by_torchmetrics),
    "scikit-learn": ("sklearn", by_sklearn),
}


def labels(size: tuple[int, int], noise: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the truth of a scene, a band of it ignored, and the best that a net of stride 8 could make of it."""
    scene = Scenes("val", 1, size)[0]
    truth = next(iter(scene.targets.values())).numpy().astype(np.uint8)
    prediction = coarsen(truth, 8, "linear")
    random = np.random.default_rng(0)
    wrong = random.random(size) < noise
    prediction[wrong] = random.integers(0, prediction.max() + 1, int(wrong.sum()))
    truth[: size[0] // 20] = IGNORE
    return truth, prediction


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs=2, type=int, default=(375, 500), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--noise", type=float, default=0.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    pair = labels(tuple(given.size), given.noise)
    known = {name: way for name, (package, way) in WAYS.items() if importlib.util.find_spec(package)}
    for name in WAYS.keys() - known.keys():
        print(f"{name} is not installed and left out")
    expected = bincount(*pair, given.classes)
    took: dict[str, list[float]] = {name: [] for name in known}
    for _ in range(given.rounds + 1):
        for name, way in known.items():
            begun = time.process_time()
            for _ in range(REPEATS):
                found = way(*pair, given.classes)
            took[name].append((time.process_time() - begun) / REPEATS)
            assert (found == expected).all(), name
    medians = {name: statistics.median(times[1:]) for name, times in took.items()}
    print(f"\n{given.size[0]}×{given.size[1]}, {given.classes} classes, medians of {given.rounds}, one thread\n")
    print("| way | processor ms | × fullconv |\n|---|---|---|")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds * 1e3:.2f} | {seconds / medians['fullconv']:.1f} |")


if __name__ == "__main__":
    main()
