"""Commands that show: geometry, heat maps, and what there is to choose from."""

import json
import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import log, show


def geometry(
    name: str, /, *, size: str | None = None, as_json: Annotated[bool, Parameter("--json", negative="")] = False
) -> None:
    """Show stride, receptive field, offset and size of every layer of a model or a backbone.

    Parameters
    ----------
    name
        Such as fcn8s-caffe-vgg16 (a model) or resnet50 (a backbone, as a dense classifier); timm/resnet18 or, of your own,
        module:function are backbones too.
    size
        HxW of the image in pixels, such as 375x500.
    as_json
        Print one JSON object.
    """
    from fullconv.nn.describe import describe, table

    found = describe(name, _size(size) if size else None)
    show(json.dumps(found) if as_json else table(found))


def _size(text: str) -> tuple[int, int]:
    from fullconv.errors import SpecError

    match = re.fullmatch(r"(\d+)[x×](\d+)", text)
    if match is None or not all(int(side) for side in match.groups()):
        raise SpecError(f"{text!r} is no size; write height x width in pixels, such as 375x500")
    return int(match.group(1)), int(match.group(2))


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
        Name of a backbone, such as squeezenet1_0, or a net of your own as module:function.
    image
        A picture of any size.
    out
        The picture to write (.png).
    weights
        A .safetensors file of the whole classifier, or a name; by default the classifier's own name.
    class_name
        An ImageNet class by name or number; by default the one that is seen most clearly.
    as_json
        Print one JSON object.
    """
    from fullconv.data.images import read_picture
    from fullconv.errors import SpecError
    from fullconv.files import replacing
    from fullconv.inference.heatmap import class_names, draw_heat_map, heat_map, load_classifier
    from fullconv.inference.imagenet import find_class

    if out.suffix.lower() != ".png" or (out.exists() and image.exists() and out.samefile(image)):
        raise SpecError(f"--out {out}: the heat map is written as a picture of its own; give a new name that ends in .png")
    pixels = read_picture(image)
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
        log(f"{title}: peak probability {found.peak:.2f} among {found.windows[0]}×{found.windows[1]} windows; {out}")


def models(*, as_json: Annotated[bool, Parameter("--json", negative="")] = False) -> None:
    """List the backbones; a model is fcn32s-, fcn16s-, fcn8s- or fcn4s- and a backbone.

    Parameters
    ----------
    as_json
        Print one JSON object.
    """
    from fullconv.nn.describe import overview, overview_table

    found = overview()
    show(json.dumps(found) if as_json else overview_table(found))


def recipes(name: str | None = None, /, *, as_json: Annotated[bool, Parameter("--json", negative="")] = False) -> None:
    """List the shipped recipes, or print one to start your own from.

    Parameters
    ----------
    name
        Of a recipe.
    as_json
        Print one JSON object.
    """
    from rich.markup import escape
    from rich.table import Table

    from fullconv.spec.recipe import find_recipe, load_recipe, shipped_recipes

    if name is not None:
        recipe = load_recipe(name)
        show(recipe.model_dump_json() if as_json else find_recipe(name).read_text(encoding="utf-8").rstrip())
        return
    found = shipped_recipes()
    if as_json:
        show(json.dumps(found))
        return
    table = Table("recipe", "what it is")
    for recipe_name, line in found.items():
        table.add_row(recipe_name, escape(line))  # [rgb] is no markup
    show(table)
