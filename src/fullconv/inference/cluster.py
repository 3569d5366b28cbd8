"""Many images on many machines, by Ray Data: https://docs.ray.io/en/latest/data/batch_inference.html.

Each worker of the cluster holds the model and reads and writes its images by itself, so inputs and outputs lie where all machines
find them: in a storage with a URL, or in a folder that all of them have at the same path. When a worker or a machine ends, Ray
starts another one and gives it what was on its way. What fails is tried once more at the end.
"""

import io
import logging
import os
import pickle
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fullconv.errors import FullconvError, SpecError
from fullconv.extras import extra_module
from fullconv.inference.mapped import Opener, written
from fullconv.inference.predictor import Predictor
from fullconv.inference.processes import BATCH, tried_twice
from fullconv.inference.results import Done, How, Todo, predict_jobs

LOCAL = "local"
BLOCKS = 10_000
"""Pieces that Ray keeps books of, at most; each has as many images as are needed for that."""


@dataclass(frozen=True)
class Cluster:
    """What predicts on the machines of a Ray cluster, see :func:`fullconv.inference.files.predict_files`.

    Parameters
    ----------
    predictor
        Computes in every worker; of an exported file the file lies on every machine.
    address
        ``local``: a cluster that is started on this machine and ends with the run; ``auto``: the one that this machine belongs
        to; ``HOST:PORT`` or ``ray://HOST:PORT``. A program that has connected by itself stays so.
    workers
        How many; by default one for each GPU of the cluster where the model computes on one, else for each processor.

    Raises
    ------
    SpecError
        When Ray is not installed; when there is no such cluster.
    """

    predictor: Predictor
    address: str = LOCAL
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise SpecError(f"{self.workers} workers predict nothing; give 1 or more")
        extra_module("ray", "ray")
        extra_module("ray.data", "ray")

    def __call__(self, todo: Todo, how: How) -> Generator[Done, None, None]:
        """Yield what became of each image, in the order in which they are done.

        Raises
        ------
        FullconvError
            When a result cannot be written.
        """
        if not todo:
            return
        ray = extra_module("ray", "ray")
        started = not ray.is_initialized()
        if started:
            self._connect(ray)
        try:
            content = io.BytesIO()
            opener = written(self.predictor, content)
            given = opener, ray.put(content.getvalue()), how
            yield from tried_twice(todo, lambda some: self._all(ray, some, given), lambda some: self._all(ray, some, given))
        finally:
            if started:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody unless somebody wants it
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        logging.getLogger("ray").setLevel(logging.ERROR)  # its data part too: what becomes of the images is told by us
        of_its_own: dict[str, Any] = {}
        if self.address == LOCAL:
            of_its_own = {"num_cpus": max(self.workers or 1, os.cpu_count() or 1), "include_dashboard": False}
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", **of_its_own)
        except (ConnectionError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise SpecError(f"no Ray cluster at {self.address}: {said}; give local, auto or HOST:PORT") from error

    def _all(self, ray: Any, todo: Todo, given: tuple[Opener, Any, How]) -> Iterator[Done]:
        import ray.data as ray_data

        ray_data.DataContext.get_current().enable_progress_bars = False
        on_gpu = self.predictor.device.type == "cuda"
        has = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1))
        batch = BATCH * given[2].together
        items = [{"item": pickle.dumps(item)} for item in todo.items()]
        workers = min(self.workers or has, len(items))
        found = ray_data.from_items(items, override_num_blocks=min(BLOCKS, -(-len(items) // batch))).map_batches(
            _Worker,
            fn_constructor_args=given,
            batch_size=batch,
            compute=ray_data.ActorPoolStrategy(size=workers),
            num_cpus=0 if on_gpu else 1,
            num_gpus=1 if on_gpu else 0,
        )
        for row in found.iter_rows():
            done = pickle.loads(row["done"])
            if isinstance(done, FullconvError):
                raise done
            yield done


class _Worker:
    """The model in a worker of the cluster."""

    def __init__(self, opener: Opener, content: Any, how: How) -> None:
        import ray

        torch.set_num_threads(1)  # as many processors as Ray has been asked for
        self.predictor = opener(ray.get(content))
        self.how = how

    def __call__(self, rows: Mapping[str, Any]) -> dict[str, Any]:
        """Return what became of each image; or, where nothing more can be written, why."""
        todo = dict(pickle.loads(item) for item in rows["item"])
        try:
            found: list[Any] = list(predict_jobs(self.predictor, todo, self.how))
        except FullconvError as error:
            found = [FullconvError(str(error))]
        return {"done": np.array([pickle.dumps(done) for done in found], dtype=object)}
