"""What a camera sees of a world: for each pixel the surface, its depth and its labels.

All of it comes from exactly one ray through each pixel's centre.

Legend: ``n`` pixels = height * width; vectors are (3, n). float32 throughout.
"""

from dataclasses import dataclass

import numpy as np

from fullconv.data.scenes.raycast import Array, cast, corners
from fullconv.data.scenes.world import FLOOR, SKY, WALL, Body, Room, World

FAR = 200.0
"""Metres; the floor ends here (it is under half a pixel below the horizon) and the sky begins."""
FIRST_BODY = 6  # surfaces: 0 sky, 1 floor, 2..5 walls of the room, then the bodies


@dataclass(frozen=True)
class View:
    """A pinhole image: ``size`` (height, width), ``focal`` and the principal point ``cx, cy`` in pixels.

    Pixel (row i, column j) has its centre at ``x = j, y = i``.
    """

    size: tuple[int, int]
    focal: float
    cx: float
    cy: float

    @classmethod
    def whole(cls, size: tuple[int, int], focal: float) -> "View":
        """Return the usual view: principal point in the middle, ``focal`` in longer sides of the image."""
        return cls(size, focal * max(size), (size[1] - 1) / 2, (size[0] - 1) / 2)

    def window(self, y: float, x: float, side: float, size: tuple[int, int]) -> "View":
        """Return the view through a window with middle ``y, x`` and longer side ``side`` (pixels), drawn at a size."""
        zoom = max(size) / side
        height, width = size
        return View(size, self.focal * zoom, (self.cx - x) * zoom + (width - 1) / 2, (self.cy - y) * zoom + (height - 1) / 2)

    @property
    def intrinsics(self) -> Array:
        """Camera matrix (3, 3) float32: camera coordinates to (x, y, 1) in pixels."""
        return np.array([[self.focal, 0, self.cx], [0, self.focal, self.cy], [0, 0, 1]], np.float32)

    def directions(self) -> Array:
        """Rays (3, n) through the pixel centres, in camera coordinates, with ``z = 1``."""
        x = (np.arange(self.size[1]) - self.cx) / self.focal
        y = (np.arange(self.size[0]) - self.cy) / self.focal
        rays = np.ones((3, *self.size), np.float32)
        rays[0], rays[1] = x, y[:, None]
        return rays.reshape(3, -1)


@dataclass(frozen=True)
class Surfaces:
    """What each pixel sees.

    Parameters
    ----------
    directions
        (3, n) its ray in the world, as long as it takes for one metre along the camera's axis.
    depth
        (n,) metres along the camera's axis; inf where there is only sky.
    surface
        (n,) uint8: 0 sky, 1 floor, 2..5 the room's walls, then the world's bodies.
    """

    directions: Array
    depth: Array
    surface: Array


def trace(world: World, view: View) -> Surfaces:
    """Find the nearest surface along each pixel's ray."""
    camera = world.camera
    directions = camera.rotation.T @ view.directions()  # (3, n), world
    origin = camera.position
    with np.errstate(divide="ignore"):
        depth = np.where(directions[1] < 0, -origin[1] / directions[1], np.float32(np.inf))
    depth = np.where(depth < FAR, depth, np.float32(np.inf))
    surface = np.where(depth < FAR, 1, 0).astype(np.uint8)
    if world.room:
        _enclose(world.room, origin, directions, depth, surface)
    grid = depth.reshape(view.size), surface.reshape(view.size), directions.reshape(3, *view.size)
    for number, body in enumerate(world.bodies, FIRST_BODY):
        _cover(body, number, world, view, *grid)
    return Surfaces(directions, depth, surface)


def labels(world: World, surface: Array) -> tuple[Array, Array]:
    """Semantic classes (n,) uint8 and instances (n,) uint16 of the surfaces that pixels see."""
    classes = [SKY, FLOOR, WALL, WALL, WALL, WALL, *(body.label for body in world.bodies)]
    instances = [0] * FIRST_BODY + [body.instance for body in world.bodies]
    return np.array(classes, np.uint8)[surface], np.array(instances, np.uint16)[surface]


def _enclose(room: Room, origin: Array, directions: Array, depth: Array, surface: Array) -> None:
    """Put the room's four walls behind what is seen so far (the camera is inside)."""
    for axis, half, first in ((0, room.half[0], 2), (2, room.half[1], 4)):
        d = directions[axis]
        d = np.copysign(np.maximum(np.abs(d), np.float32(1e-9)), d)
        t = (np.copysign(np.float32(half), d) - origin[axis]) / d
        nearer = t < depth
        np.copyto(depth, t, where=nearer)
        np.copyto(surface, np.where(d > 0, first + 1, first).astype(np.uint8), where=nearer)


def _cover(body: Body, number: int, world: World, view: View, depth: Array, surface: Array, directions: Array) -> None:
    """Draw one body into the grids, inside the rectangle that its bounding box covers."""
    camera = world.camera
    around = camera.rotation @ (corners(body.shape, body.pose) - camera.position[:, None])
    rows, columns = slice(None), slice(None)
    if around[2].min() > 0.05:
        x, y = around[0] / around[2] * view.focal + view.cx, around[1] / around[2] * view.focal + view.cy
        rows = slice(max(0, int(np.floor(y.min()))), max(0, int(np.ceil(y.max())) + 1))
        columns = slice(max(0, int(np.floor(x.min()))), max(0, int(np.ceil(x.max())) + 1))
    elif around[2].max() <= 0:
        return
    part = directions[:, rows, columns]
    if part.size == 0:
        return
    t, _ = cast(body.shape, body.pose, camera.position[:, None], part.reshape(3, -1))
    t = t.reshape(part.shape[1:])
    nearer = (t > 0) & (t < depth[rows, columns])
    np.copyto(depth[rows, columns], t, where=nearer)
    surface[rows, columns][nearer] = number
