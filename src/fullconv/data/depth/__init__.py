"""Depth maps: reading, units, surface normals, gravity, and their encoding as HHA."""
