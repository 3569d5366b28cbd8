"""The archive that VOC's evaluation server takes for segmentation, competition comp6: written, and checked before it is sent.

::

    results/VOC2012/Segmentation/comp6_test_cls/ID.png     in a .tgz; a palette PNG of the image's size for every test image

A pixel is a class 0 to 20. 255 is for ground truth only: evaluation stops at it, as it does at an image of another size. Source:
the development kit of VOC2012, section 5.3. To a wrong archive the server answers little more than "Results were not generated
properly", so check it before it is sent.
"""

import gzip
import io
import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from fullconv.errors import DataError
from fullconv.files import replacing
from fullconv.formats.png import is_whole
from fullconv.labels import VOC, LabelSet

FOLDER = PurePosixPath("results/VOC2012/Segmentation/comp6_test_cls")
"""Where the images lie in the archive."""
TEST_IMAGES = 1456
"""In VOC2012's test set for segmentation."""
ID = re.compile(r"\d{4}_\d{6}")
_SHOWN = 5


def write_submission(path: str | os.PathLike[str], segmentations: Iterable[tuple[str, NDArray[np.integer]]]) -> int:
    """Return the number of images written to the archive ``path``; equal labels give an equal file, byte by byte.

    Parameters
    ----------
    path
        Of the archive, which must end in ``.tgz`` or ``.tar.gz``. It appears when it is whole.
    segmentations
        Pairs of an image's id and its labels, integers (H, W) in 0..20 of the image's own size. They are taken one by one, so
        a generator that predicts needs memory for one image.

    Raises
    ------
    DataError
        For another ending, labels that are no classes (with their pixel counts), an id that is none of VOC's or comes twice,
        and when there are no images.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "comp6.tgz"
    >>> write_submission(path, ((name, np.full((3, 4), 15)) for name in ("2008_000001", "2008_000004")))
    2
    >>> check_submission(path, {"2008_000001": (3, 4), "2008_000004": (3, 4), "2008_000006": (3, 4)})
    ['images without a file: 1 of 3 (2008_000006)']
    """
    if not str(path).endswith((".tgz", ".tar.gz")):
        raise DataError(f"{path}: the evaluation server takes .tgz or .tar.gz; choose such a name")
    written: set[str] = set()
    with replacing(path) as temporary:
        # no name and no time in the headers, so that the same labels are the same file
        with (
            temporary.open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for name, labels in segmentations:
                if name in written or not ID.fullmatch(name):
                    reason = "comes twice" if name in written else "is none of VOC's, such as 2008_000006"
                    raise DataError(f"{path}: the id {name!r} {reason}; ids are those of ImageSets/Segmentation/test.txt")
                content = _png(name, labels)
                entry = tarfile.TarInfo(str(FOLDER / f"{name}.png"))
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
                written.add(name)
        if not written:
            raise DataError(f"{path}: there are no images to write")
    return len(written)


def check_plan(names: Sequence[str], labels: LabelSet) -> None:
    """Look before anything is predicted whether an archive can come of it.

    Parameters
    ----------
    names
        Of the images, which must be VOC's ids, each once.
    labels
        The classes of the model, which must be VOC's in their order.

    Raises
    ------
    DataError
        When it cannot.
    """
    if labels.names != VOC.names:
        raise DataError(
            f"comp6 needs a model of VOC's {len(VOC)} classes in their order, background first; this one has {len(labels)}: "
            f"{_first(list(labels.names))}"
        )
    strange = [name for name in names if not ID.fullmatch(name)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    for wrong, what in ((strange, "not called as VOC's images, such as 2008_000006.jpg"), (twice, "of one name")):
        if wrong:
            raise DataError(f"comp6 takes VOC's test images; {len(wrong)} of {len(names)} are {what}: {_first(wrong)}")


def write_comp6(path: Path, images: Iterable[tuple[str, NDArray[np.uint8]]], labels: LabelSet) -> None:
    """Write the archive of images by their names, such as ``2008_000006.jpg``; errors are those of :func:`write_submission`."""
    write_submission(path, ((PurePosixPath(name).stem, found) for name, found in images))


def _png(name: str, labels: NDArray[np.integer]) -> bytes:
    VOC.check(labels, name)
    if not labels.size:
        raise DataError(f"{name}: labels {labels.shape} have no pixel; they are (H, W) as the image")
    void = int((labels == VOC.ignore_index).sum())
    if void:
        raise DataError(
            f"{name}: {void} px are 255 (void), which only ground truth may be; predict a class 0 to {len(VOC) - 1} for them"
        )
    file = io.BytesIO()
    VOC.to_image(labels).save(file, format="PNG")
    return file.getvalue()


def check_submission(path: str | os.PathLike[str], sizes: Mapping[str, tuple[int, int]]) -> list[str]:
    """Return what is wrong with an archive, a line for each kind of fault with its count and the first names; none: all is well.

    Parameters
    ----------
    path
        Of the archive.
    sizes
        (height, width) of every image of the test set by its id.

    Raises
    ------
    DataError
        When the file is missing, no gzipped tar archive, damaged or cut short.
    """
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    try:
        with gzip.open(path) as packed:
            with tarfile.open(fileobj=packed, mode="r:") as archive:
                for entry in archive:
                    for kind, name in _faults(archive, entry, sizes, seen):
                        found.setdefault(kind, []).append(name)
            packed.seek(archive.offset)
            while rest := packed.read(1 << 20):  # to gzip's checksum
                if rest.strip(b"\0"):  # tar takes a damaged header for the end
                    raise tarfile.ReadError("data behind the last file")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be read as a .tgz ({error}); it is damaged or of another kind, write it again"
        ) from error
    lines = [f"{kind}: {len(names)} ({_first(names)})" for kind, names in sorted(found.items())]
    missing = [name for name in sizes if name not in seen]
    return [*lines, f"images without a file: {len(missing)} of {len(sizes)} ({_first(missing)})"] if missing else lines


def _first(names: list[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{', …' * (len(names) > _SHOWN)}"


def _faults(
    archive: tarfile.TarFile, entry: tarfile.TarInfo, sizes: Mapping[str, tuple[int, int]], seen: set[str]
) -> Iterator[tuple[str, str]]:
    """Yield the kind of every fault of an entry and whose it is; its id goes to ``seen``."""
    place = PurePosixPath(entry.name)
    if entry.isdir() and place in (FOLDER, *FOLDER.parents):
        return
    if not entry.isfile() or place.parent != FOLDER or place.suffix != ".png":
        yield f"files not called {FOLDER}/ID.png", entry.name
    elif place.stem not in sizes:
        yield "files of no image of the test set", place.stem
    elif place.stem in seen:
        yield "files of an image that has one already", place.stem
    else:
        seen.add(place.stem)
        file = archive.extractfile(entry)
        assert file is not None  # as it is a regular file
        for kind, detail in _faults_of_image(file, sizes[place.stem]):
            yield kind, f"{place.stem}: {detail}"


def _faults_of_image(file: IO[bytes], size: tuple[int, int]) -> Iterator[tuple[str, str]]:
    try:
        with PngImageFile(file) as image:  # Image.open would warn of large ones
            if (image.height, image.width) != size:  # and is not decoded: it may be of any size
                yield "files of another size than their image", f"{image.height}x{image.width} and not {size[0]}x{size[1]}"
            elif image.mode != "P":
                yield "files that are no palette PNG", f"PNG {image.mode}"
            else:
                labels, palette = np.array(image), image.getpalette() or []
                file.seek(0)
                if not is_whole(file.read()):
                    yield "files that cannot be read", "damaged or cut short"
                yield from _faults_of_labels(np.bincount(labels.ravel(), minlength=256), palette)
    # the decoders of damaged files raise whatever comes
    except Exception:
        yield "files that cannot be read", "damaged, or no PNG"


def _faults_of_labels(pixels: NDArray[np.intp], palette: list[int]) -> Iterator[tuple[str, str]]:
    strange = [f"{pixels[label]} px of {label}" for label in range(len(VOC), 256) if pixels[label]]
    if strange:
        yield f"files with labels outside 0..{len(VOC) - 1}", " and ".join(strange[:_SHOWN])
    wrong = [str(label) for label, color in enumerate(VOC.colors) if pixels[label] and tuple(palette[3 * label :][:3]) != color]
    if wrong:
        yield "files whose palette is not VOC's", f"label {' and '.join(wrong[:_SHOWN])}"
