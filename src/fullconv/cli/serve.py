"""The command ``serve``: trained models for others, over HTTP."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True)
class Bounds:
    """What the service refuses.

    Parameters
    ----------
    max_mb
        MB of an image file.
    max_pixels
        Of an image.
    queue
        Images that wait or are computed at the same time, in each process; more are told to come again (429).
    timeout
        Seconds in which an image is answered.
    receive_timeout
        Seconds in which an image has to arrive.
    """

    max_mb: float = 32
    max_pixels: int = 4096 * 4096
    queue: int = 64
    timeout: float = 60
    receive_timeout: float = 30


@Parameter(name="*")
@dataclass(frozen=True)
class Work:
    """How the service computes.

    Parameters
    ----------
    engine
        eager: PyTorch as it is; compiled: torch.compile; openvino, onnxruntime: other runtimes, on a CPU, some seconds to start;
        auto: openvino where it is installed, on a CPU.
    precision
        Of convolutions: fp32, bf16 or fp16, as the engine and the processor have them.
    device
        cpu, cuda, cuda:1, mps …; auto takes cuda where there is one, else cpu.
    workers
        Processes at one port, each with models of its own; one that dies is replaced.
    threads
        That compute in each process; by default one for two cores, and two on two.
    batch
        Images of one size that go through a net together; by default one on a CPU, eight on a GPU.
    batch_wait
        Seconds that an image waits at most for others of its size, where more than one go together.
    """

    engine: Literal["auto", "eager", "compiled", "openvino", "onnxruntime"] = "eager"
    precision: Literal["fp32", "bf16", "fp16"] | None = None
    device: str = "auto"
    workers: int = 1
    threads: int | None = None
    batch: int | None = None
    batch_wait: float = 0.005


def serve(
    *models: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    without_token: Annotated[bool, Parameter(negative="")] = False,
    work: Work = Work(),
    bounds: Bounds = Bounds(),
) -> None:
    """Answer images with their labels over HTTP, and show a page in browsers, until Ctrl-C or SIGTERM.

    SIGTERM answers what has come and ends. A model whose file changes is loaded again, at once on SIGHUP; a file that cannot be
    loaded changes nothing.

    Parameters
    ----------
    models
        A model.safetensors that training wrote, a file that export wrote, hf://owner/name or the name of an installed model; or
        NAME=ONE OF THESE. Requests that name no model get the first.
    host
        Address to listen on; this machine alone by default.
    port
        To listen on; 0 takes one that is free.
    token_file
        Text file with a token a line; only who sends one is answered.
    without_token
        Answer everybody who reaches an address that is not this machine's alone.
    work
        How it computes.
    bounds
        What it refuses.

    Examples
    --------
    fullconv serve voc-subset
    fullconv serve roads=run/model.safetensors --host 0.0.0.0 --token-file tokens.txt
    """
    from fullconv.errors import SpecError
    from fullconv.extras import extra_module

    for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        extra_module(module, "serve")
    from fullconv.serve.limits import MB, Limits
    from fullconv.serve.security import is_loopback
    from fullconv.serve.server import run
    from fullconv.serve.settings import Settings, named_models

    if not is_loopback(host) and token_file is None and not without_token:
        raise SpecError(
            f"--host {host} lets others reach the service; give --token-file FILE with a token a line, or --without-token where "
            "something else decides who comes in"
        )
    counts = {"--workers": work.workers, "--threads": work.threads, "--batch": work.batch, "--queue": bounds.queue}
    for option, value in (counts | {"--max-mb": bounds.max_mb, "--max-pixels": bounds.max_pixels}).items():
        if value is not None and value <= 0:
            raise SpecError(f"{option} is {value}; it is a number above 0")
    limits = Limits(
        body=round(bounds.max_mb * MB),
        pixels=bounds.max_pixels,
        queue=bounds.queue,
        seconds=bounds.timeout,
        receive_seconds=bounds.receive_timeout,
    )
    settings = Settings(
        *(named_models(models), work.device, work.engine, work.precision, limits, token_file),
        threads=work.threads,
        batch=work.batch,
        wait=work.batch_wait,
    )
    run(settings, host, port, work.workers)
