"""How much ``fullconv serve`` holds: load, overload, and a soak; over the loopback, client and server on one machine.

    python benchmarks/service.py load      [MODEL]   throughput and p50, p95, p99 at 1 to 64 clients, beside plain loops and a
                                                     handler that calls the net in FastAPI's event loop; 5 minutes
    python benchmarks/service.py overload  [MODEL]   four times as many images as it holds, for five minutes: answers, memory,
                                                     and how soon it recovers
    python benchmarks/service.py soak      [MODEL]   30 minutes at half of what it holds: the slope of memory
    python benchmarks/service.py start     [MODEL]   seconds from the command to the first answer, of five starts
    python benchmarks/service.py memory    [MODEL]   of --workers 1 and 2: what they have, and what of it is shared

``--seconds`` says how long each measurement takes, ``--side`` the images' height (their width is 4/3 of it), ``--clients`` and
``--servers`` which rows of the load are measured. What else stands there goes to ``fullconv serve``. Rows are printed as they are
measured. Faults are in ``benchmarks/service_faults.py``.
"""

import argparse
import asyncio
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
from service_client import Process, arrivals, ask, counts, crowd, percentiles, photographs, segment, service

CLIENTS = (1, 2, 4, 8, 16, 32, 64)
SECONDS = {"load": 15, "overload": 300, "soak": 1800, "memory": 5, "loop": 15}
STARTS = 5


def loop(model: str, side: int, seconds: float, threads: int) -> None:
    """Print images a second of decoding, predicting and encoding, and a processor's seconds an image, as JSON.

    One loop as anybody writes it, with as many cores as PyTorch takes; or as many loops as ``threads``, with one core each.
    """
    import torch

    from fullconv import load as load_model

    predictor, files = load_model(model), photographs(side)
    predictor.predict(files[0])
    done = itertools.count()
    end = 0.0

    def run() -> None:
        if threads > 1:
            torch.set_num_threads(1)
        while time.monotonic() < end:
            predictor.predict(files[next(done) % len(files)]).to_image().save(io.BytesIO(), format="PNG")

    workers = [threading.Thread(target=run) for _ in range(threads)]
    begun, before = time.monotonic(), time.process_time()
    end = begun + seconds
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    images = next(done)
    print(json.dumps({"rate": images / (time.monotonic() - begun), "cpu": (time.process_time() - before) / images}))


def naive(model: str) -> None:
    """Serve as one would in ten lines: the net is called in the event loop."""
    import uvicorn
    from fastapi import FastAPI, Request, Response

    from fullconv import load as load_model

    predictor, app = load_model(model), FastAPI()

    @app.post("/v1/segment")
    async def label(request: Request) -> Response:
        buffer = io.BytesIO()
        predictor.predict(await request.body()).to_image().save(buffer, format="PNG")
        return Response(buffer.getvalue(), media_type="image/png")

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {}

    config = uvicorn.Config(app, log_config=None, access_log=False)
    listening = config.bind_socket()
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", file=sys.stderr, flush=True)
    uvicorn.Server(config).run([listening])


def measured_loop(given: argparse.Namespace, threads: int) -> float:
    """Run loops in a process of their own, print their row, and return their images a second."""
    options = "--seconds", str(given.seconds), "--side", str(given.side), "--threads", str(threads)
    command = [sys.executable, __file__, "loop", given.model, *options]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    name = "a loop with all cores" if threads == 1 else f"{threads} loops with a core each"
    print(f"| {name} | {found['rate']:.2f} | | | | | | {1000 * found['cpu']:.0f} | |", flush=True)
    return found["rate"]


async def measure_load(given: argparse.Namespace, files: list[bytes], further: list[str]) -> None:
    """Print throughput and waiting times by the number of clients."""
    print(
        "| server, clients | images/s | of the best loop | p50 ms | p95 | p99 | answers | server's CPU ms an image | client's |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    cores = os.cpu_count() or 1
    best = max([await asyncio.to_thread(measured_loop, given, threads) for threads in sorted({1, cores})])
    starts = []
    for name in given.servers:
        server = Process(__file__, "naive", given.model) if name == "naive" else service(given.model, *further)
        started = await server.ready()
        first = await segment(server.port, files[0])
        starts.append(f"{name}: ready after {started:.1f} s, first answer {first.seconds:.2f} s later")
        await crowd(server.port, files, 4, 2)
        for clients in given.clients:
            before, own = server.cpu(), time.process_time()
            outcomes, took = await crowd(server.port, files, clients, given.seconds)
            images = counts(outcomes).get(200, 0)
            cpu = [1000 * (now - then) / max(images, 1) for now, then in ((server.cpu(), before), (time.process_time(), own))]
            waited = " | ".join(f"{each:.0f}" for each in percentiles(outcomes))
            rate = f"{images / took:.2f} | {images / took / best:.0%}"
            print(f"| {name}, {clients} | {rate} | {waited} | {counts(outcomes)} | {cpu[0]:.0f} | {cpu[1]:.1f} |", flush=True)
        await server.end()
    print(*starts, sep="\n")


async def measure_overload(given: argparse.Namespace, files: list[bytes], further: list[str]) -> None:
    """Print what four times as many images as the service holds are answered, and how soon it is as before."""
    server = service(given.model, *further)
    await server.ready()
    outcomes, took = await crowd(server.port, files, 8, min(given.seconds, 15))
    rate = counts(outcomes).get(200, 0) / took
    usual = max([(await segment(server.port, files[0])).seconds for _ in range(5)])
    print(
        f"it holds {rate:.2f} images/s; an image alone takes at most {usual:.2f} s; now {4 * rate:.1f} come each second",
        flush=True,
    )
    task = asyncio.create_task(arrivals(server.port, files, 4 * rate, given.seconds))
    times, memory, health = [], [], []
    begun = time.monotonic()
    while time.monotonic() - begun < given.seconds:
        health.append((await ask(server.port, "GET", "/healthz"))._replace(answer=b""))
        times.append(time.monotonic() - begun)
        memory.append(server.memory())
        await asyncio.sleep(1)
    over = time.monotonic()
    answers = await task
    emptied = time.monotonic() - over
    while (found := await segment(server.port, files[0])).status != 200 or found.seconds > 2 * usual:
        if time.monotonic() - over > 60:
            break
    recovered = time.monotonic() - over
    waited = " / ".join(f"{each:.0f}" for each in percentiles(answers))
    print(f"{given.seconds:.0f} s, answers {counts(answers)}, p50 / p95 / p99 of images {waited} ms")
    print(f"/healthz meanwhile: {counts(health)}, p50 / p95 / p99 {' / '.join(f'{each:.0f}' for each in percentiles(health))} ms")
    half = len(times) // 2
    print(
        f"memory {memory[0]:.0f} MB at first, {min(memory[half:]):.0f} to {max(memory[half:]):.0f} MB in the second half, "
        f"slope there {slope(times[half:], memory[half:]):+.1f} MB an hour, {server.memory():.0f} MB afterwards"
    )
    print(f"after the last one came: all answered {emptied:.1f} s later, {recovered:.1f} s later one took {found.seconds:.2f} s")
    print(f"exit code {await server.end()}, lines of tracebacks in the log: {sum('Traceback' in line for line in server.log)}")


def slope(times: list[float], values: list[float]) -> float:
    """Return by how much values grow in an hour of ``times`` in seconds."""
    return float(np.polyfit(times, values, 1)[0]) * 3600


async def measure_soak(given: argparse.Namespace, files: list[bytes], further: list[str]) -> None:
    """Print how memory goes on under a load that lasts."""
    server = service(given.model, *further)
    await server.ready()
    outcomes, took = await crowd(server.port, files, 4, min(30.0, given.seconds / 4))  # and allocators have what they need
    rate = given.rate or counts(outcomes).get(200, 0) / took / 2
    print(f"{given.seconds / 60:.0f} minutes of {rate:.2f} images/s, half of what it holds or as --rate says", flush=True)
    times, memory, answers = [], [], []
    begun, part = time.monotonic(), min(60.0, given.seconds / 10)
    while time.monotonic() - begun < given.seconds:
        found = await arrivals(server.port, files, rate, part)
        answers += found
        times.append(time.monotonic() - begun)
        memory.append(server.memory())
        waited = " / ".join(f"{each:.0f}" for each in percentiles(found))
        print(f"{times[-1]:.0f} s: {counts(found)}, p50 / p95 / p99 {waited} ms, {memory[-1]:.1f} MB", flush=True)
    print(
        f"answers {counts(answers)}; memory {memory[0]:.0f} to {memory[-1]:.0f} MB, slope {slope(times, memory):+.1f} MB an hour"
    )
    await server.end()


async def measure_memory(given: argparse.Namespace, files: list[bytes], further: list[str]) -> None:
    """Print what one and two worker processes have of memory, and what of it counts once where it is shared."""
    print("| --workers | resident MB (Rss) | shared counted once (Pss) | images |\n|---|---|---|---|")
    for workers in (1, 2):
        server = service(given.model, "--workers", str(workers), *further)
        await server.ready()
        outcomes, _ = await crowd(server.port, files, 4, given.seconds)
        print(f"| {workers} | {server.memory():.0f} | {server.memory('Pss'):.0f} | {counts(outcomes)} |", flush=True)
        await server.end()


async def measure_start(given: argparse.Namespace, files: list[bytes], further: list[str]) -> None:
    """Print the seconds from the command to the first answer, one start after another."""
    for _ in range(STARTS):
        begun = time.monotonic()
        server = service(given.model, *further)
        await server.ready()
        first = await segment(server.port, files[0])
        print(f"{given.model}: {time.monotonic() - begun:.2f} s to the answer {first.status}", flush=True)
        await server.end()


MEASUREMENTS = {
    "start": measure_start,
    "load": measure_load,
    "overload": measure_overload,
    "soak": measure_soak,
    "memory": measure_memory,
}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*MEASUREMENTS, "naive", "loop"])
    parser.add_argument("model", nargs="?", default="voc-subset")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--side", type=int, default=375)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--servers", nargs="+", choices=["naive", "fullconv"], default=["naive", "fullconv"])
    parser.add_argument("--rate", type=float, help="images a second of the soak")
    parser.add_argument("--threads", type=int, default=1)
    given, further = parser.parse_known_args()
    given.seconds = given.seconds or SECONDS.get(given.what)
    if given.what == "naive":
        naive(given.model)
    elif given.what == "loop":
        loop(given.model, given.side, given.seconds, given.threads)
    else:
        asyncio.run(MEASUREMENTS[given.what](given, photographs(given.side), further))


if __name__ == "__main__":
    main()
