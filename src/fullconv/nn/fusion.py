"""A net that starts from trained nets: one for each of its streams (late fusion, paper, section 5.2), or one for all.

The reference trains FCN-32s on colour and on HHA, puts both into one net that averages their scores, and trains that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fullconv.errors import WeightsError
from fullconv.nn.checkpoint import Checkpoint, load_checkpoint, read_header
from fullconv.nn.class_rows import match_rows, row_tensors
from fullconv.nn.fcn import FCN
from fullconv.nn.find_checkpoint import is_published
from fullconv.nn.weights import TransplantReport, Weights, transplant
from fullconv.spec import inputs_of


@dataclass(frozen=True)
class StartReport(TransplantReport):
    """What became of the tensors of trained nets, and of the rows of their classes.

    Attributes
    ----------
    notes
        A clause for each file and head, and for strides that only one of the two nets has.
    """

    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return one line: the counts of tensors, then the notes."""
        return "; ".join([super().summary(), *self.notes])


def join_streams(model: FCN, files: Mapping[str, str], names: Mapping[str, Sequence[str]] | None = None) -> StartReport:
    """Put trained nets into the streams of a model, in place: trunks, score layers, preprocessing; return what became of them.

    The model then averages their scores. Skips that they do not have stay zero; upsampling stays as it is built, unless both
    learn it. Score layers go from class to class by name, see :mod:`fullconv.nn.class_rows`.

    Parameters
    ----------
    model
        From :func:`fullconv.nn.assemble.assemble`.
    files
        A checkpoint for each of its streams, which the net in it has too.
    names
        Of the model's classes by head; without them heads and numbers of classes must be the files'.

    Raises
    ------
    WeightsError
        When a file is no model, has no such stream or another backbone, or other heads while names are not
        known; when two files give one input different preprocessing, of which the model has one for all its streams. The stream
        is named.
    """
    tensors: dict[str, Tensor] = {}
    scores: dict[str, Tensor] = {}
    given: dict[str, tuple[str, Mapping[str, Any]]] = {}
    read: dict[str, Checkpoint] = {}
    notes: list[str] = []
    for stream, file in files.items():
        try:
            found = read[file] = read.get(file) or load_checkpoint(file)
        except WeightsError as error:
            raise WeightsError(f"model.weights.{stream}: {error}") from error
        trained = found.model
        if stream not in trained.trunks:
            raise WeightsError(f"{file} has no stream {stream!r}; it has {', '.join(trained.trunks)}")
        rows = match_rows(found, model, names, file)
        tensors |= {f"{stream}.{name}": tensor for name, tensor in trained.trunks[stream].state_dict().items()}
        scores |= row_tensors(trained, model, rows, stream, upsampling=len(set(files.values())) == 1)
        notes += [f"{stream}: {each}" if len(files) > 1 else str(each) for each in rows if each.names]
        notes += _strides(trained, model)
        notes += [f"it learned its images at {found.scale:g} of their size (data.scale)"] if found.scale != 1 else []
        for name in inputs_of(stream):
            stated = trained.preprocessing[name]
            other, before = given.setdefault(name, (file, stated))
            if before != stated:
                raise WeightsError(
                    f"{other} prepares {name} as {before} and {file} as {stated}, and one net reads it one way; train both alike"
                )
    model.set_preprocessing({name: stated for name, (_, stated) in given.items()})
    weights = Weights(tensors, " + ".join(dict.fromkeys(files.values())), None)
    try:  # the trunks alone, so that score layers do not count for a half of the tensors that fits
        report = transplant(weights, model.core.trunks, partial=model.spec.partial_weights)
    except WeightsError as error:
        nets = ", ".join(dict.fromkeys(found.model.spec.name for found in read.values()))
        raise WeightsError(f"{weights.source} holds {nets}, and the model to train is {model.spec.name}: {error}") from error
    model.load_state_dict(scores, strict=False)
    copied = [*report.copied, *scores]
    return StartReport(report.source, copied, report.cast, report.dropped, report.missing, tuple(dict.fromkeys(notes)))


def _strides(trained: FCN, model: FCN) -> list[str]:
    """Return what becomes of the score layers at strides that only one of two nets has."""
    left = [str(stride) for stride in trained.strides if stride not in model.strides]
    new = [str(stride) for stride in model.strides if stride not in trained.strides]
    notes = [f"its skip at stride {' and '.join(left)} is not used here"] if left else []
    return notes + ([f"the skip at stride {' and '.join(new)} is new and starts at zero"] if new else [])


def is_trained_model(name: str) -> bool:
    """Return whether a path is that of a file that :func:`fullconv.nn.checkpoint.save_checkpoint` wrote, not of a backbone's."""
    if is_published(name):
        return True
    if not Path(name).is_file():
        return False
    try:
        read_header(name)
    except WeightsError:
        return False
    return True
