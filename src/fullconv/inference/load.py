"""A file that training or ``fullconv export`` wrote, ready to predict."""

import os

from fullconv.errors import SpecError
from fullconv.inference.device import find_device
from fullconv.inference.engines.choose import EngineName, choose_engine
from fullconv.inference.engines.precision import Precision
from fullconv.inference.exported import ExportedEngine, is_exported
from fullconv.inference.predictor import Predictor
from fullconv.inference.tta import TTA
from fullconv.nn.checkpoint import Source, load_checkpoint


def load(
    source: Source,
    device: str = "auto",
    threshold: float | None = None,
    engine: EngineName = "eager",
    precision: Precision | None = None,
    tta: str | None = None,
) -> Predictor:
    """Return the model of a file that training or ``fullconv export`` wrote, ready to predict.

    Parameters
    ----------
    source
        A path, ``hf://owner/name`` of the hub, or the name of an installed model; or the file's content as bytes, or an open
        binary file, which is read to its end.
    device
        Where it computes: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` and what else torch knows; ``auto`` is ``cuda`` where there is
        one and ``cpu`` elsewhere.
    threshold
        As for :class:`Predictor`; of an exported file its own by default.
    engine, precision
        What computes (``eager``: PyTorch as it is; ``compiled``, ``openvino``, ``onnxruntime`` or ``auto``) and in which numbers:
        ``fp32``, ``bf16`` or ``fp16``; see :func:`fullconv.inference.engines.choose.choose_engine` and docs/engines.md.
        An exported file is run by its own runtime.
    tta
        Test-time augmentation such as ``flip,scales=0.75:1.25``: probabilities are averaged over the image, its mirror image and
        both at other sizes; see :mod:`fullconv.inference.tta`.

    Raises
    ------
    SpecError
        When ``tta`` means nothing; when this machine has no such device, engine or precision, or lacks the runtime of an exported
        file; when an engine or a precision is given for one.
    WeightsError
        When there is no such file, or it is damaged or of another kind.
    """
    views = TTA.parse(tta) if tta is not None else None
    if is_exported(source):
        assert isinstance(source, str | os.PathLike)  # nothing else has a name
        if engine not in ("eager", "auto") or precision is not None:
            raise SpecError(f"{source} is run by its own runtime in its own numbers; leave out engine and precision")
        file = ExportedEngine(source, device)
        file.check()
        facts = file.facts
        threshold = file.threshold if threshold is None else threshold
        return Predictor(file, facts.labels, facts.scale, threshold, facts.image, facts.label_maps, views)
    place = find_device(device)
    checkpoint = load_checkpoint(source)
    computes = choose_engine(checkpoint.model.to(place), engine, precision).engine
    return Predictor(computes, checkpoint.labels, checkpoint.scale, threshold, checkpoint.image, checkpoint.label_maps, views)
