"""Runs Caffe nets by OpenCV's own importer, in an environment of its own: ``python opencv_nets.py JOBS.json``.

A job is ``{"prototxt", "caffemodel", "inputs": NPZ, "outputs": [names], "out": NPZ}``: inputs by Caffe's names (one named
``size_like`` is none), outputs by theirs. Needs ``opencv-python-headless<5``; OpenCV 5 has no such importer. Knows nothing of
fullconv.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np


def main() -> None:
    """Run every job."""
    cv2.setNumThreads(1)
    for job in json.loads(Path(sys.argv[1]).read_text()):
        net = cv2.dnn.readNetFromCaffe(job["prototxt"], job["caffemodel"])
        inputs = np.load(job["inputs"])
        for name in inputs.files:
            net.setInput(inputs[name], name)
        found = net.forward(job["outputs"])
        np.savez(job["out"], **{f"_{i}": array for i, array in enumerate(found)})


main()
