"""How much ``fullconv serve`` holds: load, overload, a soak, and faults; over the loopback, client and service on one machine.

    python benchmarks/service.py load      [CHECKPOINT]   throughput and p50, p95, p99 at 1 to 64 clients, beside a plain loop
                                                          and a handler that calls the net in FastAPI's event loop
    python benchmarks/service.py overload  [CHECKPOINT]   four times as many clients as places, memory, and how soon it recovers
    python benchmarks/service.py soak      [CHECKPOINT]   many minutes at half of what it holds: the slope of memory
    python benchmarks/service.py faults    [CHECKPOINT]   slow clients, clients that leave, mutated images; then a right answer

``--seconds`` says how long each measurement takes, ``--side`` the images' height (their width is 4/3 of it).
"""

import argparse
import asyncio
import io
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

CLIENTS = (1, 2, 4, 8, 16, 32, 64)
QUEUE = 64
Outcome = tuple[int, float]
"""Status and seconds of a request; status 0 where the connection broke."""


def photographs(side: int, count: int = 8) -> list[bytes]:
    """Return JPEG files of smooth noise, which take as long to decode as photographs."""
    made = []
    for seed in range(count):
        small = np.random.default_rng(seed).integers(0, 256, (side // 8, side // 6, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(small).resize((side * 4 // 3, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


class Process:
    """A server in a process of its own, which says its port in its log."""

    def __init__(self, *command: str) -> None:
        self.begun = time.monotonic()
        self.process = subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True)
        self.port, self.log = 0, []

    async def ready(self) -> float:
        """Return the seconds from the start to the first answer that it is ready."""
        assert self.process.stderr is not None
        while not self.port:
            line = await asyncio.to_thread(self.process.stderr.readline)
            found = re.search(r"listening on http://127.0.0.1:(\d+)", line)
            self.port = int(found[1]) if found else 0
        asyncio.get_running_loop().run_in_executor(None, self.log.extend, self.process.stderr)
        while (await ask(self.port, "GET", "/readyz"))[0] != 200:
            await asyncio.sleep(0.02)
        return time.monotonic() - self.begun

    def memory(self) -> float:
        """Return the resident memory in MB."""
        text = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu(self) -> float:
        """Return the seconds of processors that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def end(self) -> int:
        """End it, and return its exit code."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait)


async def ask(port: int, method: str, path: str, body: bytes = b"", most: float = 120) -> Outcome:
    """Ask once over a connection of its own."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(most):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/jpeg\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.read()
            writer.close()
        return int(answer[9:12] or 0), time.monotonic() - begun
    except (OSError, TimeoutError, ValueError):
        return 0, time.monotonic() - begun


async def load(port: int, files: list[bytes], clients: int, seconds: float) -> tuple[list[Outcome], float]:
    """Return what so many clients were answered that ask again as soon as they have an answer, and the seconds it took."""
    end = time.monotonic() + seconds
    outcomes: list[Outcome] = []

    async def client(number: int) -> None:
        while time.monotonic() < end:
            outcomes.append(await ask(port, "POST", "/v1/segment", files[number % len(files)]))
            if outcomes[-1][0] == 429:
                await asyncio.sleep(0.2)

    begun = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return outcomes, time.monotonic() - begun


def row(name: str, outcomes: list[Outcome], seconds: float, ceiling: float) -> str:
    """Return a line of a table: what was answered, its rate and its percentiles."""
    took = [second for status, second in outcomes if status == 200] or [float("nan")]
    rate = sum(status == 200 for status, _ in outcomes) / seconds
    p50, p95, p99 = (1000 * np.percentile(took, share) for share in (50, 95, 99))
    statuses = dict(sorted(Counter(status for status, _ in outcomes).items()))
    return f"| {name} | {rate:.2f} | {rate / ceiling:.0%} | {p50:.0f} | {p95:.0f} | {p99:.0f} | {statuses} |"


def plain_loop(checkpoint: str, files: list[bytes], seconds: float) -> tuple[float, float]:
    """Return images a second of decoding, predicting and encoding one after another, and a processor's seconds an image."""
    from fullconv import load as load_model

    predictor = load_model(checkpoint)
    predictor.predict(files[0])
    begun, before, done = time.monotonic(), time.process_time(), 0
    while time.monotonic() - begun < seconds:
        predictor.predict(files[done % len(files)]).to_image().save(io.BytesIO(), format="PNG")
        done += 1
    return done / (time.monotonic() - begun), (time.process_time() - before) / done


def naive(checkpoint: str) -> None:
    """Serve as one would in ten lines: the net is called in the event loop."""
    import uvicorn
    from fastapi import FastAPI, Request, Response

    from fullconv import load as load_model

    predictor, app = load_model(checkpoint), FastAPI()

    @app.post("/v1/segment")
    async def segment(request: Request) -> Response:
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


def service(checkpoint: str, *further: str) -> Process:
    """Start ``fullconv serve``."""
    return Process("-m", "fullconv", "serve", checkpoint, "--port", "0", "--queue", str(QUEUE), *further)


async def measure_load(checkpoint: str, files: list[bytes], seconds: float, further: list[str]) -> None:
    """Print throughput and waiting times by the number of clients."""
    ceiling, cpu = await asyncio.to_thread(plain_loop, checkpoint, files, seconds)
    print(f"plain loop: {ceiling:.2f} images/s on {os.cpu_count()} cores, {cpu:.3f} s of a processor an image")
    print("| server, clients | images/s | of the loop | p50 ms | p95 | p99 | answers | processor s an image |")
    print("|---|---|---|---|---|---|---|---|")
    for name, server in (("naive", Process(__file__, "naive", checkpoint)), ("fullconv", service(checkpoint, *further))):
        started = await server.ready()
        first = (await ask(server.port, "POST", "/v1/segment", files[0]))[1]
        for clients in CLIENTS:
            before = server.cpu()
            found = await load(server.port, files, clients, seconds)
            used = (server.cpu() - before) / max(sum(status == 200 for status, _ in found[0]), 1)
            print(row(f"{name}, {clients}", *found, ceiling), f"{used:.3f} |", flush=True)
        await server.end()
        print(f"{name}: ready after {started:.1f} s, first answer {first:.2f} s later")


async def measure_overload(checkpoint: str, files: list[bytes], seconds: float, further: list[str]) -> None:
    """Print what four times as many clients as places are answered."""
    server = service(checkpoint, *further)
    await server.ready()
    outcomes, took = await load(server.port, files, 8, min(seconds, 10))
    rate, before = sum(status == 200 for status, _ in outcomes) / took, server.memory()
    task = asyncio.create_task(load(server.port, files, 4 * QUEUE, seconds))
    memory = []
    while not task.done():
        memory.append(server.memory())
        await asyncio.sleep(max(seconds / 20, 0.5))
    print("| clients | images/s | of before | p50 ms | p95 | p99 | answers |\n|---|---|---|---|---|---|---|")
    print(row(f"{4 * QUEUE}", *task.result(), rate))
    begun = time.monotonic()
    status, last = await ask(server.port, "POST", "/v1/segment", files[0])
    print(f"memory {before:.0f} MB before, {min(memory):.0f} to {max(memory):.0f} MB meanwhile, {server.memory():.0f} MB after")
    print(f"recovered: {status} after {time.monotonic() - begun:.1f} s ({last:.2f} s)")
    await server.end()


async def measure_soak(checkpoint: str, files: list[bytes], seconds: float, further: list[str]) -> None:
    """Print how memory goes on under a load that lasts."""
    server = service(checkpoint, *further)
    await server.ready()
    await load(server.port, files, 4, min(30.0, seconds / 4))  # until allocators have what they need
    times, memory, answers = [], [], Counter()
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        outcomes, _ = await load(server.port, files, 2, min(10.0, seconds / 10))
        answers.update(status for status, _ in outcomes)
        times.append(time.monotonic() - begun)
        memory.append(server.memory())
    slope = np.polyfit(times, memory, 1)[0] * 3600
    print(
        f"{seconds / 60:.0f} minutes, answers {dict(answers)}: memory {memory[0]:.0f} to {memory[-1]:.0f} MB, "
        f"{slope:+.1f} MB an hour"
    )
    await server.end()


async def measure_faults(checkpoint: str, files: list[bytes], seconds: float, further: list[str]) -> None:
    """Print how the service takes hostile clients."""
    server = service(checkpoint, "--receive-timeout", "5", *further)
    await server.ready()
    rng = random.Random(0)

    async def dribble(kind: int) -> None:
        """Send a head, or a body, a byte a second."""
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 99999\r\n\r\n"
        try:
            writer.write(head if kind else b"POST /v1/segm")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(1)
        except OSError:
            pass
        finally:
            writer.close()

    async def leave() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(files[0])}\r\n\r\n"
        writer.write(head.encode() + files[0][: rng.randrange(len(files[0]) + 1)])
        await writer.drain()
        writer.transport.abort()

    slow = [asyncio.create_task(dribble(number % 2)) for number in range(1000)]
    await asyncio.sleep(3)
    print("beside 1000 slow clients:", await ask(server.port, "POST", "/v1/segment", files[0]))
    await asyncio.sleep(20)
    print(f"slow clients that were cut off after 20 s: {sum(task.done() for task in slow)} of 1000")
    for task in slow:
        task.cancel()
    await asyncio.gather(*(leave() for _ in range(200)), return_exceptions=True)
    print("after 200 clients that left:", await ask(server.port, "POST", "/v1/segment", files[0]))
    answers: Counter[int] = Counter()
    end, sent = time.monotonic() + seconds, 0
    while time.monotonic() < end and sent < 10_000:
        bodies = [mutated(rng, files) for _ in range(50)]
        found = await asyncio.gather(*(ask(server.port, "POST", "/v1/segment", body) for body in bodies))
        answers.update(status for status, _ in found)
        sent += len(bodies)
    print(f"{sent} mutated images: {dict(sorted(answers.items()))}")
    print("afterwards:", await ask(server.port, "POST", "/v1/segment", files[0]), f"{server.memory():.0f} MB")
    print("exit code", await server.end(), "| lines of tracebacks in the log:", sum("Traceback" in line for line in server.log))


def mutated(rng: random.Random, files: list[bytes]) -> bytes:
    """Return a small image file of some format with a few bytes changed, cut, or doubled."""
    image = Image.open(io.BytesIO(rng.choice(files))).resize((48, 32))
    buffer = io.BytesIO()
    image.save(buffer, rng.choice(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]))
    body = bytearray(buffer.getvalue())
    for _ in range(rng.randrange(1, 12)):
        body[rng.randrange(min(len(body), rng.choice([64, 10**9])))] = rng.randrange(256)
    cut = rng.choice([len(body), rng.randrange(len(body))])
    return bytes(body[:cut]) + rng.choice([b"", bytes(body[: rng.randrange(200)])])


MEASUREMENTS = {"load": measure_load, "overload": measure_overload, "soak": measure_soak, "faults": measure_faults}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*MEASUREMENTS, "naive"])
    parser.add_argument("checkpoint", nargs="?", default="voc-subset")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--side", type=int, default=375)
    given, further = parser.parse_known_args()
    if given.what == "naive":
        naive(given.checkpoint)
    else:
        asyncio.run(MEASUREMENTS[given.what](given.checkpoint, photographs(given.side), given.seconds, further))


if __name__ == "__main__":
    main()
