"""Light and sky: lamps in rooms; clear, cloudy, overcast, dusky and night skies with the light that belongs to them.

Sky colours are spread as widely as paint is (:mod:`fullconv.data.scenes.textures` holds greys, blues and dusk colours for
every class), so blue does not mean sky. All colours are linear RGB; brightness is relative, the camera sets exposure.
"""

import math
from dataclasses import dataclass

import numpy as np

from fullconv.data.scenes.raycast import Array, dot
from fullconv.data.scenes.textures import draw_colors, noise

_SUN_DISTANCE = 400.0  # metres; far enough for parallel shadows, near enough for float32


@dataclass(frozen=True)
class Light:
    """One light that casts shadows, and what fills them.

    Parameters
    ----------
    position
        (3,) metres, in the world.
    radius
        Metres; a large light has soft shadows.
    color
        (3,) linear RGB at a surface that faces it, at ``falloff`` metres.
    falloff
        Metres; brightness goes with the inverse square of the distance in this unit. 0: the sun, no falloff.
    above, below
        (3,) linear RGB of the light that comes from all over the upper and the lower half.
    """

    position: Array
    radius: float
    color: Array
    falloff: float
    above: Array
    below: Array


@dataclass(frozen=True)
class Sky:
    """Colours (3,) of zenith, horizon and clouds; ``cover`` 0..1 of clouds; ``haze`` in metres."""

    zenith: Array
    horizon: Array
    cloud: Array
    cover: float
    shift: tuple[float, float]
    haze: float


def draw_lamp(rng: np.random.Generator, half: tuple[float, float]) -> tuple[Sky, Light]:
    """Return a lamp under the ceiling of a room of half sides ``half``; the sky is never seen."""
    x, z = (rng.uniform(-0.6, 0.6) * side for side in half)
    position = np.array([x, rng.uniform(2.3, 3.6), z], np.float32)
    color = _color(rng, 1.0, warmth=rng.uniform(-0.15, 0.35)) * rng.uniform(0.7, 1.5)
    fill = rng.uniform(0.18, 0.4)
    light = Light(position, rng.uniform(0.05, 0.25), color, 2.5, _color(rng, fill), _color(rng, fill * 0.6))
    black = np.zeros(3, np.float32)
    return Sky(black, black, black, 0.0, (0.0, 0.0), math.inf), light


def draw_daylight(rng: np.random.Generator, forward: Array) -> tuple[Sky, Light]:
    """Return a sky and its sun, moon or street lamp; the sun stands anywhere but straight ahead of ``forward`` (3,)."""
    mood = rng.choice(["clear", "overcast", "dusk", "night", "painted"], p=[0.3, 0.2, 0.2, 0.15, 0.15])
    shift, haze = (rng.uniform(0, 64), rng.uniform(0, 64)), math.exp(rng.uniform(math.log(40), math.log(600)))
    cover = rng.uniform(0.0, 0.75)
    sun, elevation = _color(rng, 1.6, 0.15), rng.uniform(25, 65)
    if mood == "clear":
        zenith, horizon = np.array([0.08, 0.2, 0.55]) * rng.uniform(0.7, 1.6), np.array([0.45, 0.6, 0.8])
        cloud = np.full(3, rng.uniform(0.8, 1.2))
    elif mood == "overcast":
        zenith, horizon = np.full(3, rng.uniform(0.3, 0.8)), _color(rng, rng.uniform(0.5, 0.9), 0.05)
        cloud, cover, sun = np.full(3, rng.uniform(0.3, 1.0)), rng.uniform(0.5, 1), sun * 0.3
    elif mood == "dusk":
        zenith = np.array([0.12, 0.12, 0.3]) * rng.uniform(0.6, 1.6)
        horizon = np.array([1.0, rng.uniform(0.3, 0.65), rng.uniform(0.1, 0.5)]) * rng.uniform(0.5, 1.0)
        cloud, sun, elevation = horizon * rng.uniform(0.5, 1.1), _color(rng, 1.2, 0.6), rng.uniform(14, 30)
    elif mood == "night":
        zenith, horizon = np.array([0.006, 0.008, 0.02]), np.array([0.03, 0.035, 0.06]) * rng.uniform(0.5, 3)
        cloud, sun = horizon * rng.uniform(0.3, 1.5), _color(rng, 0.9, 0.4)
    else:  # any colours, as walls have
        zenith, horizon = draw_colors(rng).astype(np.float64)
        cloud = draw_colors(rng)[0].astype(np.float64)
    azimuth = math.atan2(forward[0], forward[2]) + rng.choice([-1, 1]) * math.radians(rng.uniform(35, 180))
    fill = 0.25 * (zenith + horizon) + 0.08 + (0.15 if mood == "overcast" else 0)
    if mood == "night":
        light = _street_lamp(rng, forward, sun, fill)
    else:
        height, away = math.sin(math.radians(elevation)), math.cos(math.radians(elevation))
        toward = np.array([away * math.sin(azimuth), height, away * math.cos(azimuth)], np.float32)
        softness = rng.uniform(0.1, 0.2) if mood == "overcast" else rng.uniform(0.005, 0.05)
        light = Light(toward * _SUN_DISTANCE, softness * _SUN_DISTANCE, sun, 0.0, _f32(fill), _f32(fill * 0.5))
    return Sky(_f32(zenith), _f32(horizon), _f32(cloud), cover, shift, haze), light


def sky_color(sky: Sky, direction: Array) -> Array:
    """Linear RGB (3, n) that is seen along ``direction`` (3, n)."""
    up = np.maximum(direction[1] / np.sqrt(dot(direction, direction)), 0)
    color = sky.horizon[:, None] + np.sqrt(up) * (sky.zenith - sky.horizon)[:, None]
    x, z = direction[0] / (direction[1] + 0.12), direction[2] / (direction[1] + 0.12)
    billow = noise(x * 0.35 + sky.shift[0], z * 0.35 + sky.shift[1])
    billow = 0.8 * billow + 0.2 * noise(x * 1.7 + sky.shift[1], z * 1.7 + sky.shift[0])
    density = np.clip((billow - 1 + sky.cover) * 3.5, 0, 1) * np.clip(up * 5 + 0.1, 0, 1)
    return color + density * (sky.cloud[:, None] * (1.1 - 0.45 * density) - color)


def _street_lamp(rng: np.random.Generator, forward: Array, color: Array, fill: Array) -> Light:
    """Return a lamp some metres above the things ahead."""
    ahead = rng.uniform(1, 7)
    position = np.array([forward[0] * ahead + rng.uniform(-3, 3), rng.uniform(3, 5), forward[2] * ahead], np.float32)
    return Light(position, rng.uniform(0.05, 0.3), color, 4.0, _f32(fill), _f32(fill * 0.6))


def _color(rng: np.random.Generator, brightness: float, warmth: float = 0.0) -> Array:
    """Return a nearly white colour; positive ``warmth`` towards yellow, negative towards blue."""
    tint = np.array([1 + 0.4 * warmth, 1.0, 1 - 0.7 * warmth]) + rng.normal(0, 0.03, 3)
    return _f32(brightness * tint)


def _f32(x: Array) -> Array:
    return np.asarray(x, np.float32)
