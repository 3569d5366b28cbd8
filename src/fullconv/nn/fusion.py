"""Late fusion: a net of several streams that starts from one trained net for each (paper, section 5.2).

The reference trains FCN-32s on colour and on HHA, puts both into one net that averages their scores, and trains that.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fullconv.errors import WeightsError
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.nn.weights import TransplantReport, Weights, transplant
from fullconv.spec import inputs_of


def join_streams(model: FCN, files: Mapping[str, str]) -> TransplantReport:
    """Put trained nets into the streams of a model, in place: trunks, score layers, preprocessing; return what became of them.

    The model then averages their scores. Skips that they do not have stay zero; upsampling stays as it is built.

    Parameters
    ----------
    model
        From :func:`fullconv.nn.assemble.assemble`.
    files
        A checkpoint for each of its streams, which the net in it has too.

    Raises
    ------
    WeightsError
        When a file is no model, has no such stream, or other heads or another backbone; when two files give one input
        different preprocessing, of which the model has one for all its streams. The stream is named.
    """
    tensors: dict[str, Tensor] = {}
    given: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for stream, file in files.items():
        try:
            trained = load_checkpoint(file).model
        except WeightsError as error:
            raise WeightsError(f"model.weights.{stream}: {error}") from error
        if stream not in trained.trunks:
            raise WeightsError(f"{file} has no stream {stream!r}; it has {', '.join(trained.trunks)}")
        if trained.heads != model.heads:
            raise WeightsError(f"{file} has the heads {trained.heads}, and the model that it is to start {model.heads}")
        own = (f"core.trunks.{stream}.", *(f"core.heads.{head}.score.{stream}." for head in model.heads))
        tensors |= {name: tensor for name, tensor in trained.state_dict().items() if name.startswith(own)}
        for name in inputs_of(stream):
            stated = trained.preprocessing[name]
            other, before = given.setdefault(name, (file, stated))
            if before != stated:
                raise WeightsError(
                    f"{other} prepares {name} as {before} and {file} as {stated}, and one net reads it one way; train both alike"
                )
    model.set_preprocessing({name: stated for name, (_, stated) in given.items()})
    levels = range(1, len(model.strides))
    skips = [f"core.heads.{head}.score.{stream}.{level}." for head in model.heads for stream in files for level in levels]
    upsamplings = [f"core.heads.{head}.upsample." for head in model.heads]
    weights = Weights(tensors, " + ".join(files.values()), None)
    return transplant(weights, model, expected_missing=("normalise.", *upsamplings, *skips))
