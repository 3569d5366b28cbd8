"""Fully convolutional networks for semantic segmentation (Long, Shelhamer, Darrell, CVPR 2015).

The public names, nothing else; ``docs/python.md`` lists them. Each is imported when it is first used, so importing ``fullconv``
costs no import of torch, and so is each of its packages: ``import fullconv; fullconv.nn.losses``.

    import fullconv

    segmentation = fullconv.load("model.safetensors").predict("photo.jpg")
    segmentation.save("labels.png")
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullconv.data import open_dataset
    from fullconv.errors import FullconvError
    from fullconv.evaluation import Evaluation, Report, compare, evaluate
    from fullconv.geometry.graph import Geometry
    from fullconv.inference.heatmap import HeatMap, draw_heat_map, heat_map
    from fullconv.inference.load import load
    from fullconv.inference.predictor import Predictor
    from fullconv.inference.segmentation import Segmentation
    from fullconv.inference.sources import ImageLike
    from fullconv.labels import LabelSet
    from fullconv.metrics import ConfusionMatrix
    from fullconv.nn.backbones import Classifier, use_backbone
    from fullconv.nn.build import build_model, load_backbone_weights
    from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint
    from fullconv.nn.convolutionalize import convolutionalize
    from fullconv.nn.fcn import FCN
    from fullconv.nn.proof import prove
    from fullconv.spec import DataSpec, ModelSpec, Recipe
    from fullconv.spec.recipe import load_recipe
    from fullconv.training import train

    __version__: str

__all__ = [
    "FCN",
    "Classifier",
    "ConfusionMatrix",
    "DataSpec",
    "Evaluation",
    "FullconvError",
    "Geometry",
    "HeatMap",
    "ImageLike",
    "LabelSet",
    "ModelSpec",
    "Predictor",
    "Recipe",
    "Report",
    "Segmentation",
    "__version__",
    "build_model",
    "compare",
    "convolutionalize",
    "draw_heat_map",
    "evaluate",
    "heat_map",
    "load",
    "load_backbone_weights",
    "load_checkpoint",
    "load_recipe",
    "open_dataset",
    "prove",
    "save_checkpoint",
    "train",
    "use_backbone",
]

_HOMES = {
    "data": ("open_dataset",),
    "errors": ("FullconvError",),
    "evaluation": ("Evaluation", "Report", "compare", "evaluate"),
    "geometry.graph": ("Geometry",),
    "inference.heatmap": ("HeatMap", "draw_heat_map", "heat_map"),
    "inference.load": ("load",),
    "inference.predictor": ("Predictor",),
    "inference.segmentation": ("Segmentation",),
    "inference.sources": ("ImageLike",),
    "labels": ("LabelSet",),
    "metrics": ("ConfusionMatrix",),
    "nn.backbones": ("Classifier", "use_backbone"),
    "nn.build": ("build_model", "load_backbone_weights"),
    "nn.checkpoint": ("load_checkpoint", "save_checkpoint"),
    "nn.convolutionalize": ("convolutionalize",),
    "nn.fcn": ("FCN",),
    "nn.proof": ("prove",),
    "spec": ("DataSpec", "ModelSpec", "Recipe"),
    "spec.recipe": ("load_recipe",),
    "training": ("train",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Return a public name or a package, importing its module now."""
    if name == "__version__":
        from importlib import metadata

        return metadata.version("fullconv")
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"fullconv.{_HOME_OF[name]}"), name)
    elif name.isidentifier() and not name.startswith("_") and importlib.util.find_spec(f"fullconv.{name}") is not None:
        value = importlib.import_module(f"fullconv.{name}")
    else:
        raise AttributeError(f"module 'fullconv' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__})
