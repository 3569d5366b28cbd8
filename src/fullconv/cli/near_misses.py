"""Options under the names that other tools have for them: one line says what they are called here."""

from cyclopts import CoercionError, CycloptsError, UnknownOptionError

ANNOTATIONS = ("coco", "labelme", "geojson")
"""Formats of polygons that ``predict`` writes, each by an option of its own."""

HINTS = {
    ("predict", "--format"): "predict always writes palette PNGs; add --coco, --labelme or --geojson for polygons",
    ("predict", "--data"): "predict takes images and folders without an option: fullconv predict MODEL photos/ --out labels",
    ("predict", "--source"): "predict takes images and folders without an option: fullconv predict MODEL photos/ --out labels",
    ("predict", "--model"): "the model comes first, without an option: fullconv predict MODEL photos/ --out labels",
    ("predict", "--conf"): "--threshold sets the probability from which on a pixel is of the class, for models of two classes",
    ("predict", "--save"): "results are always saved, into the folder --out",
    ("evaluate", "--model"): "the model comes first, without an option: fullconv evaluate MODEL --data RECIPE",
    ("init", "--format"): "exports of annotation tools are recognised by what they hold: fullconv init FOLDER",
    ("data check", "--format"): "exports of annotation tools are recognised by what they hold: fullconv data check FOLDER",
    ("export", "--quantize"): "8 bits are --precision int8 --calibrate FOLDER",
    ("export", "--half"): "half the size is --precision fp16",
    ("export", "--imgsz"): "an exported file takes images of any size, so none is stated",
}
"""Command and option to what is meant; of options that no command here has."""


def hint_for(error: CycloptsError) -> str | None:
    """Return a line for an option that has another name here, or ``None``."""
    command = " ".join(error.command_chain or ())
    if isinstance(error, UnknownOptionError):
        option = error.token.keyword or error.token.value
        hint = HINTS.get((command, option))
        return hint and f"{command} has no option {option}: {hint}"
    if command == "export" and isinstance(error, CoercionError) and error.token is not None and error.token.value in ANNOTATIONS:
        return "export writes models, as onnx, openvino or torch; polygons of labels are written by fullconv predict --coco"
    return None
