"""Scenes: the embedded data set. Rooms and open places with boxes, balls, cylinders and cones, ray-cast on the fly.

A scene is a pure function of (seed, split, index): the same world at every size, with light, shadow and texture in the
image and exact truths beside it: classes, geometry, instances, depth, camera, gravity. Paint says nothing about the
class (every surface draws it from one distribution, skies are as varied); shape, shading and place do.

Semantic classes are floor, wall, sky, box, ball, cylinder, cone: every pixel is one of them, there is no background.
Geometric classes go by the surface's normal: horizontal within 45 degrees of gravity, else vertical; and sky.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw

from fullconv.data.depth.hha import hha
from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.sample import DEPTH, HHA, RGB, Sample
from fullconv.data.scenes.raycast import Array
from fullconv.data.scenes.shading import shade
from fullconv.data.scenes.visibility import View, labels, trace
from fullconv.data.scenes.world import CLASSES, FIRST_THING, draw_world
from fullconv.errors import DataError
from fullconv.labels import LabelSet, voc_colors
from fullconv.spec import DataSpec

SEMANTIC = LabelSet(
    CLASSES,
    ((128, 96, 64), (190, 180, 160), (120, 180, 230), (220, 60, 60), (250, 200, 50), (70, 160, 80), (150, 80, 190)),
)
"""Seven classes; no background."""
GEOMETRIC = LabelSet(("horizontal", "vertical", "sky"), ((90, 160, 90), (200, 120, 80), (120, 180, 230)))
HEADS = {"semantic": SEMANTIC, "geometric": GEOMETRIC}
"""What a head of Scenes can be asked to predict."""
SPLITS = {"train": 4000, "val": 200, "test": 200}
"""Splits and how many scenes each has unless a count is given; any count may be."""
_SIZE = (128, 160)
_KEPT = 256 * 2**20  # bytes of images that a data set keeps: what is trained on is drawn once, not at every epoch
_SCOUT = (48, 60)  # a glance at the labels, to find something to crop


@dataclass(frozen=True)
class Scene:
    """One view of a world and all that is true of it.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    depth
        (H, W) float32: metres along the camera's axis, 0 where there is no surface (sky).
    intrinsics
        (3, 3) float32; pixel (row i, column j) has its centre at x = j, y = i.
    gravity
        (3,) float32 unit vector that points down, in camera coordinates (x right, y down, z forward).
    semantic, geometric
        (H, W) uint8: numbers in :data:`SEMANTIC` and :data:`GEOMETRIC`.
    instances
        (H, W) uint16: boxes, balls, cylinders and cones counted from 1; 0 on floor, wall and sky.
    """

    image: Array
    depth: Array
    intrinsics: Array
    gravity: Array
    semantic: Array
    geometric: Array
    instances: Array


def render(seed: int, split: str, index: int, size: tuple[int, int] = _SIZE) -> Scene:
    """Return scene ``index`` of a split, drawn at ``size`` (height, width).

    Another size is the same world from the same camera; the field of view is that of the longer side.

    Raises
    ------
    DataError
        For an unknown split, a negative number or an empty size.

    Examples
    --------
    >>> scene = render(seed=0, split="val", index=3, size=(48, 64))
    >>> scene.image.shape, scene.depth.dtype, int(scene.instances.max()) > 0
    ((48, 64, 3), dtype('float32'), True)
    """
    if min(size) < 1:
        raise DataError(f"scene size {size}: height and width must be at least 1")
    world = draw_world(_generator(seed, split, index))
    view = View.whole(size, world.camera.focal)
    seen = trace(world, view)
    image, geometric = shade(world, view, seen, _generator(seed, split, index, 1))
    semantic, instances = labels(world, seen.surface)
    return Scene(
        image=image,
        depth=np.where(seen.surface == 0, np.float32(0), seen.depth).reshape(size),
        intrinsics=view.intrinsics,
        gravity=world.camera.gravity,
        semantic=semantic.reshape(size),
        geometric=geometric,
        instances=instances.reshape(size),
    )


def object_crop(seed: int, split: str, index: int, size: tuple[int, int] = (64, 64)) -> tuple[Array, int]:
    """Return an image (H, W, 3) uint8 with one class in its middle, and that class's number, to train a classifier on.

    Class ``index % 7`` is shown: a thing that fills about a third to nine tenths of the frame, off its middle by up to
    an eighth, with its surroundings; or a patch of floor, wall or sky. The worlds are others than those of
    :func:`render`.

    Examples
    --------
    >>> image, label = object_crop(seed=0, split="train", index=4)
    >>> image.shape, CLASSES[label]
    ((64, 64, 3), 'ball')
    """
    if min(size) < 1:
        raise DataError(f"crop size {size}: height and width must be at least 1")
    label, attempt = index % len(CLASSES), 1
    while True:
        attempt += 1
        rng = _generator(seed, split, index, attempt)
        world = draw_world(rng)
        whole = View.whole(_SCOUT, world.camera.focal)
        frame = _frame(rng, label, *(a.reshape(_SCOUT) for a in labels(world, trace(world, whole).surface)))
        if frame is None:
            continue
        view = whole.window(*frame, size)
        seen = trace(world, view)
        if _fills_middle(label, labels(world, seen.surface)[0].reshape(size)):
            return shade(world, view, seen, rng)[0], label


def _encoded(scene: Scene) -> Array:
    size = (scene.depth.shape[0], scene.depth.shape[1])
    return hha(scene.depth, Intrinsics.from_matrix(scene.intrinsics, size), scene.gravity)


_STREAMS: Mapping[str, Callable[[Scene], Array]] = {
    RGB: lambda scene: scene.image,
    DEPTH: lambda scene: scene.depth,
    HHA: _encoded,
}


class Scenes:
    """The data set of rendered scenes; see the module. ``scenes[i]`` is a :class:`~fullconv.data.sample.Sample`.

    Parameters
    ----------
    split
        ``train``, ``val`` or ``test``; their worlds are different.
    count
        Number of scenes; ``None`` takes :data:`SPLITS`'.
    size
        (height, width) to draw at.
    seed
        Another seed is another data set.
    heads
        Which truths a sample brings: of ``semantic`` and ``geometric``.
    streams
        Which inputs it brings: of ``rgb``, ``depth`` (float32 in metres, 0 in the sky) and ``hha`` (with the true gravity).

    Raises
    ------
    DataError
        For an unknown split, head or stream, a count or size below 1.

    Examples
    --------
    >>> scenes = Scenes("val", count=10, size=(48, 64), heads=("semantic", "geometric"))
    >>> sample = scenes[0]
    >>> len(scenes), sample.name, tuple(sample.inputs["rgb"].shape), sorted(sample.targets)
    (10, 'val-00000', (3, 48, 64), ['geometric', 'semantic'])
    """

    def __init__(
        self,
        split: str = "train",
        count: int | None = None,
        size: tuple[int, int] = _SIZE,
        seed: int = 0,
        heads: Sequence[str] = ("semantic",),
        streams: Sequence[str] = (RGB,),
    ) -> None:
        _generator(seed, split, 0)  # refuses an unknown split or a negative seed
        count = SPLITS[split] if count is None else count
        if count < 1 or min(size) < 1:
            raise DataError(f"scenes: count {count} and size {tuple(size)} must be at least 1")
        for head in heads:
            if head not in HEADS:
                raise DataError(f"scenes have no head {head!r}; they have {', '.join(HEADS)}")
        for stream in streams:
            if stream not in _STREAMS:
                raise DataError(f"scenes have no stream {stream!r}; they have {', '.join(_STREAMS)}")
        self.streams = tuple(streams)
        self.split, self.count, self.size, self.seed = split, count, (size[0], size[1]), seed
        self.name = f"scenes {split}"
        self.labels = {head: HEADS[head] for head in heads}
        self._drawn: dict[int, Sample] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index not in self._drawn:
            scene = self.scene(index)
            truths = {"semantic": scene.semantic, "geometric": scene.geometric}
            targets = {head: truths[head] for head in self.labels}
            inputs = {stream: _STREAMS[stream](scene) for stream in self.streams}
            sample = Sample.from_arrays(f"{self.split}-{index:05d}", inputs, targets)
            if len(self._drawn) * sum(array.nbytes for array in inputs.values()) >= _KEPT:
                return sample
            self._drawn[index] = sample
        return self._drawn[index]

    def scene(self, index: int) -> Scene:
        """Return everything about scene ``index``: depth, camera, gravity and instances too."""
        if not 0 <= index < self.count:
            raise IndexError(f"scene {index} of {self.count}")
        return render(self.seed, self.split, index, self.size)


def open_scenes(spec: DataSpec, split: str) -> Scenes:
    """Return a split of Scenes with every head, as large (``count``, ``val_count``, ``size``) as a spec asks for.

    Raises
    ------
    DataError
        As :class:`Scenes`.
    """
    count = spec.count if split == spec.train else spec.val_count
    return Scenes(split, count, spec.size or _SIZE, heads=tuple(HEADS), streams=spec.streams)


def contact_sheet(scenes: Sequence[Scene]) -> Image.Image:
    """Return one row a scene: image, semantic classes, geometric classes, depth (near is bright), instances."""
    margin, head = 4, 18
    height, width = scenes[0].image.shape[:2]
    titles = ("image", "semantic", "geometric", "depth", "instances")
    size = (len(titles) * (width + margin) + margin, head + len(scenes) * (height + margin) + margin)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((margin + column * (width + margin), 3), title, fill="black")
    things = np.array([(0, 0, 0), *voc_colors(256)[1:]], np.float32) * 0.6 + 100  # lighter: VOC's are dark
    things[0] = 0
    for row, scene in enumerate(scenes):
        near = np.where(scene.depth > 0, 1 / np.maximum(scene.depth, 1) ** 0.5, 0)
        images = (
            scene.image,
            SEMANTIC.colorize(scene.semantic),
            GEOMETRIC.colorize(scene.geometric),
            (colormaps["magma"](near)[..., :3] * 255).astype(np.uint8),
            things.astype(np.uint8)[scene.instances],
        )
        for column, pixels in enumerate(images):
            place = (margin + column * (width + margin), head + row * (height + margin))
            sheet.paste(Image.fromarray(pixels), place)
    return sheet


def _generator(seed: int, split: str, index: int, *more: int) -> np.random.Generator:
    """Return the source of all that is random in one scene; refuses what names no scene."""
    if split not in SPLITS:
        raise DataError(f"scenes have no split {split!r}; they have {', '.join(SPLITS)}")
    if min(seed, index) < 0:
        raise DataError(f"scene {index} of seed {seed}: both must be 0 or more")
    return np.random.default_rng([seed, list(SPLITS).index(split), index, *more])


def _frame(rng: np.random.Generator, label: int, classes: Array, instances: Array) -> tuple[float, float, float] | None:
    """Return centre (y, x) and side, in pixels of the glance, of a window on something of a class; ``None``: no fit."""
    if label < FIRST_THING:
        rows, columns = np.nonzero(classes == label)
        if rows.size < 40:
            return None
        pick = rng.integers(rows.size)
        return float(rows[pick]), float(columns[pick]), rng.uniform(14, 40)
    seen = np.bincount(instances[classes == label])
    fitting = np.flatnonzero(seen >= 12)
    if not fitting.size:
        return None
    rows, columns = np.nonzero(instances == fitting[rng.integers(fitting.size)])
    side = (max(np.ptp(rows), np.ptp(columns)) + 1) / rng.uniform(0.35, 0.9)
    shift = rng.uniform(-0.125, 0.125, 2) * side
    return (rows.min() + rows.max()) / 2 + shift[0], (columns.min() + columns.max()) / 2 + shift[1], float(side)


def _fills_middle(label: int, classes: Array) -> bool:
    """Return whether a class takes at least half of the middle of an image."""
    height, width = classes.shape
    middle = classes[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return bool((middle == label).mean() >= 0.5)
