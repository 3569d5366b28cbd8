"""How fast ``predict_files`` is against a plain loop, and how much memory it takes for few and for many pictures.

    python benchmarks/predict_files.py FOLDER [COUNT] [ROUNDS] [NAME]

The model is NAME: an installed one, voc-subset by default, or a checkpoint's file; or a net such as fcn8s-squeezenet1_1,
untrained, whose label maps are as ragged as they come and take long to pack. The ways take turns, each writes label maps and
overlays of the same COUNT pictures, and the median of ROUNDS is given; peak memory is that of a process of its own (on Linux).
"Plain net" is the net as it is in a loop of one's own, "plain loop" the same with a Predictor; docs/results.md has what it gave.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fullconv.files import replacing
from fullconv.inference.files import predict_files
from fullconv.inference.jobs import Job, find_jobs
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.inference.segmentation import Segmentation
from fullconv.labels import VOC
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec


def predictor_of(name: str) -> Predictor:
    """Return a trained model, or an untrained net, of which scores are random."""
    if not name.startswith("fcn"):
        return load(name)
    torch.manual_seed(0)
    model = build_model(ModelSpec(name=name), {"semantic": len(VOC)})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    return Predictor(model, {"semantic": VOC})


def plain_loop(predictor: Predictor, jobs: list[Job]) -> None:
    """Read, predict, write, one picture after another."""
    for job in jobs:
        found = predictor.predict(job.source)
        found.save(job.path("labels"))
        with replacing(job.path("overlay")) as temporary:
            found.overlay(job.source).save(temporary, format="PNG")


def plain_net(model: FCN, jobs: list[Job]) -> None:
    """Do the same with the net as it is, as one would write it without this package's predictor."""
    for job in jobs:
        with Image.open(job.source) as opened:
            image = np.asarray(opened.convert("RGB"))
        with torch.inference_mode():
            labels = model(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])["semantic"].argmax(1)[0].byte().numpy()
        Segmentation(labels, None, VOC).save(job.path("labels"))
        with replacing(job.path("overlay")) as temporary:
            Segmentation(labels, None, VOC).overlay(image).save(temporary, format="PNG")


def compare(folder: str, count: int, rounds: int, name: str) -> None:
    """Print images per second and processor seconds per image of every way."""
    predictor, net = predictor_of(name), predictor_of(name).model
    ways: dict[str, Callable[[list[Job]], object]] = {
        "plain net": lambda jobs: plain_net(net, jobs),
        "plain loop": lambda jobs: plain_loop(predictor, jobs),
        "predict_files": lambda jobs: predict_files(predictor, jobs, ["overlay"], overwrite=True),
        "in fours": lambda jobs: predict_files(predictor, jobs, ["overlay"], overwrite=True, together=4),
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as out:
        # each has a folder of its own, as predict_files overwrites nothing that others wrote
        jobs = {name: find_jobs([folder], Path(out, name), ["overlay"])[:count] for name in ways}
        for one in (job for each in jobs.values() for job in each):
            one.path("labels").parent.mkdir(parents=True, exist_ok=True)
        for _ in range(rounds):
            for name, way in ways.items():
                begin, cpu = time.perf_counter(), time.process_time()
                way(jobs[name])
                took[name].append((time.perf_counter() - begin, time.process_time() - cpu))
    count = len(jobs["plain net"])
    for name, pairs in took.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name:14} {count / wall:6.2f} images/s   {1000 * cpu / count:6.1f} ms of processor an image", flush=True)


def memory(folder: str, count: int, name: str) -> None:
    """Print the peak memory of this process after ``count`` pictures."""
    with tempfile.TemporaryDirectory() as out:
        jobs = find_jobs([folder], Path(out))[:count]
        predict_files(predictor_of(name), jobs, ["overlay", "coco", "areas"])
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()  # what getrusage says begins with the parent's
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    print(f"{len(jobs)} pictures: peak memory {peak / 1024:.0f} MiB", flush=True)


if __name__ == "__main__":
    pictures, number, times, net = [*sys.argv[1:], *("20", "5", "voc-subset")[max(0, len(sys.argv) - 2) :]]
    if times == "memory":
        memory(pictures, int(number), net)
    else:
        compare(pictures, int(number), int(times), net)
        for few_or_many in ("50", "300"):
            subprocess.run([sys.executable, __file__, pictures, few_or_many, "memory", net], check=True)
