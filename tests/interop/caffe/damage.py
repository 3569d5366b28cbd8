"""Seeded damage of files: bytes changed, cut off, put in, doubled, moved, and lengths that lie."""

from collections.abc import Iterator

import numpy as np

from fullconv.errors import FullconvError

LIES = (b"\xff\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01", b"\x80" * 12, b"\x00", b"\xff\xff\x7f")
"""Numbers of the wire format: 4 G, 2**64 - 1, one without an end, none, 2 M."""


def damaged(whole: bytes, random: np.random.Generator, head: int = 400) -> bytes:
    """Return a damaged copy of a file; every other change is within its first ``head`` bytes, as most of the rest is numbers."""
    content = bytearray(whole)
    for _ in range(int(random.integers(1, 9))):
        at = int(random.integers(0, max(1, min(head, len(content)) if random.random() < 0.5 else len(content))))
        size = int(random.integers(1, 40))
        match random.integers(0, 7):
            case 0 | 1:
                content[at : at + 1] = random.bytes(1)
            case 2:
                content[at : at + size] = b""
            case 3:
                content[at:at] = random.bytes(size)
            case 4:
                content[at:at] = content[at : at + size]
            case 5:
                content[at : at + 1] = LIES[int(random.integers(0, len(LIES)))]
            case 6:
                if random.random() < 0.2:
                    del content[at:]
    return bytes(content)


def answers(jobs: Iterator[object]) -> tuple[int, list[str]]:
    """Run jobs (functions without arguments); return how many gave an answer, and what the others said, in one line each."""
    good, said = 0, []
    for job in jobs:
        try:
            job()  # type: ignore[operator]  # a function
            good += 1
        except FullconvError as error:
            said.append(str(error))
    assert all("\n" not in line and 10 < len(line) < 1500 for line in said)
    return good, said
