"""``fullconv heatmap``: where a classifier, made convolutional, sees a class."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import log, show


def heatmap(
    classifier: str,
    image: Path,
    /,
    *,
    out: Path,
    weights: str | None = None,
    class_name: Annotated[str | None, Parameter("--class")] = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Draw where a classifier, made convolutional, sees a class.

    Parameters
    ----------
    classifier
        Classifier: a backbone such as squeezenet1_0, or a net of your own as module:function.
    image
        An image of any size.
    out
        The image to write (.png).
    weights
        A .safetensors file of the whole classifier, or a name; by default the classifier's own name.
    class_name
        An ImageNet class by name or number; by default the one that is seen most clearly.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv heatmap efficientnet_lite0 cat.jpg --out heat.png
    fullconv heatmap squeezenet1_0 parrot.jpg --class macaw --out heat.png
    """
    from fullconv.data.images import read_image
    from fullconv.errors import SpecError
    from fullconv.files import replacing
    from fullconv.inference.heatmap import class_names, draw_heat_map, heat_map, load_classifier
    from fullconv.inference.imagenet import find_class

    if out.suffix.lower() != ".png" or (out.exists() and image.exists() and out.samefile(image)):
        raise SpecError(f"--out {out}: the heat map is written as an image of its own; give a new name that ends in .png")
    pixels = read_image(image)
    dense, normalise = load_classifier(classifier, weights)
    names = class_names(dense)
    wanted = find_class(class_name, names) if class_name is not None else None
    found = heat_map(dense, normalise, pixels, wanted)
    title = names[found.class_index].split(",")[0]
    with replacing(out) as temporary:
        draw_heat_map(pixels, found, title).save(temporary, format="PNG")
    if as_json:
        facts = {"class": found.class_index, "name": title, "peak": found.peak, "windows": list(found.windows), "out": str(out)}
        show(json.dumps(facts))
    else:
        log(f"{title}: peak probability {found.peak:.2f} among {found.windows[0]}×{found.windows[1]} windows; drawn in {out}")
