"""``fullconv import``: a caffemodel or a state dict as a checkpoint."""

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
    classes: str | None = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Bring in weights from elsewhere: a published FCN as a checkpoint, a classifier as a backbone, or a net of Caffe's.

    Parameters
    ----------
    file
        A .caffemodel, or a state dict of PyTorch's (.pth, .safetensors); or the name of a backbone (resnet50, timm/resnet18d),
        whose weights are fetched.
    out
        File to write, which ends in .safetensors.
    model
        Which published model it is, such as voc-fcn8s, nyud-fcn32s-color or ilsvrc-vgg16; guessed where its layers leave one.
        Of a state dict also one of our nets (fcn8s-caffe-vgg16) or a backbone (resnet50).
    prototxt
        The definition of a plain net, which is then built from it; such a file is read by fullconv.interop.caffe.load_net.
    classes
        Names of the classes of a state dict, with commas between, where they are not those of the published model.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv import fcn8s-heavy-pascal.caffemodel --out voc-fcn8s.safetensors
    fullconv import resnet50-11ad3fa6.pth --model resnet50 --out resnet50.safetensors
    """
    from fullconv.errors import SpecError
    from fullconv.interop.caffe import build_net, import_caffemodel, read_caffemodel, read_prototxt, save_net
    from fullconv.interop.pytorch import import_state_dict, is_from_pytorch

    if out.suffix.lower() != ".safetensors":
        raise SpecError(f"--out {out}: weights are written as .safetensors; give a name that ends so")
    if model is not None and prototxt is not None:
        raise SpecError("--model says that it is a published net and --prototxt defines one: give one of them")
    names = tuple(name.strip() for name in classes.split(",")) if classes is not None else ()
    from_pytorch = is_from_pytorch(file)
    if names and not from_pytorch:
        raise SpecError("--classes names those of a state dict (.pth); a caffemodel has the published ones: leave it out")
    if prototxt is not None and from_pytorch:
        raise SpecError(f"--prototxt defines a net of Caffe's, and {file} is a state dict: give --model instead")
    if prototxt is None:
        found = import_state_dict(file, model, names) if from_pytorch else import_caffemodel(file, model)
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
