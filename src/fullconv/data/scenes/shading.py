"""From the surfaces that pixels see to an image: paint, light, soft shadows, dark corners, highlights, haze, exposure.

The pixels are sorted by surface first, so that each surface is a slice and its paint is one call. Soft shadows cost
one ray a pixel: each pixel of a 3 x 3 block aims at another point of the light, and the result is averaged over 3 x 3.
Edges are softened by a small blur across borders of surfaces, textures by fading what is finer than a pixel.

Legend: ``n`` pixels = height * width; vectors are (3, n). float32 throughout.
"""

from dataclasses import dataclass

import numpy as np

from fullconv.data.scenes.raycast import Array, cast, dot
from fullconv.data.scenes.sky import sky_color
from fullconv.data.scenes.textures import Material, albedo
from fullconv.data.scenes.visibility import FIRST_BODY, Surfaces, View
from fullconv.data.scenes.world import Room, World

HORIZONTAL, VERTICAL, OPEN = 0, 1, 2
"""Geometric classes; ``OPEN`` is the sky."""


@dataclass(frozen=True)
class _Points:
    """The solid pixels, sorted by surface (slices, one for each surface in sight), and what is known of them."""

    slices: dict[int, slice]
    points: Array
    normals: Array
    toward_eye: Array
    paint: Array
    gloss: Array


def shade(world: World, view: View, seen: Surfaces, grain: np.random.Generator) -> tuple[Array, Array]:
    """RGB (height, width, 3) uint8 and geometric classes (height, width) uint8 of the surfaces that pixels see.

    Geometric classes go by the angle between surface normal and gravity: ``HORIZONTAL`` within 45 degrees of it,
    else ``VERTICAL``; ``OPEN`` where there is no surface. So a ball's cap is horizontal and its flank vertical.
    """
    order = np.argsort(seen.surface, kind="stable")
    first = int(np.searchsorted(seen.surface[order], 1))  # the sky's pixels come before it
    solid = order[first:]
    color = np.empty((3, order.size), np.float32)
    geometric = np.full(order.size, OPEN, np.uint8)
    if first:
        color[:, order[:first]] = sky_color(world.sky, seen.directions[:, order[:first]])
    if solid.size:
        points = _gather(world, view, seen, solid)
        color[:, solid] = _light_up(world, view, points, solid, seen.depth[solid])
        geometric[solid] = np.where(np.abs(points.normals[1]) > np.sqrt(0.5), HORIZONTAL, VERTICAL)
    return _develop(color.reshape(3, *view.size), seen.surface.reshape(view.size), grain), geometric.reshape(view.size)


def _gather(world: World, view: View, seen: Surfaces, solid: Array) -> _Points:
    """Points, normals and paint of the solid pixels."""
    directions, depth = seen.directions[:, solid], seen.depth[solid]
    points = directions * depth + world.camera.position[:, None]
    toward_eye = directions / -np.sqrt(dot(directions, directions))
    normals, paint, gloss = np.empty_like(points), np.empty_like(points), np.empty_like(depth)
    numbers = seen.surface[solid]
    starts = np.flatnonzero(np.diff(numbers, prepend=0)).tolist()
    slices = {int(numbers[a]): slice(a, b) for a, b in zip(starts, [*starts[1:], solid.size], strict=True)}
    for number, part in slices.items():
        normals[:, part], u, v, material = _surface(world, number, points[:, part])
        facing = np.maximum(dot(normals[:, part], toward_eye[:, part]), 0.1)
        paint[:, part] = albedo(material, u, v, depth[part] / (view.focal * facing))
        gloss[part] = material.gloss
    return _Points(slices, points, normals, toward_eye, paint, gloss)


def _surface(world: World, number: int, points: Array) -> tuple[Array, Array, Array, Material]:
    """Return normals (3, m or 1), texture coordinates ``u, v`` (m,) and material of points on one surface."""
    if number == 1:
        return _column(0, 1, 0), points[0], points[2], world.floor
    if number < FIRST_BODY:
        assert world.room is not None  # surfaces 2..5 are a room's walls
        sign = 1 if number % 2 == 0 else -1
        material = world.room.materials[number - 2]
        if number < 4:
            return _column(sign, 0, 0), points[2], points[1], material
        return _column(0, 0, sign), points[0], points[1], material
    body = world.bodies[number - FIRST_BODY]
    local = body.pose.to_local(points)
    normal = body.shape.normal(local)
    return body.pose.rotation @ normal, *body.shape.surface(local, normal), body.material


def _light_up(world: World, view: View, pixels: _Points, solid: Array, depth: Array) -> Array:
    """Linear RGB (3, n) that the solid pixels send to the eye."""
    light, normals = world.light, pixels.normals
    toward = light.position[:, None] - pixels.points
    squared = dot(toward, toward)
    toward /= np.sqrt(squared)
    facing = dot(normals, toward)
    direct = _visibility(world, view, pixels, facing, solid)
    if light.falloff:
        direct = direct * (light.falloff**2 / (squared + 0.3 * light.falloff**2))
    half = toward + pixels.toward_eye
    highlight = np.maximum(dot(half, normals) / np.sqrt(dot(half, half)), 0)
    for _ in range(5):
        highlight = highlight * highlight
    shine = 0.6 * pixels.gloss * highlight * direct
    ambient = light.below[:, None] + (0.5 + 0.5 * normals[1]) * (light.above - light.below)[:, None]
    ambient *= _open_share(world, pixels)
    color = pixels.paint * (ambient + light.color[:, None] * (direct * np.maximum(facing, 0)))
    color += light.color[:, None] * shine
    if np.isfinite(world.sky.haze):
        color += (1 - np.exp(depth * (-1 / world.sky.haze))) * (world.sky.horizon[:, None] - color)
    return np.maximum(color, 0)  # black paint may come out a rounding error below


def _visibility(world: World, view: View, pixels: _Points, facing: Array, solid: Array) -> Array:
    """Share (n,) of the light that reaches each pixel, 0..1; 1 where the surface faces away (its cosine is 0)."""
    light = world.light
    lit = np.ones(facing.size, bool)
    faces = np.flatnonzero(facing > 0)
    row, column = np.divmod(solid[faces], view.size[1])
    aim = light.position[:, None] + (_LIGHT_POINTS * np.float32(light.radius))[:, (row % 3) * 3 + column % 3]
    points = pixels.points[:, faces]
    toward = aim - points
    distance = np.sqrt(dot(toward, toward))
    toward /= distance
    near = _near_misses(world, points, toward, distance)
    for number, body in enumerate(world.bodies, FIRST_BODY):
        own = pixels.slices.get(number, slice(0, 0))  # a convex surface that faces the light does not shade itself
        some = np.flatnonzero(near[number - FIRST_BODY])
        some = some[(faces[some] < own.start) | (faces[some] >= own.stop)]
        if some.size:
            start, end = cast(body.shape, body.pose, points[:, some], toward[:, some])
            lit[faces[some[(end > 1e-3) & (start < distance[some])]]] = False
    sheet = np.ones(view.size, np.float32)
    sheet.reshape(-1)[solid] = lit
    return _average(sheet).reshape(-1)[solid]


def _near_misses(world: World, points: Array, toward: Array, distance: Array) -> Array:
    """Which rays (bodies, n) from points to the light pass through the ball around each body (or closely by it)."""
    centers = _centers(world)
    reach = np.array([np.linalg.norm(body.shape.half_extents()) for body in world.bodies], np.float32)[:, None]
    along = centers @ toward - dot(points, toward)
    squared = centers @ (-2 * points) + dot(points, points) + (centers * centers).sum(1, keepdims=True)
    limit = np.square(reach * 1.02 + 0.02)  # slack for the cancelling of large squares
    return (squared - along * along < limit) & (along > -reach) & (along < distance + reach)


def _centers(world: World) -> Array:
    """Centres (bodies, 3) of the bodies."""
    return np.array([body.pose.center for body in world.bodies], np.float32).reshape(-1, 3)


def _open_share(world: World, pixels: _Points) -> Array:
    """How much of the light from all over reaches each pixel (n,): less beside bodies, under them and in corners."""
    points, normals = pixels.points, pixels.normals
    centers = _centers(world)
    sizes = np.array([np.prod(body.shape.half_extents()) ** (2 / 3) for body in world.bodies], np.float32)
    squared = centers @ (-2 * points) + dot(points, points) + (centers * centers).sum(1, keepdims=True)
    squared = np.maximum(squared, 1e-2)
    taken = sizes @ (np.maximum(centers @ normals - dot(points, normals), 0) / (squared * np.sqrt(squared)))
    share = 1 / (1 + 0.9 * taken)
    share *= 1 - 0.45 * np.exp(points[1] * (-1 / 0.12)) * np.clip(1 - normals[1], 0, 1)
    if world.room:
        share *= _corners(world.room, points, normals)
    return share


def _corners(room: Room, points: Array, normals: Array) -> Array:
    """Darkening (n,) towards the edges where the room's walls meet one another and the floor."""
    share = np.ones(points.shape[1], np.float32)
    for axis, half in ((0, room.half[0]), (2, room.half[1])):
        across = 1 - np.abs(normals[axis])
        share *= 1 - 0.35 * across * np.exp((half - np.abs(points[axis])) * (-1 / 0.35))
    return share


def _develop(radiance: Array, surface: Array, grain: np.random.Generator) -> Array:
    """Radiance (3, height, width) to RGB (height, width, 3) uint8: exposure, tone curve, soft edges, grain."""
    border = np.zeros(surface.shape, bool)
    across, down = surface[:, 1:] != surface[:, :-1], surface[1:] != surface[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    exposure, coarseness = grain.uniform(0.4, 0.8), np.float32(grain.uniform(0.003, 0.02))
    gain = exposure / float(np.minimum(radiance, 2).mean() + 0.02)
    tone = np.sqrt(1 - np.exp(radiance * -gain))  # a film's shoulder, then a display's gamma of 2
    tone = np.where(border, 0.5 * tone + 0.5 * _average(tone), tone)
    tone += grain.standard_normal(tone.shape, np.float32) * coarseness
    return np.ascontiguousarray((np.clip(tone, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def _average(sheet: Array) -> Array:
    """Mean over 3 x 3 pixels of a sheet (..., height, width); borders repeat."""
    rows = np.concatenate([sheet[..., :1, :], sheet, sheet[..., -1:, :]], axis=-2)
    rows = rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]
    columns = np.concatenate([rows[..., :1], rows, rows[..., -1:]], axis=-1)
    return (columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]) * np.float32(1 / 9)


def _column(x: float, y: float, z: float) -> Array:
    return np.array([[x], [y], [z]], np.float32)


def _light_points() -> Array:
    """Nine points (3, 9) spread over a unit ball, neighbours in the 3 x 3 block far apart."""
    turn = np.arange(9) * 2.399963  # the golden angle
    height = (np.arange(9) * 2 % 9 - 4) / 4.5
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), height, ring * np.sin(turn)]).astype(np.float32)


_LIGHT_POINTS = _light_points()
