"""OpenCV's Caffe importer as a second opinion; its interpreter is named by ``FULLCONV_OPENCV``."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np

VARIABLE = "FULLCONV_OPENCV"
HOW = f"python -m venv opencv && opencv/bin/pip install 'opencv-python-headless<5' && export {VARIABLE}=$PWD/opencv/bin/python"


class OpenCV:
    """Collects nets and runs them all in one process of another interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: list[dict[str, object]] = []

    def add(self, prototxt: Path, caffemodel: Path, inputs: dict[str, np.ndarray], outputs: list[str]) -> None:
        """Note a net, its inputs (N, C, H, W) by name, and the maps that are wanted of it."""
        place = self.folder / f"job{len(self.jobs)}"
        np.savez(place.with_suffix(".in.npz"), **inputs)
        files = {"prototxt": str(prototxt), "caffemodel": str(caffemodel)}
        self.jobs.append(files | {"inputs": f"{place}.in.npz", "outputs": outputs, "out": f"{place}.out.npz"})

    def run(self) -> list[list[np.ndarray]]:
        """Return the outputs of every net."""
        listed = self.folder / "jobs.json"
        listed.write_text(json.dumps(self.jobs))
        script = Path(__file__).with_name("opencv_nets.py")
        subprocess.run([os.environ[VARIABLE], str(script), str(listed)], check=True, env={"PATH": os.environ["PATH"]})
        found = [np.load(str(job["out"])) for job in self.jobs]
        return [[file[name] for name in file.files] for file in found]
