"""Scenes: the embedded data set, ray-cast on the fly."""
