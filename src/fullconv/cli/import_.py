"""``fullconv import``: a caffemodel as a checkpoint."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import log, show


def import_(
    file: Path,
    /,
    *,
    out: Path,
    model: str | None = None,
    prototxt: Path | None = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Bring in weights of Caffe's: a published FCN as a checkpoint, a classifier as a backbone's weights, or any plain net.

    Parameters
    ----------
    file
        A .caffemodel.
    out
        The .safetensors to write.
    model
        Which published model it is, such as voc-fcn8s, nyud-fcn32s-color or ilsvrc-vgg16; guessed where its layers leave one.
    prototxt
        The definition of a plain net, which is then built from it; such a file is read by fullconv.interop.caffe.load_net.
    as_json
        Print one JSON object.
    """
    from fullconv.errors import SpecError
    from fullconv.interop.caffe import build_net, import_caffemodel, read_caffemodel, read_prototxt, save_net

    if out.suffix.lower() != ".safetensors":
        raise SpecError(f"--out {out}: weights are written as .safetensors; give a name that ends so")
    if model is not None and prototxt is not None:
        raise SpecError("--model says that it is a published net and --prototxt defines one: give one of them")
    if prototxt is None:
        found = import_caffemodel(file, model)
        found.save(out)
        name, report = found.name, found.report
    else:
        net, filled = build_net(read_prototxt(prototxt), read_caffemodel(file))
        assert filled is not None  # there were weights
        save_net(out, net)
        name, report = net.definition.name or prototxt.stem, filled
    if as_json:
        fates = {fate: getattr(report, fate) for fate in ("copied", "cast", "dropped", "missing")}
        show(json.dumps({"model": name, "out": str(out), "source": str(file)} | fates))
    else:
        show(report.table())
        log(f"{name}: {report.summary()}; {out}")
