"""Scenes: the embedded data set. Rooms and open places with boxes, balls, cylinders and cones, ray-cast on the fly.

A scene is a pure function of (seed, split, index): the same world at every size, with light, shadow and texture in the
picture and exact truths beside it: classes, geometry, instances, depth, camera, gravity. Paint says nothing about the
class (every surface draws it from one distribution, skies are as varied); shape, shading and place do.

Semantic classes are floor, wall, sky, box, ball, cylinder, cone: every pixel is one of them, there is no background.
Geometric classes go by the surface's normal: horizontal within 45 degrees of gravity, else vertical; and sky.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torchvision import tv_tensors

from fullconv.data.raycast import Array
from fullconv.data.sample import Sample
from fullconv.data.shading import OPEN, picture
from fullconv.data.tracing import Surfaces, View, labels, trace
from fullconv.data.world import CLASSES, FIRST_THING, World, draw_world
from fullconv.errors import DataError
from fullconv.labels import LabelSet

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
_SCOUT = View.whole((48, 60), 1.0).size  # a glance at the labels, to find something to crop


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
    """Scene ``index`` of a split, drawn at ``size`` (height, width).

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
    image, geometric = picture(world, view, seen, _generator(seed, split, index, 1))
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
    """A picture (H, W, 3) uint8 with one class in its middle, and that class's number; for training a classifier.

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
            return picture(world, view, seen, rng)[0], label
