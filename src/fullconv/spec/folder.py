"""Where a folder of the user's own keeps its images and masks, and how it is split."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fullconv.spec.base import Spec
from fullconv.spec.grouping import parse_group

WINDOW = 512
"""Height and width of the windows of maps where nothing is said."""


class FolderSpec(Spec):
    """Where a folder of the user's own keeps its images and masks, and how it is split.

    Parameters
    ----------
    images, masks
        Folders below the root, searched through; ``{split}`` stands for the split's name. An image and its mask have the same
        path below them but for the suffix. Without ``{split}`` the splits are drawn.
    mask_suffix
        What a mask's name has after its image's, such as ``_mask``.
    image_pattern, pattern
        How images and masks are called below their folders, where more differs than a suffix: ``img_{stem}`` and
        ``mask_{stem}.png``. ``{stem}`` is what both names share, ``{name}`` the image's whole name with its suffix,
        ``{parent}`` the folders that both share, ``{split}`` the split, ``{class}`` one of ``classes``. Without ``{parent}``
        they share all folders; without a suffix every format is taken.
    lists
        A text file of image names a split, below the root, such as ``ImageSets/Segmentation/{split}.txt``; then no splits are
        drawn.
    classes
        Of masks that come as one file a class, 0 where the class is not: the names that ``{class}`` stands for in ``masks`` or
        ``pattern``. They are put into one mask: 0, then 1 and so on in this order, later ones over earlier ones.
    mask_pages
        Of masks that are files of several pages: ``classes``, where page k, counted from 1, marks the pixels of the value k (a
        later page lies over an earlier one; what none marks is 0), or ``first``, which reads the first alone. ``None`` refuses
        them.
    pairs
        A CSV file below the root with the columns image, mask, split, in place of all that; depth and group may be further
        ones. Without the column split, or where all of it is empty, the splits are drawn.
    annotations
        The export of an annotation tool below the root, in place of masks: a file or a folder, with ``{split}`` where there is
        one for each split; see :mod:`fullconv.formats.recognise`. Images are looked for below ``images`` where that is there,
        else below the root. Each class is drawn with the value that ``labels`` gives its name.
    rename
        Classes of annotations that count as a label of another name, as ``background`` or as ``ignore``: ``{puppy: dog}``.
    class_attribute
        Of annotations of VIA: which attribute of regions names their class, where they have several. Of ``labels_from``: which
        attribute of shapes does; ``class`` where nothing is said and there is such, else all shapes are of the only class.
    window
        Height and width in pixels at which maps (GeoTIFF and so on) and their masks are cut into samples, which are read one by
        one; every pixel is in one sample. ``None`` reads images whole, unless ``labels_from`` is given, which cuts at 512.
    labels_from
        A vector file below the root, in place of masks: a GeoPackage, GeoJSON or Shapefile, ``{split}`` where each has one.
        Its polygons are burnt into masks of the maps below ``images``; what none covers is 0, the background.
    line_width
        Of ``labels_from``: the width of its lines, and the diameter of its points, in units of the maps, such as metres.
    depth
        Folder of depth maps below the root, with the file names of the images, for nets that read depth or HHA; ``{split}`` as
        in ``images``. A list's own column comes first.
    depth_unit
        Unit of the values of depth maps: metres, centimetres, millimetres, or the metres in one step.
    camera
        ``nyud``, or ``FX,FY,CX,CY,HEIGHT,WIDTH`` in pixels; HHA needs it.
    val_share, test_share, seed
        For drawn splits: the share of pairs that are used for validation and for testing, and the seed of the draw; see
        :mod:`fullconv.data.folder.splits`.
    folds, fold
        Of drawn splits, for cross-validation: how many parts what is not test falls into, and which of them, from 0, is val;
        the others are train. ``val_share`` says nothing then. `fullconv crossval` trains all of them.
    group
        Images that must fall to one side, such as frames of one video: the part of their names that they share, such as
        ``{stem[:4]}``, ``{parent}`` or ``(.+)_[0-9]+``; see :mod:`fullconv.spec.grouping`. A list's column group comes first.
    splits
        Of drawn splits: a CSV file with the columns name and split, such as the ``splits.csv`` of a run.
        Images that it names stay where it says; only others are drawn.
    """

    images: str = "images/{split}"
    masks: str = "masks/{split}"
    mask_suffix: str = ""
    image_pattern: str = "{stem}"
    pattern: str | None = None
    lists: str | None = None
    classes: tuple[str, ...] = ()
    mask_pages: Literal["classes", "first"] | None = None
    pairs: Path | None = None
    annotations: str | None = None
    rename: dict[str, str] = Field(default_factory=dict)
    class_attribute: str | None = None
    window: tuple[PositiveInt, PositiveInt] | None = None
    labels_from: str | None = None
    line_width: PositiveFloat | None = None
    depth: str | None = None
    depth_unit: PositiveFloat | str | None = None
    camera: str | None = None
    val_share: float = Field(default=0.2, ge=0, lt=1)
    test_share: float = Field(default=0.0, ge=0, lt=1)
    seed: NonNegativeInt = 0
    folds: int | None = Field(default=None, ge=2)
    fold: NonNegativeInt = 0
    group: str | None = None
    splits: Path | None = None

    @model_validator(mode="after")
    def _groups_and_folds_are_sound(self) -> Self:
        if self.group is not None:
            parse_group(self.group)
        if self.fold >= (self.folds or 1):
            counted = f"0 to {self.folds - 1}" if self.folds else "0, as there are no folds"
            raise ValueError(f"fold {self.fold} is not there: with folds {self.folds} it is one of {counted}")
        if self.pairs is None and "{split}" in self.images:
            for key in ("folds", "splits"):
                if getattr(self, key) is not None:
                    raise ValueError(
                        f"{key} {getattr(self, key)} is of drawn splits, and images {self.images!r} has splits of its own; name "
                        "folders without {split}, such as images: images/train with masks: masks/train"
                    )
        if self.folds and self.splits is not None:
            raise ValueError("folds draw all splits, and splits reads them from a file; leave one of them out")
        return self

    @model_validator(mode="after")
    def _shares_leave_some(self) -> Self:
        if self.val_share + self.test_share >= 1:
            raise ValueError(f"val_share {self.val_share} and test_share {self.test_share} leave nothing to train on")
        if self.annotations is None and self.labels_from is None and ("{split}" in self.images) != ("{split}" in self.masks):
            raise ValueError(f"images {self.images!r} and masks {self.masks!r} must both have {{split}}, or none of them")
        if self.depth is not None and ("{split}" in self.depth) != ("{split}" in self.images and self.pairs is None):
            raise ValueError(f"depth {self.depth!r} must have {{split}} where images {self.images!r} have it, and not with pairs")
        return self

    @model_validator(mode="after")
    def _names_can_be_matched(self) -> Self:
        if self.pattern is not None and self.mask_suffix:
            raise ValueError(
                f"mask_suffix {self.mask_suffix!r} and pattern {self.pattern!r} say the same thing; give one of them"
            )
        for key, text in {"image_pattern": self.image_pattern, "pattern": self.mask_pattern}.items():
            fields = re.findall(r"\{([^{}]*)\}", text)
            known = ("stem", "name", "parent", "split", *(("class",) if key == "pattern" else ()))
            unknown = [name for name in fields if name not in known]
            if unknown or len([name for name in fields if name in ("stem", "name")]) != 1:
                raise ValueError(
                    f"{key} {text!r} must have {{stem}} or {{name}} once; beside it only {', '.join(known[2:])} in braces"
                )
        if bool(self.classes) != ("{class}" in self.masks + self.mask_pattern):
            raise ValueError("classes and {class} in masks or pattern go together; give both or none")
        if self.lists is not None and ("{split}" in self.images or "{split}" not in self.lists):
            raise ValueError(f"lists {self.lists!r} must have {{split}}, and images {self.images!r} none then")
        return self

    @model_validator(mode="after")
    def _maps_have_one_truth(self) -> Self:
        if self.labels_from is not None and (self.annotations is not None or self.pairs is not None or self.classes):
            other = "annotations" if self.annotations is not None else "pairs" if self.pairs is not None else "classes"
            raise ValueError(
                f"labels_from {self.labels_from!r} is the ground truth of the maps, and so is {other}; leave one of them out"
            )
        if self.line_width is not None and self.labels_from is None:
            raise ValueError(
                f"line_width {self.line_width:g} is of the lines in labels_from; give that too, or leave line_width out"
            )
        if self.labels_from is not None and "{split}" in self.labels_from and "{split}" not in self.images:
            raise ValueError(
                f"labels_from {self.labels_from!r} has {{split}}, and images {self.images!r} none; give both or none"
            )
        return self

    @property
    def cut(self) -> tuple[int, int] | None:
        """Height and width of the windows that maps are cut into; ``None`` where images are read whole."""
        return self.window or ((WINDOW, WINDOW) if self.labels_from is not None else None)

    @property
    def mask_pattern(self) -> str:
        """How masks are called: ``pattern``, or the stem with ``mask_suffix``."""
        return self.pattern if self.pattern is not None else f"{{stem}}{self.mask_suffix}"
