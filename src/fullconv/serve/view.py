"""A data set to look through in the page: images, ground truth, predictions, the worst first, and what the doctor found.

All that a :class:`DataView` shows is read when it is asked for; a thread reads every image once, in the background, to name it,
to measure it, and to keep its prediction.

Letters: H height, W width.
"""

import io
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.sample import SEMANTIC, Dataset, Sample
from fullconv.doctor import Finding, examine
from fullconv.errors import DataError, FullconvError
from fullconv.inference.predictor import Predictor
from fullconv.inference.segmentation import Segmentation
from fullconv.labels import difference
from fullconv.metrics import ConfusionMatrix, metrics_of
from fullconv.spec import DataSpec

Map = Literal["confidence", "entropy"]
THUMBNAIL = (128, 96)
KEPT = 4096
"""Predictions that are kept, as PNG: some 20 kB each; older ones are made again."""


class View(Protocol):
    """What the page shows of a folder."""

    def describe(self) -> dict[str, Any]:
        """Return what ``/v1/view`` says, JSON-able."""

    def image(self, index: int) -> bytes:
        """Return the image ``index`` as PNG."""

    def labels(self, index: int, of: Literal["truth", "prediction"]) -> bytes:
        """Return labels of the image as palette PNG."""

    def map(self, index: int, kind: Map) -> bytes:
        """Return the confidence or entropy of the prediction as 8-bit grey PNG."""

    def start(self) -> None:
        """Begin what is done in the background."""

    def stop(self) -> None:
        """End it."""


@dataclass
class Entry:
    """What is known of an image: its mean IU (0 to 1) once it is measured, or in one line why it cannot be shown."""

    id: int
    name: str
    score: float | None = None
    problem: str = ""


class DataView:
    """Images with ground truth, and what a model makes of them.

    Parameters
    ----------
    title
        Of the page.
    parts
        Splits of one data set; at least one.
    predictor
        The model; ``None`` shows images and truth alone.
    head
        Whose truth; of a model also whose prediction.
    spec
        The data set, for the doctor; ``None`` leaves it out.

    Raises
    ------
    DataError
        When the classes of the model and those of the truth differ, or there is no image.
    """

    def __init__(
        self,
        title: str,
        parts: Sequence[Dataset],
        predictor: Predictor | None = None,
        head: str = SEMANTIC,
        spec: DataSpec | None = None,
    ) -> None:
        self.title, self.parts, self.predictor, self.head, self.spec = title, tuple(parts), predictor, head, spec
        self.label_set = parts[0].labels[head]
        if predictor is not None and (differ := difference(predictor.labels[predictor.head(head)], self.label_set)):
            raise DataError(f"model and data have other classes: {differ}")
        self._places = [(part, index) for part in self.parts for index in range(len(part))]
        if not self._places:
            raise DataError(f"{title}: there is no image to look at")
        self.entries = [Entry(id, f"{part.name} {index + 1}") for id, (part, index) in enumerate(self._places)]
        self.findings: tuple[Finding, ...] = ()
        self._predictions: dict[int, bytes] = {}
        self._scanned, self._phase, self._ended = 0, "", threading.Event()
        self._thread = threading.Thread(target=self._scan, name="view", daemon=True)

    @property
    def is_done(self) -> bool:
        """Whether nothing goes on in the background."""
        return self._phase == "done"

    def start(self) -> None:
        """Begin to read and measure all images, then to examine the data set."""
        self._thread.start()

    def stop(self) -> None:
        """Leave off after the image that is being read."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def _scan(self) -> None:
        for entry in self.entries:
            if self._ended.is_set():
                return
            try:
                self._look_at(entry)
            except FullconvError as error:
                entry.problem = " ".join(str(error).split())
            self._scanned += 1
        if self.spec is not None:
            self._phase = "doctor"
            try:
                self.findings = examine(self.spec, self._go_on).findings
            except InterruptedError:
                return
            except FullconvError as error:
                self.findings = (Finding("error", "not examined", 1, f"The data set cannot be examined: {error}", ""),)
        self._phase = "done"

    def _go_on(self, done: int, of: int) -> None:
        if self._ended.is_set():
            raise InterruptedError

    def _look_at(self, entry: Entry) -> None:
        sample = self._sample(entry.id)
        entry.name = sample.name
        if self.predictor is None:
            return
        matrix = ConfusionMatrix(len(self.label_set))
        matrix.update(sample.targets[self.head].numpy(), self._predict(entry.id, sample), self.label_set.ignore_index)
        score = metrics_of(matrix, "union").mean_iu
        entry.score = None if np.isnan(score) else score

    def _predict(self, index: int, sample: Sample) -> NDArray[np.uint8]:
        assert self.predictor is not None  # else nobody asks
        labels = self.predictor.labels_of(sample.inputs, self.head)
        self._predictions[index] = png(self.label_set.to_image(labels))
        while len(self._predictions) > KEPT:
            self._predictions.pop(next(iter(self._predictions)), None)
        return labels

    def _sample(self, index: int) -> Sample:
        part, place = self._places[index]
        return part[place]

    def describe(self) -> dict[str, Any]:
        """Return title, sources, classes, images with their scores, findings, and how far the background is, JSON-able."""
        measured = [entry.score for entry in self.entries if entry.score is not None]
        mean = f", mean IU of single images {100 * sum(measured) / len(measured):.1f} %" if measured else ""
        return {
            "title": self.title,
            "about": f"{len(self.entries)} images of {', '.join(dict.fromkeys(part.name for part in self.parts))}{mean}",
            "sources": ["prediction", "truth"] if self.predictor is not None else ["truth"],
            "sure": self.predictor is not None,
            "pictures": False,
            "classes": [
                {"id": id, "name": name, "color": list(color)}
                for id, (name, color) in enumerate(zip(self.label_set.names, self.label_set.colors, strict=True))
            ],
            "images": [asdict(entry) for entry in self.entries],
            "findings": [{"level": found.level, "what": found.what, "fix": found.fix} for found in self.findings],
            "progress": self._progress(),
            "done": self.is_done,
        }

    def _progress(self) -> str:
        if self._phase == "done":
            return ""
        if self._phase == "doctor":
            return "The doctor looks at the data set …"
        what = "measured" if self.predictor is not None else "read"
        return f"{self._scanned} of {len(self.entries)} images {what} …"

    def image(self, index: int) -> bytes:
        """Return the image as PNG, as the model and the masks have it: upright, its first three bands."""
        return png(Image.fromarray(np.ascontiguousarray(self._sample(index).picture)))

    def labels(self, index: int, of: Literal["truth", "prediction"]) -> bytes:
        """Return the truth or the prediction as palette PNG.

        Raises
        ------
        DataError
            When there is no model; when the files of the image are damaged.
        """
        if of == "truth":
            return png(self.label_set.to_image(self._sample(index).targets[self.head].numpy()))
        if self.predictor is None:
            raise DataError("there is no model here that predicts; give one by --model")
        if index not in self._predictions:
            self._predict(index, self._sample(index))
        return self._predictions[index]

    def map(self, index: int, kind: Map) -> bytes:
        """Return the largest probability of each pixel, or the entropy over ln K, in 255ths as grey PNG; errors as there."""
        if self.predictor is None:
            raise DataError("there is no model here that predicts; give one by --model")
        logits = self.predictor.logits(self._sample(index).inputs)[self.predictor.head(self.head)]
        known = torch.softmax(logits.float(), 1)[0].cpu().numpy()
        found = Segmentation(known.argmax(0).astype(np.uint8), known, self.label_set)
        values = found.confidence() if kind == "confidence" else found.entropy()
        return png(Image.fromarray((255 * values).round().astype(np.uint8)))


def png(image: Image.Image) -> bytes:
    """Return an image as the bytes of a PNG file, packed quickly rather than well."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def thumbnail(content: bytes) -> bytes:
    """Return an image file small, as JPEG, for the list."""
    with Image.open(io.BytesIO(content)) as image:
        small = image.convert("RGB")
    small.thumbnail(THUMBNAIL)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=80)
    return buffer.getvalue()
