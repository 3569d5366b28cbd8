"""A camera's rays and its rotations, for the tests that look at worlds known by hand."""

import numpy as np


def rays(camera):
    """Directions (3, H, W) through the pixel centres, with z = 1."""
    height, width = camera.size
    x, y = np.meshgrid((np.arange(width) - camera.cx) / camera.fx, (np.arange(height) - camera.cy) / camera.fy)
    return np.stack([x, y, np.ones_like(x)])


def turned(pitch, roll):
    """Rotation of the world's axes (x right, y down, z ahead) into a camera's; degrees."""
    p, r = np.radians([pitch, roll])
    tilt = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    lean = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return lean @ tilt
