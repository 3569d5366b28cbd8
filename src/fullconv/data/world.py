"""Random worlds: a room or the open, things that stand, lie and lean in it, a light, a sky and a camera.

:func:`draw_world` is a pure function of the random generator it is given. World axes: ``y`` up, the floor at ``y = 0``,
metres. Camera axes: ``x`` right, ``y`` down, ``z`` forward. Sizes of things are drawn as the camera sees them (evenly
in the logarithm, 9 to 42 % of the picture's longer side, for every class alike), so a scene is full of edges and
things of middling size, which is what fine strides are for.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from fullconv.data.raycast import Array, Ball, Box, Cone, Cylinder, Pose, Shape
from fullconv.data.sky import Light, Sky, draw_daylight, draw_lamp
from fullconv.data.textures import Material, draw_material

CLASSES = ("floor", "wall", "sky", "box", "ball", "cylinder", "cone")
"""Semantic classes in the order of their numbers; things begin with ``box``."""
FLOOR, WALL, SKY, FIRST_THING = 0, 1, 2, 3
_ASPECT = 0.8  # height / width of the picture that things are placed for
_ROOM_HEIGHT = 30.0  # rooms have no ceiling in sight


@dataclass(frozen=True)
class Body:
    """A solid: its shape and place, its paint, its class (number in :data:`CLASSES`) and instance (0: none, a wall)."""

    shape: Shape
    pose: Pose
    material: Material
    label: int
    instance: int


@dataclass(frozen=True)
class Camera:
    """``position`` (3,), ``rotation`` (3, 3) world to camera, ``focal`` length in longer sides of the picture."""

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
    """A room of 4 to 10 m; in half of them all walls have one paint."""
    first = draw_material(rng)
    same = rng.random() < 0.5
    others = tuple(first if same else draw_material(rng) for _ in range(3))
    return Room((rng.uniform(2.0, 5.0), rng.uniform(2.0, 5.0)), (first, *others))


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
        length = rng.uniform(0.6, 1.6) if indoor else rng.uniform(2.5, 14)
        shape = Box(length, rng.uniform(0.5, 1.3) if indoor else rng.uniform(0.5, 2.6), rng.uniform(0.06, 0.2))
        z = rng.uniform(3, 6) if indoor else rng.uniform(5, 15)
        x, y = _ground(camera, rng.uniform(-0.6, 0.6) * z / camera.focal, z)
        pose = _upright(rng.uniform(0, math.pi), x, shape.y, y)
        walls.append(Body(shape, pose, draw_material(rng), WALL, 0))
    return walls


def _draw_thing(rng: np.random.Generator, camera: Camera, room: Room | None, bodies: list[Body]) -> Body | None:
    """One box, ball, cylinder or cone on the floor or on another thing; ``None`` where no room was found."""
    label = FIRST_THING + int(rng.integers(4))
    material = draw_material(rng)
    if rng.random() < 0.25:
        stacked = _stack(rng, label, material, bodies)
        if stacked is not None:
            return stacked
    steepest = math.asin(-float(camera.rotation[2, 1])) + math.atan(0.5 * _ASPECT / camera.focal)
    near = float(np.clip(float(camera.position[1]) / math.tan(max(steepest, 0.1)), 1.7, 6))
    for _ in range(8):
        z = near * math.exp(rng.uniform(-0.05, math.log(max(9 / near, 1.6))))
        size = float(np.clip(math.exp(rng.uniform(math.log(0.09), math.log(0.42))) * z / camera.focal, 0.15, 1.7))
        x, y = _ground(camera, rng.uniform(-0.52, 0.52) * z / camera.focal, z)
        shape, pose = _stand(rng, label, size, x, y)
        if _is_free(shape, pose, room, bodies):
            return Body(shape, pose, material, label, 0)
    return None


def _stand(rng: np.random.Generator, label: int, size: float, x: float, z: float) -> tuple[Shape, Pose]:
    """A shape of a class, ``size`` metres at its longest, with its lowest point on the floor at ``x, z``."""
    shape = _draw_shape(rng, label, size)
    yaw, half = rng.uniform(0, 2 * math.pi), shape.half_extents()[1]
    if isinstance(shape, Ball):
        return shape, Pose(_axis(rng.normal(size=3), yaw), np.array([x, half, z], np.float32))
    if isinstance(shape, Cylinder) and rng.random() < 0.35:  # lying
        axis = np.array([math.cos(yaw), 0, math.sin(yaw)])
        return shape, Pose(_axis(axis, rng.uniform(0, 6)), np.array([x, shape.radius, z], np.float32))
    if isinstance(shape, Cone) and rng.random() < 0.2:  # fallen: side and tip on the floor
        tilt = math.atan(shape.slope)
        axis = np.array([math.cos(yaw) * math.cos(tilt), -math.sin(tilt), math.sin(yaw) * math.cos(tilt)])
        center = np.array([x, shape.half * math.sin(tilt), z], np.float32)
        return shape, Pose(_axis(axis, rng.uniform(0, 6)), center)
    return shape, _upright(yaw, x, half, z)


def _draw_shape(rng: np.random.Generator, label: int, size: float) -> Shape:
    """A shape of a class whose longest extent is about ``size`` metres: compact, flat or slender."""
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
    """A thing on top of an upright box or cylinder that carries nothing yet."""
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
    pose = _upright(
        rng.uniform(0, 6), float(center[0]), float(center[1]) + top + shape.half_extents()[1], float(center[2])
    )
    return Body(shape, pose, material, label, 0)


def _is_carrier(body: Body, bodies: list[Body]) -> bool:
    """Whether a body stands upright with nothing above its middle."""
    center = body.pose.center
    above = (b for b in bodies if b is not body and np.hypot(*(b.pose.center - center)[[0, 2]]) < 1e-4)
    return abs(float(body.pose.rotation[1, 1])) > 0.999 and not any(b.pose.center[1] > center[1] for b in above)


def _is_free(shape: Shape, pose: Pose, room: Room | None, bodies: list[Body]) -> bool:
    """Whether a shape stands inside the room and clear of the other bodies (seen from above, roughly)."""
    reach = _footprint(shape, pose)
    x, z = float(pose.center[0]), float(pose.center[2])
    if room and (abs(x) + reach > room.half[0] or abs(z) + reach > room.half[1]):
        return False
    for body in bodies:
        local = body.pose.to_local(pose.center[:, None])[:, 0]
        if body.label == WALL:
            width, _, depth = body.shape.half_extents()
            if abs(local[0]) < width + reach and abs(local[2]) < depth + reach:
                return False
        elif np.hypot(*(body.pose.center - pose.center)[[0, 2]]) < 0.95 * (reach + _footprint(body.shape, body.pose)):
            return False
    return True


def _footprint(shape: Shape, pose: Pose) -> float:
    """Radius of a circle on the floor that holds the shape (metres)."""
    horizontal = np.abs(pose.rotation) @ np.array(shape.half_extents(), np.float32)
    round_shape = isinstance(shape, Ball) or (not isinstance(shape, Box) and abs(float(pose.rotation[1, 1])) > 0.999)
    return shape.half_extents()[0] if round_shape else float(np.hypot(horizontal[0], horizontal[2])) * 0.85


def _ground(camera: Camera, right: float, ahead: float) -> tuple[float, float]:
    """``x, z`` of the place on the floor that lies ``ahead`` and to the ``right`` of the camera (metres)."""
    forward = camera.rotation[2, [0, 2]] / np.hypot(*camera.rotation[2, [0, 2]])
    x, z = camera.position[[0, 2]] + ahead * forward + right * np.array([-forward[1], forward[0]])
    return float(x), float(z)


def _upright(yaw: float, x: float, y: float, z: float) -> Pose:
    """A pose turned about the vertical."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    rotation = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
    return Pose(rotation, np.array([x, y, z], np.float32))


def _axis(axis: Array, spin: float) -> Array:
    """A rotation (3, 3) that takes ``y`` to ``axis`` (3,), turned about it by ``spin`` radians."""
    y = axis / np.linalg.norm(axis)
    x = np.cross(y, np.array([0.0, 0.0, 1.0]) if abs(y[2]) < 0.9 else np.array([1.0, 0.0, 0.0]))
    x /= np.linalg.norm(x)
    x = math.cos(spin) * x + math.sin(spin) * np.cross(x, y)
    return np.stack([x, y, np.cross(x, y)], axis=1).astype(np.float32)
