"""One large image to its files: labels, confidence and entropy, written band by band and resumed after a kill.

Letters: H height, W width, K classes.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.errors import DataError
from fullconv.files import replacing
from fullconv.formats.png_rows import GREY, PALETTE, RGB, Piece, pack, write_png
from fullconv.inference.predictor import Predictor
from fullconv.inference.segmentation import Segmentation, Values
from fullconv.inference.tiled.bands import Bands, unpacked
from fullconv.inference.tiled.begun import Begun
from fullconv.inference.tiled.part import MAPS, Read
from fullconv.inference.tiled.plan import Cut
from fullconv.inference.tiled.verify import Verifier

TEXT = "fullconv"
"""The text of a PNG with labels that says how they were predicted; as in :data:`fullconv.inference.outputs.WAY`."""

DIGESTED = 2**22
"""Numbers of a model that are looked at at once."""


@dataclass(frozen=True)
class Large:
    """What became of a large image.

    Parameters
    ----------
    counts
        int64 (K,): pixels of each class.
    resumed
        Rows that were there already.
    difference
        Of logits in the windows that were verified; ``None`` where that was not asked for.
    """

    counts: NDArray[np.int64]
    resumed: int
    difference: float | None = None


@dataclass(frozen=True)
class Order:
    """What is to be made of a large image.

    Parameters
    ----------
    path
        Of the labels, a PNG; ``.NAME.bands`` and ``.NAME.rows`` beside it hold what is finished until all is.
    maps
        Paths of further files, by the names in :data:`fullconv.inference.tiled.part.MAPS`.
    head
        Which of the model's outputs.
    way
        How it is predicted, which the labels' file says.
    values
        What the labels' file holds of each class.
    identity
        What tells this image and model from others, so that nothing of another is gone on with. JSON.
    labels
        Whether to write the labels; where they are there already and somebody may have corrected them, they stay.
    verify
        How many windows to compute once more.
    progress
        Called with (rows done, of) after each band.
    say
        Is told in a line how the image is predicted, and what verifying it found.
    """

    path: Path
    head: str
    maps: Mapping[str, Path] = field(default_factory=dict)
    way: str = ""
    values: Values = "labels"
    identity: Any = None
    labels: bool = True
    verify: int = 0
    progress: Callable[[int, int], None] = lambda done, of: None
    say: Callable[[str], None] = lambda line: None

    @property
    def bands(self) -> Path:
        """Where finished bands are kept."""
        return self.path.with_name(f".{self.path.stem}.bands")


def predict_large(
    predictor: Predictor,
    read: Read,
    size: tuple[int, int],
    plan: Callable[[], Cut],
    order: Order,
    use: Callable[[Bands], None] | None = None,
) -> Large:
    """Predict an image in parts and write its labels, and maps of its probabilities.

    Parameters
    ----------
    predictor, read, size
        See :func:`fullconv.inference.tiled.windows.predict_windows`.
    plan
        Says how to cut it; not asked where an earlier run was stopped, which is gone on with as it was begun.
    order
        What is to be made.
    use
        Is given all bands before they are deleted, to make more of them.

    Raises
    ------
    DataError, FullconvError
        When the image cannot be read or a result not be written; what is finished stays.
    """
    about = {"way": order.way, "layers": ["labels", *order.maps], "identity": order.identity}
    begun = Begun(order.bands, size, about, plan, order.say)
    bands = begun.bands
    try:
        verifier = Verifier(size, order.verify, bands.rows) if order.verify and bands.rows < size[0] else None
        look = verifier.look if verifier else None
        for layers in begun.further_rows(predictor, read, head=order.head, maps=tuple(order.maps), look=look):
            bands.add(layers)
            order.progress(bands.rows, size[0])
        if use is not None:
            use(bands)
        counts = _write(predictor, bands, size, order)
        difference = verifier.largest_difference(predictor, read, order.head, begun.how) if verifier else None
        if difference is not None:
            order.say(f"logits of {order.verify} windows, computed once more by themselves, differ by {difference:.1e} at most")
    except BaseException:
        begun.close()
        raise
    begun.remove()
    return Large(counts, bands.resumed, difference)


def _write(predictor: Predictor, bands: Bands, size: tuple[int, int], order: Order) -> NDArray[np.int64]:
    labels = predictor.labels[order.head]
    counts = np.zeros(len(labels), np.int64)
    for piece in bands.pieces("labels"):
        counts += np.bincount(unpacked(piece, size[1]).ravel(), minlength=len(labels))
    for name, path in order.maps.items():
        with replacing(path) as temporary, temporary.open("wb") as file:
            write_png(file, size, bands.pieces(name))
    if not order.labels:
        return counts
    palette = bytes(labels.palette) if order.values == "labels" else b""
    pieces, bits, color = bands.pieces("labels"), 8, PALETTE
    if order.values != "labels":
        label_map = predictor.label_maps.get(order.head)

        def drawn(rows: NDArray[np.uint8]) -> NDArray[np.integer]:
            return np.asarray(Segmentation(rows, None, labels, label_map).to_image(order.values))

        one = drawn(np.zeros((1, 1), np.uint8))
        bits, color = 8 * one.dtype.itemsize, RGB if one.ndim == 3 else GREY
        pieces = _drawn(bands, size[1], drawn)
    with replacing(order.path) as temporary, temporary.open("wb") as file:
        write_png(file, size, pieces, bits=bits, color=color, palette=palette, text={TEXT: order.way} if order.way else None)
    return counts


def _drawn(bands: Bands, width: int, drawn: Callable[[NDArray[np.uint8]], NDArray[np.integer]]) -> Iterator[Piece]:
    return (pack(drawn(unpacked(piece, width))) for piece in bands.pieces("labels"))


def fingerprint(predictor: Predictor) -> str:
    """Return what tells a model from every other: a digest of its weights."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(predictor.model.state_dict().items()):
        found.update(f"{name} {tuple(tensor.shape)}".encode())
        rows = torch.atleast_1d(tensor.detach())
        for part in rows.split(max(1, DIGESTED * len(rows) // max(rows.numel(), 1))):  # however they lie, little is copied
            found.update(np.ascontiguousarray(part.cpu().numpy()).data)
    return found.hexdigest()


def check_outputs(outputs: Collection[str]) -> None:
    """Make sure that what is asked for can be made of an image in parts.

    Raises
    ------
    DataError
        When the probabilities of all classes are wanted.
    """
    if "probabilities" in outputs:
        raise DataError(
            "an image in parts keeps no probabilities of every class, 2 bytes each for every pixel; ask for "
            f"{' or '.join(MAPS)} in their place"
        )
