"""What a card computes for images of one shape, recorded once as a CUDA graph and then started as a whole.

PyTorch starts a net's operations one after the other, which takes a processor longer than the card computes where images are
few or the net is small. A recording starts all of them at once. It reads weights where they lie, so it sees those that change
in place.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

SHAPES = 8
"""Recordings that are kept, those that were used last."""
AFTER = 4
"""Calls with one shape before it is recorded: a recording takes as long as some fifty calls."""
COUNTED = 1000
"""Shapes that are counted; beyond, counting begins anew."""

Key = tuple[bool, tuple[tuple[str, torch.Size, torch.dtype], ...]]
"""Whether in inference mode, whose tensors nobody else may write to; and the shapes."""
Function = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    inputs: dict[str, Tensor]
    outputs: Mapping[str, Tensor]
    reads: object


class Recorded:
    """A function from tensors on a card to tensors there, recorded for the shapes that come again and again.

    Several threads may call it at the same time.

    Parameters
    ----------
    function
        Does the same at every call, and never waits for the card. What cannot be recorded is called as it is.
    reads
        Gives what holds tensors that the function made at earlier calls and reads now: a recording reads their memory, so they
        must stay as long as it does.
    """

    def __init__(self, function: Function, reads: Callable[[], object] = lambda: None) -> None:
        self.function, self.reads = function, reads
        self._lock = threading.Lock()
        self._calls: Counter[Key] = Counter()
        self._recordings: OrderedDict[Key, _Recording | None] = OrderedDict()
        self._pool: Any = None
        self._done = torch.cuda.Event()

    def __call__(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return what the function gives, as tensors that nobody else writes to."""
        shapes = tuple((name, images.shape, images.dtype) for name, images in batch.items())
        key = torch.is_inference_mode_enabled(), shapes
        # what is recorded is what goes to the current card's own streams
        with self._lock, torch.cuda.device(next(iter(batch.values())).device):
            if key not in self._recordings and self._calls[key] < AFTER:
                self._calls[key] += 1
                recording = None
            else:
                recording = self._recording(key, batch)
            if recording is not None:
                torch.cuda.current_stream().wait_event(self._done)
                for name, images in batch.items():
                    recording.inputs[name].copy_(images, non_blocking=True)
                recording.graph.replay()
                copies = {name: found.clone() for name, found in recording.outputs.items()}
                self._done.record()  # recordings share memory, and callers may have streams of their own
                return copies
        return self.function(batch)

    def _recording(self, key: Key, batch: Mapping[str, Tensor]) -> _Recording | None:
        if key not in self._recordings:
            self._recordings[key] = self._record(batch)
        self._recordings.move_to_end(key)
        while len(self._recordings) > SHAPES:
            self._calls.pop(self._recordings.popitem(last=False)[0], None)
        if len(self._calls) > COUNTED:
            self._calls.clear()
        return self._recordings[key]

    def _record(self, batch: Mapping[str, Tensor]) -> _Recording | None:
        """Return a recording; ``None`` where the card or the function refuses, as when memory is short."""
        inputs = {name: images.clone() for name, images in batch.items()}
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(aside):  # once more beside the others, as libraries prepare themselves for each stream
                self.function(inputs)
            torch.cuda.current_stream().wait_stream(aside)
            # other threads may go on: they copy images meanwhile
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = self.function(inputs)
        except RuntimeError:
            torch.cuda.synchronize()
            return None
        return _Recording(graph, inputs, outputs, self.reads())
