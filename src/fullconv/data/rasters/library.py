"""The libraries that read maps, which ``pip install 'fullconv[geo]'`` brings, and their errors as ours."""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from types import ModuleType

from fullconv.errors import DataError
from fullconv.extras import extra_module

_FILTERS = threading.Lock()


def geo(module: str) -> ModuleType:
    """Return ``rasterio``, ``pyogrio`` or ``shapely``, or a module in them.

    Raises
    ------
    SpecError
        When it is not installed; it says what installs it.

    Examples
    --------
    >>> geo("rasterio.features").__name__
    'rasterio.features'
    """
    return extra_module(module, "geo")


@contextlib.contextmanager
def without_georeference() -> Iterator[None]:
    """Let rasterio open a file that lies nowhere on the earth without a warning: who opens it says so in better words.

    Warning filters are the whole process's, so files are opened one at a time.
    """
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", geo("rasterio.errors").NotGeoreferencedWarning)
        yield


@contextlib.contextmanager
def reading_map(what: str) -> Iterator[None]:
    """Turn what GDAL says of a damaged or missing file into a :class:`DataError` that begins with ``what``."""
    errors = geo("rasterio.errors")
    try:
        yield
    except (errors.RasterioError, errors.CRSError, OSError) as error:
        said = " ".join(str(error.__cause__ or error).split())
        raise DataError(
            f"{what} cannot be read ({said}); it is missing, damaged, cut short or of no format that GDAL reads"
        ) from error
    except MemoryError as error:
        raise DataError(f"{what} does not fit into the memory; read it in smaller windows") from error
