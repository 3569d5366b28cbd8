"""OpenVINO in a process with signals and threads."""

import gc
import signal
from concurrent.futures import ThreadPoolExecutor

import openvino

from fullconv.inference.engines.openvino import compile_graph


def test_a_signal_after_a_net_was_let_go_in_another_thread() -> None:
    """OpenVINO frees the stack for signals that it gave to this thread: handling one would end the process."""
    pixels = openvino.opset13.parameter([1, 3, 4, 4])
    held = [compile_graph(openvino.Model([openvino.opset13.relu(pixels)], [pixels]), "fp32")]
    with ThreadPoolExecutor(1) as threads:
        threads.submit(held.clear).result()
        threads.submit(gc.collect).result()
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert came == [signal.SIGUSR1]
