"""What ``fullconv serve`` does when something goes wrong, each fault for real; afterwards an answer has to be right to the byte.

    python benchmarks/service_faults.py [MODEL] [--only killed garbage disk left slow hostile]

killed    one of two workers is killed, three times, while 4 clients ask
garbage   the model's file is overwritten by garbage, cut short, and removed, while 4 clients ask; then a good one comes
disk      the folder for temporary files is full, with two workers, of which one is then killed; and the log's disk is full.
          A small disk is mounted for it, which needs root on Linux
left      1000 clients that leave at any byte of an image, or before its answer
slow      1000 clients that send a byte a second, half of them of the head, half of the image
hostile   10 000 bodies: images of seven formats with bytes changed, cut off and doubled

Every row says what was sent, what was answered (0: the connection broke), and how long the next right answer took.
"""

import argparse
import asyncio
import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from service_client import Process, counts, crowd, photographs, segment, service

from fullconv import load
from fullconv.nn.find_checkpoint import find_checkpoint

FILES = photographs(96)
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
HEAD = "POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"


@contextlib.asynccontextmanager
async def served(model: str, *further: str, **how: Any) -> AsyncIterator[tuple[Process, "Right"]]:
    """Serve a model; at the end say how the process ended and what is in its log."""
    server = service(model, *further, **how)
    await server.ready()
    right = Right(server)
    await right.learn()
    yield server, right
    memory, code = server.memory(), await server.end()
    await asyncio.sleep(0.2)
    tracebacks = sum("Traceback" in line for line in server.log)
    print(f"| | at the end | exit code {code}, {tracebacks} tracebacks in the log | {memory:.0f} MB |", flush=True)


class Right:
    """Whether the service answers right: always the same bytes to the same image."""

    def __init__(self, server: Process) -> None:
        self._server, self._expected = server, b""

    async def learn(self) -> None:
        """Take the answer of now as the right one."""
        self._expected = (await segment(self._server.port, FILES[0])).body

    async def again(self, most: float = 30) -> str:
        """Return in words how long it takes until an answer is right."""
        begun = time.monotonic()
        while time.monotonic() - begun < most:
            found = await segment(self._server.port, FILES[0])
            if found.status == 200:
                assert found.body == self._expected, "a wrong answer"
                return f"right after {time.monotonic() - begun:.2f} s"
        print(*self._server.log[-20:], file=sys.stderr)
        return f"NO ANSWER within {most:.0f} s"


def row(fault: str, sent: str, answers: object, afterwards: str) -> None:
    """Print a row of the table."""
    print(f"| {fault} | {sent} | {answers} | {afterwards} |", flush=True)


async def killed(model: str) -> None:
    """Kill workers."""
    async with served(model, "--workers", "2") as (server, right):
        task = asyncio.create_task(crowd(server.port, FILES, 4, 45))
        before = workers_of(server)
        for _ in range(3):
            await asyncio.sleep(6)
            os.kill(workers_of(server)[0], signal.SIGKILL)
        outcomes, took = await task
        while len(workers_of(server)) < 2:
            await asyncio.sleep(0.1)
        new = len(set(workers_of(server)) - set(before))
        said = f"one of two, three times; {len(outcomes)} images in {took:.0f} s; {new} of the two are new"
        row("worker killed", said, counts(outcomes), await right.again())


def workers_of(server: Process) -> list[int]:
    """Return the numbers of the worker processes."""
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in server.processes()[1:]}
    return [pid for pid, line in lines.items() if b"spawn_main" in line]


async def garbage(model: str) -> None:
    """Let the model's file become worse and worse."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        content = find_checkpoint(model).read_bytes()
        file.write_bytes(content)
        async with served(str(file)) as (server, right):
            task = asyncio.create_task(crowd(server.port, FILES, 4, 30))
            for bad in (b"garbage" * 1000, content[: len(content) // 2], b"", random.Random(0).randbytes(len(content))):
                await asyncio.sleep(5)
                file.write_bytes(bad)
            await asyncio.sleep(5)
            file.unlink()
            outcomes, took = await task
            refused = sum("cannot be used" in line for line in server.log)
            said = f"garbage, half, nothing, noise, no file; {len(outcomes)} images in {took:.0f} s; {refused} refused in the log"
            row("model's file replaced", said, counts(outcomes), await right.again())
            file.write_bytes(content)
            begun = time.monotonic()
            while not any("loaded" in line and "again" in line for line in server.log):
                await asyncio.sleep(0.05)
            row("… by a good one", f"loaded after {time.monotonic() - begun:.1f} s", "", await right.again())


@contextlib.contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """Mount a disk of a size for the time of a ``with``."""
    folder = tempfile.mkdtemp()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        Path(folder).rmdir()


async def disk(model: str) -> None:
    """Fill the disk of temporary files, and that of the log."""
    with small_disk("64m") as folder:
        async with served(model, "--workers", "2", environment={"TMPDIR": str(folder)}) as (server, right):
            fill(folder)
            outcomes, took = await crowd(server.port, FILES, 4, 10)
            row("disk of TMPDIR full", f"{len(outcomes)} images in {took:.0f} s", counts(outcomes), await right.again())
            os.kill(workers_of(server)[0], signal.SIGKILL)
            outcomes, took = await crowd(server.port, FILES, 4, 20)
            row("… and a worker killed", f"{len(outcomes)} images in {took:.0f} s", counts(outcomes), await right.again())
            (folder / "filling").unlink()
            begun = time.monotonic()
            while len(workers_of(server)) < 2:
                await asyncio.sleep(0.1)
            row("… and room again", f"two workers after {time.monotonic() - begun:.1f} s", "", await right.again())
    with small_disk("64k") as folder:
        async with served(model, log=folder / "log") as (server, right):
            fill(folder)
            outcomes, took = await crowd(server.port, FILES, 4, 10)
            row("disk of the log full", f"{len(outcomes)} images in {took:.0f} s", counts(outcomes), await right.again())


def fill(folder: Path) -> None:
    """Leave no byte free on the disk of a folder."""
    with contextlib.suppress(OSError), (folder / "filling").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


async def left(model: str) -> None:
    """Leave at any byte."""
    rng = random.Random(0)
    async with served(model) as (server, right):

        async def leave() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            request = HEAD.format(len(FILES[0])).encode() + FILES[0]
            writer.write(request[: rng.choice([len(request), rng.randrange(len(request))])])
            await writer.drain()
            await asyncio.sleep(rng.choice([0, rng.random() / 10]))
            writer.transport.abort()

        begun = time.monotonic()
        for _ in range(20):
            await asyncio.gather(*(leave() for _ in range(50)), return_exceptions=True)
        row("clients that leave", f"1000 in {time.monotonic() - begun:.1f} s", "", await right.again())


async def slow(model: str) -> None:
    """Send a byte a second."""
    async with served(model, "--receive-timeout", "10") as (server, right):
        ends: list[float] = []
        answers: Counter[str] = Counter()

        async def dribble(number: int) -> None:
            begun = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            said = asyncio.create_task(reader.read())
            try:
                writer.write(HEAD.format(99999).encode() if number % 2 else b"POST /v1/segm")
                while not said.done():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.wait([said], timeout=1)
                answers[said.result()[9:12].decode() or "closed"] += 1
            except OSError:
                answers["closed"] += 1
            finally:
                said.cancel()
                writer.close()
            ends.append(time.monotonic() - begun)

        clients = [asyncio.create_task(dribble(number)) for number in range(1000)]
        await asyncio.sleep(5)
        outcomes, took = await crowd(server.port, FILES, 4, 4)
        row("beside 1000 slow clients", f"{len(outcomes)} images in {took:.0f} s", counts(outcomes), await right.again())
        await asyncio.wait(clients, timeout=60)
        said = f"{len(ends)} of 1000 let go, the last after {max(ends):.0f} s"
        row("1000 slow clients", said, dict(answers), await right.again())


async def hostile(model: str) -> None:
    """Send images with bytes that were changed."""
    rng = random.Random(0)
    async with served(model) as (server, right):
        answers: Counter[int] = Counter()
        begun = time.monotonic()
        for _ in range(200):
            found = await asyncio.gather(*(segment(server.port, mutated(rng)) for _ in range(50)))
            answers.update(each.status for each in found)
        said = f"{answers.total()} in {time.monotonic() - begun:.0f} s"
        row("mutated images", said, dict(sorted(answers.items())), await right.again())


def mutated(rng: random.Random) -> bytes:
    """Return a small image file of some format with a few bytes changed, cut off, or doubled."""
    image = Image.open(io.BytesIO(rng.choice(FILES))).resize((48, 32))
    buffer = io.BytesIO()
    image.save(buffer, rng.choice(FORMATS))
    body = bytearray(buffer.getvalue())
    for _ in range(rng.randrange(1, 12)):
        body[rng.randrange(min(len(body), rng.choice([64, 10**9])))] = rng.randrange(256)
    cut = rng.choice([len(body), rng.randrange(len(body))])
    return bytes(body[:cut]) + rng.choice([b"", bytes(body[: rng.randrange(200)])])


FAULTS = {"killed": killed, "garbage": garbage, "disk": disk, "left": left, "slow": slow, "hostile": hostile}


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="voc-subset")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS))
    given = parser.parse_args()
    load(given.model)  # or a mistake in its name would look like a fault
    print("| fault | what came | answers by status | the right answer |\n|---|---|---|---|")
    for name in given.only:
        asyncio.run(FAULTS[name](given.model))


if __name__ == "__main__":
    main()
