"""Run experiments of the paper side by side, for a machine that has a GPU and many cores but is there for minutes only.

    python benchmarks/paper_side_by_side.py GROUP... --out DIR [--seeds 3] [--budget 30] [--minutes 7]

A GROUP is ``DATA:ROOT:BACKBONE:EXPERIMENTS``, such as ``voc2012:VOCdevkit:vgg16:T2,upsampling`` or ``scenes:::T2,F5``; its
results go to ``DIR/DATA-BACKBONE``, as ``fullconv paper`` would write them there, and ``--budget`` is what it is there. All
trainings of all groups are done first, several at a time, seed 0 of each before seed 1 of any. Then the experiments are measured
with as many seeds as were trained in full, one process a group. Trainings stop when three quarters of the minutes are gone:
the same command goes on with them. At the end ``DIR/results.tar.gz`` holds tables and pictures, and ``DIR/nets`` an archive of
the trained nets of each group.
"""

import argparse
import contextlib
import multiprocessing
import os
import signal
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from fullconv.data.sample import SEMANTIC
from fullconv.errors import FullconvError
from fullconv.paper.experiment import CLASSIFIER, MOST_READERS, Context, Training
from fullconv.paper.suite import EXPERIMENTS, run_experiment, scale_of
from fullconv.paper.verdicts import scores_of

TRAINING = 3 / 4
"""Share of the minutes after which no training goes on."""
GRACE = 20
"""Seconds that a process is given to stop neatly."""


@dataclass(frozen=True)
class Group:
    """Experiments that share data, backbone and trained nets."""

    data: str
    root: Path | None
    backbone: str | None
    experiments: tuple[str, ...]
    out: Path
    budget: float | None

    @classmethod
    def read(cls, text: str, out: Path, budget: float | None) -> "Group":
        """Return the group that ``DATA:ROOT:BACKBONE:EXPERIMENTS`` names."""
        data, root, backbone, experiments = text.split(":")
        folder = out / "-".join(part for part in (data, backbone) if part)
        return cls(data, Path(root) if root else None, backbone or None, tuple(experiments.split(",")), folder, budget)

    def context(self, seeds: int = 1, console: Console | None = None, readers: int = MOST_READERS) -> Context:
        """Return the context that ``fullconv paper`` would have."""
        said = console or Console(stderr=True)
        return Context(self.out, "", self.data, self.root, self.backbone, scale_of(self.budget), seeds, said, readers)

    def trainings(self, seed: int) -> dict[str, Training]:
        """Return what a seed of all experiments trains, by its run's name; runs that several share are there once."""
        planned = (EXPERIMENTS[name].plan(self.context(), seed) for name in self.experiments)
        return {training.run: training for plan in planned for training in plan.values()}


@dataclass
class Job:
    """One training: in which group, of which seed, and its process once it has one."""

    group: Group
    training: Training
    seed: int
    process: multiprocessing.Process | None = None

    @property
    def name(self) -> str:
        """The name of its log."""
        return f"{self.group.out.name}-{self.training.run}-seed{self.seed}"

    @property
    def folder(self) -> Path:
        """Where it trains."""
        return self.group.context().run_folder(self.training.run, self.seed)

    @property
    def done(self) -> bool:
        """Whether it was trained in full."""
        return (self.folder / "result.json").exists()

    def ready(self, going: "Sequence[Job]") -> bool:
        """Whether what it starts from is there: trained nets, or a classifier that no other job is training just now."""
        weights = self.training.recipe.model.weights
        if (
            weights == CLASSIFIER
            and not (self.group.context().run_folder(CLASSIFIER, self.seed) / "minivgg.safetensors").exists()
        ):
            alike = [job for job in going if (job.group, job.seed) == (self.group, self.seed)]
            return not any(job.training.recipe.model.weights == CLASSIFIER for job in alike)
        runs = weights.values() if isinstance(weights, dict) else ()
        return all((self.group.context().run_folder(run, self.seed) / "result.json").exists() for run in runs)


@contextlib.contextmanager
def logged(path: Path) -> Iterator[Console]:
    """Send what this process prints to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        yield Console(file=log, width=130)


def do_training(job: Job, workers: int, logs: Path) -> None:
    """Train one net; in a process of its own."""
    with logged(logs / f"{job.name}.log") as console:
        start = time.monotonic()
        result = job.group.context(console=console, readers=workers).train(job.training)
        print(f"{job.name}: {time.monotonic() - start:.0f} s")
        if SEMANTIC in result.stages[-1]["heads"]:  # counted here, many nets at a time
            for stage in result.stages:
                scores_of(job.training.recipe, [result], stage["stage"], readers=workers)
        print(f"{job.name}: {time.monotonic() - start:.0f} s with counting")


def do_experiments(group: Group, seeds: int, logs: Path) -> None:
    """Measure a group's experiments one after the other; in a process of its own."""
    with logged(logs / f"{group.out.name}.log") as console:
        for name in group.experiments:
            try:
                run_experiment(name, group.context(seeds, console), group.budget)
            except FullconvError as error:
                print(f"error: {name}: {error}")


def train_all(jobs: Sequence[Job], processes: int, workers: int, logs: Path, until: float) -> None:
    """Train every job, ``processes`` at a time, until the clock says ``until``; those still going then are stopped neatly."""
    waiting, going = [job for job in jobs if not job.done], []
    while (waiting or going) and time.monotonic() < until:
        for job in [job for job in going if not job.process.is_alive()]:
            print(f"{time.strftime('%X')} {'done' if job.done else 'FAILED'} {job.name}", flush=True)
            going.remove(job)
        while len(going) < processes and (job := next((job for job in waiting if job.ready(going)), None)):
            waiting.remove(job)
            job.process = multiprocessing.Process(target=do_training, args=(job, workers, logs))
            job.process.start()
            going.append(job)
        if not going and not any(job.ready(going) for job in waiting):
            break
        time.sleep(0.2)
    stop([job.process for job in going if job.process])


def stop(processes: Sequence[multiprocessing.Process]) -> None:
    """Ask processes to stop as Ctrl-C does, and kill those that do not."""
    for process in processes:
        if process.is_alive():
            os.kill(process.pid, signal.SIGINT)
    end = time.monotonic() + GRACE
    for process in processes:
        process.join(max(0.1, end - time.monotonic()))
        if process.is_alive():
            process.kill()


def measure_all(groups: Sequence[Group], jobs: Sequence[Job], seeds: int, logs: Path, until: float) -> None:
    """Measure every group with the seeds of which all trainings are done."""
    processes = []
    for group in groups:
        own = [job for job in jobs if job.group is group]
        trained = 0
        while trained < seeds and all(job.done for job in own if job.seed == trained):
            trained += 1
        print(f"{time.strftime('%X')} {group.out.name}: {trained} of {seeds} seeds are trained", flush=True)
        if trained:
            processes.append(multiprocessing.Process(target=do_experiments, args=(group, trained, logs)))
            processes[-1].start()
    for process in processes:
        process.join(max(0.1, until - time.monotonic()))
    stop(processes)


def pack(out: Path, groups: Sequence[Group]) -> None:
    """Write the archives of results and nets."""
    with tarfile.open(out / "results.tar.gz", "w:gz") as archive:
        for path in sorted(out.rglob("*")):
            if path.suffix in (".json", ".md", ".png", ".html", ".csv", ".yaml", ".log") and "hha" not in path.parts:
                archive.add(path, path.relative_to(out))
    (out / "nets").mkdir(exist_ok=True)
    for group in groups:
        with tarfile.open(out / "nets" / f"{group.out.name}.tar", "w") as archive:
            for path in sorted((group.out / "runs").rglob("model.safetensors")):
                archive.add(path, path.relative_to(out))


def main() -> None:
    """Train, measure, pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float)
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2, help="processes that read images for each training")
    given = parser.parse_args()
    begin = time.monotonic()
    groups = [Group.read(text, given.out, given.budget) for text in given.groups]
    jobs = [
        Job(group, training, seed)
        for seed in range(given.seeds)
        for group in groups
        for training in group.trainings(seed).values()
    ]
    logs = given.out / "logs"
    train_all(jobs, given.processes, given.workers, logs, begin + TRAINING * 60 * given.minutes)
    measure_all(groups, jobs, given.seeds, logs, begin + 60 * given.minutes)
    pack(given.out, groups)
    for path in sorted(given.out.glob("*/*/result.md")):
        print(path.parent.relative_to(given.out), path.read_text(encoding="utf-8"), sep="\n")
    print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
