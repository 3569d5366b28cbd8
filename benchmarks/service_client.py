"""What the measurements of the service share: servers in processes of their own, and a client that costs them little.

The client has its requests ready as bytes and reads of an answer the status alone. It neither decodes nor computes, so on one
machine with the server it takes less than a hundredth of what an image takes; every table says how much.
"""

import asyncio
import atexit
import contextlib
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

TICKS = os.sysconf("SC_CLK_TCK")


class Outcome(NamedTuple):
    """What became of a request: its status, 0 where the connection broke; the seconds it took; and what came."""

    status: int
    seconds: float
    answer: bytes = b""

    @property
    def body(self) -> bytes:
        """What came behind the head."""
        return self.answer.partition(b"\r\n\r\n")[2]


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
    """A server in a process of its own, which says its port in its log.

    Parameters
    ----------
    command
        Arguments of Python.
    environment
        Added to that of this process.
    log
        A file in which it writes its log; it is read here as it comes where none is given.
    """

    def __init__(self, *command: str, environment: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        self.begun = time.monotonic()
        with log.open("wb") if log is not None else contextlib.nullcontext(subprocess.PIPE) as target:
            arguments = [sys.executable, *command]
            self.process = subprocess.Popen(arguments, stderr=target, text=True, env=os.environ | dict(environment or {}))
        atexit.register(self.process.terminate)  # also where a measurement fails
        self.port, self.log, self._file = 0, [], log

    async def ready(self) -> float:
        """Return the seconds from the start to the first answer that it is ready."""
        source = self.process.stderr if self._file is None else self._file.open(encoding="utf-8")
        assert source is not None
        while not self.port:
            line = await asyncio.to_thread(source.readline)
            self.log.append(line)
            if self.process.poll() is not None:
                raise SystemExit("the server ended before it listened: " + "".join(self.log[-3:]))
            found = re.search(r"listening on http://127.0.0.1:(\d+)", line)
            self.port = int(found[1]) if found else 0
        if self._file is None:
            threading.Thread(target=self.log.extend, args=(source,), daemon=True).start()
        while (await ask(self.port, "GET", "/readyz")).status != 200:
            if self.process.poll() is not None:
                raise SystemExit("the server ended before it was ready: " + "".join(self.log[-3:]))
            await asyncio.sleep(0.02)
        return time.monotonic() - self.begun

    def processes(self) -> list[int]:
        """Return the number of the process, and those of its workers."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*"):
                found.extend(int(child) for child in (task / "children").read_text(encoding="ascii").split())
        return found

    def memory(self, kind: str = "Rss") -> float:
        """Return the memory of all its processes in MB: ``Rss``, or ``Pss``, in which what is shared counts once."""
        total = 0
        for pid in self.processes():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            total += int(re.search(rf"^{kind}: +(\d+) kB", text, re.MULTILINE)[1])
        return total * 1024 / 1e6

    def cpu(self) -> float:
        """Return the seconds of processors that it has used."""
        used = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
        return used / TICKS

    async def end(self) -> int:
        """End it, and return its exit code."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait)


def service(model: str, *further: str, environment: Mapping[str, str] | None = None, log: Path | None = None) -> Process:
    """Start ``fullconv serve``."""
    return Process("-m", "fullconv", "serve", model, "--port", "0", *further, environment=environment, log=log)


async def ask(port: int, method: str, path: str, body: bytes = b"", most: float = 120) -> Outcome:
    """Ask once over a connection of its own."""
    begun = time.monotonic()
    writer = None
    try:
        async with asyncio.timeout(most):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/jpeg\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.read()
        return Outcome(int(answer[9:12] or 0), time.monotonic() - begun, answer)
    except (OSError, TimeoutError, ValueError):
        return Outcome(0, time.monotonic() - begun)
    finally:
        if writer is not None:
            writer.close()


async def segment(port: int, file: bytes) -> Outcome:
    """Ask for the labels of an image."""
    return await ask(port, "POST", "/v1/segment", file)


async def crowd(port: int, files: list[bytes], clients: int, seconds: float) -> tuple[list[Outcome], float]:
    """Return what so many clients were answered that ask again as soon as they have an answer, and the seconds it took."""
    end = time.monotonic() + seconds
    outcomes: list[Outcome] = []

    async def client(number: int) -> None:
        while time.monotonic() < end:
            found = await segment(port, files[number % len(files)])
            outcomes.append(found._replace(answer=b""))
            if found.status == 429:
                await asyncio.sleep(0.2)

    begun = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return outcomes, time.monotonic() - begun


async def arrivals(port: int, files: list[bytes], rate: float, seconds: float) -> list[Outcome]:
    """Return what requests were answered that come so many a second, whatever became of those before them."""
    begun, tasks = time.monotonic(), []
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(begun + number / rate - time.monotonic(), 0))
        tasks.append(asyncio.create_task(segment(port, files[number % len(files)])))
    return [found._replace(answer=b"") for found in await asyncio.gather(*tasks)]


def counts(outcomes: list[Outcome]) -> dict[int, int]:
    """Return how many there are of each status; 0 for connections that broke."""
    return dict(sorted(Counter(found.status for found in outcomes).items()))


def percentiles(outcomes: list[Outcome]) -> list[float]:
    """Return the 50th, 95th and 99th percentile of the milliseconds that images took."""
    took = [found.seconds for found in outcomes if found.status == 200] or [float("nan")]
    return [1000 * float(np.percentile(took, share)) for share in (50, 95, 99)]
