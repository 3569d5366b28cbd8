"""Random worlds: a room or the open, things that stand, lie and lean in it, a light, a sky and a camera.

:func:`draw_world` is a pure function of the random generator it is given. World axes: ``y`` up, the floor at ``y = 0``,
metres. Camera axes: ``x`` right, ``y`` down, ``z`` forward. Sizes of things are drawn as the camera sees them (evenly
in the logarithm, 9 to 42 % of the image's longer side, for every class alike), so a scene is full of edges and
things of middling size, which is what fine strides are for.
"""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from fullconv.data.scenes.raycast import Array, Ball, Box, Cone, Cylinder, Pose, Shape
from fullconv.data.scenes.sky import Light, Sky, draw_daylight, draw_lamp
from fullconv.data.scenes.textures import Material, draw_material

CLASSES = ("floor", "wall", "sky", "box", "ball", "cylinder", "cone")
"""Semantic classes in the order of their numbers; things begin with ``box``."""
FLOOR, WALL, SKY, FIRST_THING = 0, 1, 2, 3
_ASPECT = 0.8  # height / width of the image that things are placed for


@dataclass(frozen=True)
class Body:
    """A solid: its shape and place, its paint, its class (number in :data:`CLASSES`) and instance (0: none, a wall)."""

    shape: Shape
    pose: Pose
    material: Material
    label: int
    instance: int

    @functools.cached_property
    def footprint(self) -> float:
        """Radius in metres of a circle on the floor that about holds the body."""
        return _footprint(self.shape, self.pose)

    @property
    def is_upright(self) -> bool:
        """Whether the shape's axis is vertical."""
        return abs(float(self.pose.rotation[1, 1])) > 0.999


@dataclass(frozen=True)
class Camera:
    """``position`` (3,), ``rotation`` (3, 3) world to camera, ``focal`` length in longer sides of the image."""

    position: Array
    rotation: Array
    focal: float

    @property
    def gravity(self) -> Array:
        """Unit vector (3,) that points down, in camera coordinates."""
        return -self.rotation[:, 1]


@dataclass(frozen=True)
class Room:
    """Walls at ``x = ±half[0]`` and ``z = ±half[1]`` (order: -x, +x, -z, +z) and their paint."""

    half: tuple[float, float]
    materials: tuple[Material, ...]


@dataclass(frozen=True)
class World:
    """All there is to see; ``room`` is ``None`` in the open."""

    camera: Camera
    floor: Material
    room: Room | None
    bodies: tuple[Body, ...]
    sky: Sky
    light: Light


def draw_world(rng: np.random.Generator) -> World:
    """Draw a world: half of them rooms, half outdoors, with 6 to 14 things in it."""
    indoor = rng.random() < 0.5
    room = _draw_room(rng) if indoor else None
    camera = _draw_camera(rng, room)
    sky, light = draw_lamp(rng, room.half if room else (4.0, 4.0)) if indoor else draw_daylight(rng, camera.rotation[2])
    bodies = _draw_walls(rng, camera, indoor)
    for _ in range(rng.integers(6, 15)):
        body = _draw_thing(rng, camera, room, bodies)
        if body is not None:
            bodies.append(body)
    numbers = np.cumsum([body.label >= FIRST_THING for body in bodies])
    numbered = tuple(
        replace(body, instance=int(number)) if body.label >= FIRST_THING else body
        for body, number in zip(bodies, numbers, strict=True)
    )
    return World(camera, draw_material(rng), room, numbered, sky, light)


def _draw_room(rng: np.random.Generator) -> Room:
    """Return a room of 4.4 to 10 m; in half of them all walls have one paint."""
    first = draw_material(rng)
    same = rng.random() < 0.5
    others = tuple(first if same else draw_material(rng) for _ in range(3))
    return Room((rng.uniform(2.2, 5.0), rng.uniform(2.2, 5.0)), (first, *others))


def _draw_camera(rng: np.random.Generator, room: Room | None) -> Camera:
    """Held by a person (1 to 1.9 m), looking a little down, with a focal length of 0.7 to 1.15 longer sides."""
    yaw, focal = rng.uniform(0, 2 * math.pi), rng.uniform(0.7, 1.15)
    pitch = math.radians(rng.uniform(2, 26) if room else rng.uniform(-4, 20))
    roll = math.radians(float(np.clip(rng.normal(0, 3), -8, 8)))
    back = np.array([-math.sin(yaw), 0, math.cos(yaw)])
    right = np.array([math.cos(yaw), 0, math.sin(yaw)])
    position = np.array([0, rng.uniform(1.0, 1.9), 0])
    if room:  # stand near the end of the room that lies behind
        step = min(half / max(abs(b), 1e-6) for half, b in zip(room.half, back[[0, 2]], strict=True))
        position = position + back * step * rng.uniform(0.55, 0.9)
        position = position + right * rng.normal(0, 0.5)
        limit = np.array([room.half[0] - 0.25, 9, room.half[1] - 0.25])
        position = np.clip(position, -limit, limit)
    forward = -back * math.cos(pitch) - np.array([0, math.sin(pitch), 0])
    down = np.cross(forward, right)
    turned = math.cos(roll) * right + math.sin(roll) * down
    rotation = np.stack([turned, np.cross(forward, turned), forward])
    return Camera(position.astype(np.float32), rotation.astype(np.float32), focal)


def _draw_walls(rng: np.random.Generator, camera: Camera, indoor: bool) -> list[Body]:
    """Free-standing walls: none to three outdoors, at times a partition indoors."""
    count = int(rng.random() < 0.2) if indoor else int(rng.choice(4, p=[0.2, 0.35, 0.25, 0.2]))
    walls = []
    for _ in range(count):
        if indoor:
            shape, z = Box(rng.uniform(0.6, 1.6), rng.uniform(0.5, 1.3), rng.uniform(0.06, 0.2)), rng.uniform(3.5, 6)
        else:
            shape, z = Box(rng.uniform(1.5, 9), rng.uniform(0.5, 2.6), rng.uniform(0.06, 0.2)), rng.uniform(6, 15)
        x, y = _ground(camera, rng.uniform(-0.6, 0.6) * z / camera.focal, z)
        wall = Body(shape, _upright(rng.uniform(0, math.pi), x, shape.y, y), draw_material(rng), WALL, 0)
        if _distance(wall, camera) > (2.5 if indoor else 4):  # none fills the image
            walls.append(wall)
    return walls


def _distance(body: Body, camera: Camera) -> float:
    """Metres, over the floor, from the camera to an upright block."""
    local = np.abs(body.pose.to_local(camera.position[:, None])[:, 0])
    width, _, depth = body.shape.half_extents()
    return math.hypot(max(local[0] - width, 0), max(local[2] - depth, 0))


def _draw_thing(rng: np.random.Generator, camera: Camera, room: Room | None, bodies: list[Body]) -> Body | None:
    """One box, ball, cylinder or cone on the floor or on another thing; ``None`` where no room was found."""
    label = FIRST_THING + int(rng.integers(4))
    material = draw_material(rng)
    if rng.random() < 0.25:
        stacked = _stack(rng, label, material, bodies)
        if stacked is not None:
            return stacked
    steepest = math.asin(-float(camera.rotation[2, 1])) + math.atan(0.5 * _ASPECT / camera.focal)
    far = _wall_ahead(camera, room) - 0.4 if room else 9.0
    near = min(max(float(camera.position[1]) / math.tan(max(steepest, 0.1)), 1.7), 0.65 * far)
    for _ in range(8):
        z = near * math.exp(rng.uniform(-0.05, math.log(far / near)))
        size = float(np.clip(math.exp(rng.uniform(math.log(0.09), math.log(0.42))) * z / camera.focal, 0.15, 1.7))
        x, y = _ground(camera, rng.uniform(-0.52, 0.52) * z / camera.focal, z)
        shape, pose = _stand(rng, label, size, x, y)
        if _is_free(shape, pose, room, bodies):
            return Body(shape, pose, material, label, 0)
    return None


def _wall_ahead(camera: Camera, room: Room) -> float:
    """Metres, over the floor, from the camera to the room's wall ahead; 9 at most."""
    dx, dz = _ground(camera, 0, 1)
    steps = [9.0]
    for start, end, half in zip(camera.position[[0, 2]].tolist(), (dx, dz), room.half, strict=True):
        direction = end - start
        steps.append((math.copysign(half, direction) - start) / math.copysign(max(abs(direction), 1e-6), direction))
    return min(steps)


def _stand(rng: np.random.Generator, label: int, size: float, x: float, z: float) -> tuple[Shape, Pose]:
    """Return a shape of a class, ``size`` metres at its longest, with its lowest point on the floor at ``x, z``."""
    shape = _draw_shape(rng, label, size)
    yaw, half = rng.uniform(0, 2 * math.pi), shape.half_extents()[1]
    if isinstance(shape, Ball):
        up = rng.uniform(-1, 1)
        flat = math.sqrt(1 - up * up)
        axis = (math.cos(yaw) * flat, up, math.sin(yaw) * flat)
        return shape, Pose(_along(axis), np.array([x, half, z], np.float32))
    if isinstance(shape, Cylinder) and rng.random() < 0.35:  # lying
        axis = (math.cos(yaw), 0.0, math.sin(yaw))
        return shape, Pose(_along(axis), np.array([x, shape.radius, z], np.float32))
    if isinstance(shape, Cone) and rng.random() < 0.2:  # fallen: side and tip on the floor
        tilt = math.atan(shape.slope)
        axis = (math.cos(yaw) * math.cos(tilt), -math.sin(tilt), math.sin(yaw) * math.cos(tilt))
        return shape, Pose(_along(axis), np.array([x, shape.half * math.sin(tilt), z], np.float32))
    return shape, _upright(yaw, x, half, z)


def _draw_shape(rng: np.random.Generator, label: int, size: float) -> Shape:
    """Return a shape of a class whose longest extent is about ``size`` metres: compact, flat or slender."""
    half, thin = size / 2, rng.random() < 0.25
    if CLASSES[label] == "box":
        sides = [half, half * rng.uniform(0.5, 1), half * (rng.uniform(0.25, 0.4) if thin else rng.uniform(0.5, 1))]
        x, y, z = rng.permutation(sides).tolist()
        return Box(x, y, z)
    if CLASSES[label] == "ball":
        return Ball(half * 0.85)
    if CLASSES[label] == "cylinder":
        if thin:
            return Cylinder(half * rng.uniform(0.16, 0.26), half * 1.25)
        return Cylinder(half * rng.uniform(0.4, 0.8), half) if rng.random() < 0.75 else Cylinder(half, half * 0.4)
    return Cone(half * (rng.uniform(0.35, 0.5) if thin else rng.uniform(0.5, 0.85)), half)


def _stack(rng: np.random.Generator, label: int, material: Material, bodies: list[Body]) -> Body | None:
    """Return a thing on top of an upright box or cylinder that carries nothing yet."""
    carriers = [b for b in bodies if isinstance(b.shape, Box | Cylinder) and b.label != WALL and _is_carrier(b, bodies)]
    if not carriers:
        return None
    carrier = carriers[rng.integers(len(carriers))]
    width, top, depth = carrier.shape.half_extents()
    size = 2 * min(width, depth) * rng.uniform(0.7, 1.15)
    if size < 0.15:
        return None
    center = carrier.pose.center
    shape = _draw_shape(rng, label, size)
    pose = _upright(rng.uniform(0, 6), float(center[0]), float(center[1]) + top + shape.half_extents()[1], float(center[2]))
    return Body(shape, pose, material, label, 0)


def _is_carrier(body: Body, bodies: list[Body]) -> bool:
    """Whether a body stands upright with nothing above its middle."""
    x, y, z = body.pose.center.tolist()
    return body.is_upright and not any(
        math.hypot(b.pose.center[0] - x, b.pose.center[2] - z) < 1e-4 and b.pose.center[1] > y for b in bodies
    )


def _is_free(shape: Shape, pose: Pose, room: Room | None, bodies: list[Body]) -> bool:
    """Whether a shape stands inside the room and clear of the other bodies (seen from above, roughly)."""
    reach = _footprint(shape, pose)
    x, _, z = pose.center.tolist()
    if room and (abs(x) + reach > room.half[0] or abs(z) + reach > room.half[1]):
        return False
    for body in bodies:
        if body.label == WALL:
            local = body.pose.to_local(pose.center[:, None])
            width, _, depth = body.shape.half_extents()
            if abs(local[0, 0]) < width + reach and abs(local[2, 0]) < depth + reach:
                return False
        elif math.hypot(body.pose.center[0] - x, body.pose.center[2] - z) < 0.95 * (reach + body.footprint):
            return False
    return True


def _footprint(shape: Shape, pose: Pose) -> float:
    """Radius in metres of a circle on the floor that holds the shape (a little less for corners)."""
    sides = shape.half_extents()
    if isinstance(shape, Ball) or (isinstance(shape, Cylinder | Cone) and abs(float(pose.rotation[1, 1])) > 0.999):
        return sides[0]
    across = np.abs(pose.rotation) @ np.array(sides, np.float32)
    return 0.85 * math.hypot(across[0], across[2])


def _ground(camera: Camera, right: float, ahead: float) -> tuple[float, float]:
    """``x, z`` of the place on the floor that lies ``ahead`` and to the ``right`` of the camera (metres)."""
    x, z = float(camera.rotation[2, 0]), float(camera.rotation[2, 2])
    length = math.hypot(x, z)
    x, z = x / length, z / length
    return float(camera.position[0]) + ahead * x - right * z, float(camera.position[2]) + ahead * z + right * x


def _upright(yaw: float, x: float, y: float, z: float) -> Pose:
    """Return a pose turned about the vertical."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    rotation = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
    return Pose(rotation, np.array([x, y, z], np.float32))


def _along(axis: tuple[float, float, float]) -> Array:
    """Return a rotation (3, 3) that takes ``y`` to the unit vector ``axis``."""
    x, y, z = axis
    if abs(z) < 0.9:  # side = axis x (0, 0, 1), front = side x axis
        length = math.hypot(x, y)
        side = (y / length, -x / length, 0.0)
    else:
        length = math.hypot(y, z)
        side = (0.0, z / length, -y / length)
    front = (side[1] * z - side[2] * y, side[2] * x - side[0] * z, side[0] * y - side[1] * x)
    return np.array([side, axis, front], np.float32).T.copy()
