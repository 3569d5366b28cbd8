"""Procedural textures: what a surface is painted with, as a function of metres along it.

A :class:`Material` is a pattern, its colours and its size. :func:`draw_material` draws one, and it is the only way
surfaces get their paint: floor, wall and every object class draw from the same distribution, so neither pattern nor
colour gives a class away.

Patterns take texture coordinates counted in the material's own size and ``width``, the extent of one pixel in the same
unit; edges are softened over one pixel and what is finer than a pixel fades to its mean (no aliasing, one sample a
pixel). They return the share (n,) of the second colour, 0..1.
"""

import colorsys
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fullconv.data.scenes.raycast import Array

_TILE = 256  # texels a side of the noise tile; it repeats
_TEXELS = 12  # texels of the tile in one unit of a material


@dataclass(frozen=True)
class Material:
    """The paint of one surface.

    Parameters
    ----------
    texture
        A key of :data:`TEXTURES`.
    colors
        (2, 3) linear RGB reflectances, 0..1.
    size
        Metres of one period of the pattern.
    angle, offset
        Where the pattern lies on the surface: radians, and two shifts in periods.
    gloss
        Strength of the highlight, 0 (matt) ..1.
    """

    texture: str
    colors: Array
    size: float
    angle: float
    offset: tuple[float, float]
    gloss: float


def draw_material(rng: np.random.Generator) -> Material:
    """Draw a material: any texture, any palette, sizes from 12 to 80 cm, evenly in the logarithm."""
    turn = rng.random()
    return Material(
        texture=_NAMES[rng.integers(len(_NAMES))],
        colors=draw_colors(rng),
        size=math.exp(rng.uniform(math.log(0.12), math.log(0.8))),
        angle=0.0 if turn < 0.45 else math.pi / 2 if turn < 0.8 else rng.uniform(0, math.pi),
        offset=(rng.uniform(0, 64), rng.uniform(0, 64)),
        gloss=0.0 if rng.random() < 0.5 else rng.uniform(0.2, 1),
    )


def draw_colors(rng: np.random.Generator) -> Array:
    """Draw two colours (2, 3), linear RGB: the first freely, the second kin to it or (one in three) freely too."""
    hue, saturation, value = _draw_hsv(rng)
    first = _hsv_to_linear(hue, saturation, value)
    if rng.random() < 1 / 3:
        return np.array([first, _hsv_to_linear(*_draw_hsv(rng))], np.float32)
    step = math.copysign(rng.uniform(0.1, 0.35), rng.random() - 0.5)
    if not 0.12 <= value + step <= 0.97:
        step = -step
    kin = hue + rng.normal(0, 0.03), saturation + rng.normal(0, 0.1), value + step
    return np.array([first, _hsv_to_linear(*kin)], np.float32)


def albedo(material: Material, u: Array, v: Array, pixel: Array) -> Array:
    """Linear RGB reflectance (3, n) at texture coordinates ``u, v`` (n,), in metres; ``pixel`` (n,) metres a pixel."""
    cos, sin = math.cos(material.angle) / material.size, math.sin(material.angle) / material.size
    x = u * cos + v * sin + material.offset[0]
    y = v * cos - u * sin + material.offset[1]
    share = TEXTURES[material.texture](x, y, pixel / material.size)
    first, second = material.colors
    stain = 0.82 + 0.36 * noise(x * 0.21 * material.size / 0.3, y * 0.21 * material.size / 0.3)  # wear
    return (first[:, None] + share * (second - first)[:, None]) * stain


def noise(x: Array, y: Array) -> Array:
    """Smooth fractal noise (n,), evenly distributed in 0..1, at coordinates counted in units of some centimetres."""
    x, y = x * _TEXELS, y * _TEXELS
    fx, fy = np.floor(x), np.floor(y)
    column, row = fx.astype(np.int32) & (_TILE - 1), fy.astype(np.int32) & (_TILE - 1)
    right, below = (column + 1) & (_TILE - 1), ((row + 1) & (_TILE - 1)) * _TILE
    row *= _TILE
    x, y = x - fx, y - fy
    tile = _noise_tile()
    top, bottom = tile[row + column], tile[below + column]
    top = top + (tile[row + right] - top) * x
    bottom = bottom + (tile[below + right] - bottom) * x
    return top + (bottom - top) * y


@functools.cache
def _noise_tile() -> Array:
    """Return a periodic tile of 1/f noise (256 * 256,), evenly distributed in 0..1; the same in every process."""
    frequency = np.fft.fftfreq(_TILE)
    radius = np.hypot(*np.meshgrid(frequency, frequency))
    radius[0, 0] = np.inf  # no mean
    spectrum = np.fft.fft2(np.random.default_rng(7).standard_normal((_TILE, _TILE)))
    field = np.fft.ifft2(spectrum * radius**-1.7).real.ravel()
    ranks = np.empty(field.size, np.float32)
    ranks[field.argsort()] = np.linspace(0, 1, field.size)
    return ranks


def _draw_hsv(rng: np.random.Generator) -> tuple[float, float, float]:
    """One colour in hue, saturation, value: greys, earth, paint or the colours of skies."""
    family = rng.integers(4)
    if family == 0:
        return rng.random(), rng.uniform(0, 0.12), rng.uniform(0.2, 0.95)
    if family == 1:
        return rng.uniform(0.03, 0.17), rng.uniform(0.2, 0.6), rng.uniform(0.25, 0.85)
    if family == 2:
        return rng.random(), rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.95)
    return rng.uniform(0.52, 0.66), rng.uniform(0.05, 0.6), rng.uniform(0.3, 0.95)


def _hsv_to_linear(hue: float, saturation: float, value: float) -> tuple[float, ...]:
    """Linear RGB of a colour given as a screen shows it."""
    rgb = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return tuple(channel**2.2 for channel in rgb)


def _wave(x: Array, width: Array) -> Array:
    """Return a square wave of period 1, softened over one pixel; it fades to 1/2 where a pixel spans periods."""
    triangle = np.abs(x - np.floor(x) - 0.5) * 4 - 1
    return np.clip(0.5 + triangle / (4 * width + 0.02), 0, 1)


def _line(x: Array, half: float, width: Array) -> Array:
    """Return the share of a pixel around ``x`` that lies within ``half`` of the whole numbers."""
    width = np.maximum(width, 0.01)
    return (_line_before(x + 0.5 * width, half) - _line_before(x - 0.5 * width, half)) / width


def _line_before(x: Array, half: float) -> Array:
    """Return the length of line from 0 to ``x``."""
    nearest = np.floor(x + 0.5)
    return nearest * (2 * half) + np.clip(x - nearest, -half, half)


def _plain(x: Array, y: Array, width: Array) -> Array:
    return np.zeros_like(x)


def _checker(x: Array, y: Array, width: Array) -> Array:
    a, b = _wave(x, width), _wave(y, width)
    return a + b - 2 * a * b


def _stripes(x: Array, y: Array, width: Array) -> Array:
    return _wave(x, width)


def _clouds(x: Array, y: Array, width: Array) -> Array:
    return noise(x, y)


def _wood(x: Array, y: Array, width: Array) -> Array:
    board = np.floor(y)
    rings = noise(x * 0.12 + 0.37 * board, y * 0.5 + 1.7 * board)
    grain = 0.5 + 0.5 * np.sin(rings * 40)
    fade = np.clip(1.6 - 4 * width, 0, 1)
    return np.maximum(0.25 + 0.5 * rings + 0.35 * (grain - 0.5) * fade, _line(y, 0.03, width))


def _bricks(x: Array, y: Array, width: Array) -> Array:
    y = y * 2
    row = np.floor(y)
    x = x + 0.5 * (row - 2 * np.floor(row / 2))
    tint = 0.45 * noise(np.floor(x) * 0.77, row * 0.59)
    upright, level = _line(x, 0.04, width), _line(y, 0.08, 2 * width)
    mortar = upright + level - upright * level
    return tint + (1 - tint) * mortar


def _tiles(x: Array, y: Array, width: Array) -> Array:
    a, b = _line(x, 0.035, width), _line(y, 0.035, width)
    return a + b - a * b


def _dots(x: Array, y: Array, width: Array) -> Array:
    dx, dy = x - np.floor(x) - 0.5, y - np.floor(y) - 0.5
    soft = np.clip(0.5 + (0.3 - np.sqrt(dx * dx + dy * dy)) / np.maximum(width, 0.01), 0, 1)
    fade = np.clip(2 - 3 * width, 0, 1)
    return 0.283 + (soft - 0.283) * fade  # 0.283 = π 0.3², the mean


def _gradient(x: Array, y: Array, width: Array) -> Array:
    return 0.5 + 0.5 * np.sin(x * 0.8)


TEXTURES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "plain": _plain,
    "checker": _checker,
    "stripes": _stripes,
    "clouds": _clouds,
    "wood": _wood,
    "bricks": _bricks,
    "tiles": _tiles,
    "dots": _dots,
    "gradient": _gradient,
}
"""The patterns, by name."""
_NAMES = list(TEXTURES)
