"""How often each class occurs in a training set, and the weights that balance them (paper, section 4.3)."""

from collections.abc import Mapping

from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from fullconv.data.class_pixels import class_pixels
from fullconv.data.sample import Dataset
from fullconv.nn.losses.cross_entropy import balanced_weights
from fullconv.spec import DataSpec
from fullconv.training.interrupt import Stopped, StopRequest


def class_weights(dataset: Dataset, pixels: Mapping[str, Tensor], console: Console) -> dict[str, Tensor]:
    """Return :func:`fullconv.nn.losses.cross_entropy.balanced_weights` of every head, float32 (K,); say what they are.

    Parameters
    ----------
    dataset
        Training samples, for the names of their classes.
    pixels
        From :func:`pixel_counts`.
    console
        For what is said.
    """
    found = {}
    for head, rows in pixels.items():
        found[head] = balanced_weights(rows.sum(0))
        names = dataset.labels[head].names
        listed = ", ".join(f"{name} {weight:.3g}" for name, weight in zip(names, found[head].tolist(), strict=True))
        console.print(f"class weights of {head}: {listed}", highlight=False, soft_wrap=True)
    return found


def pixel_counts(dataset: Dataset, spec: DataSpec, console: Console, request: StopRequest) -> Mapping[str, Tensor]:
    """Return how many pixels of each class every sample has, int64 (S, K) a head.

    Parameters
    ----------
    dataset, spec
        Training samples, counted as they are (not changed at random), and the number of reading processes.
    console
        For progress.
    request
        Whether somebody asked for the end.

    Raises
    ------
    Stopped
        When the end was asked for.
    """
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("counting classes", total=None)

        def counted(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)
            if request.asked:
                raise Stopped("stopped while counting the classes")

        return class_pixels(dataset, spec, counted)
