"""The file that ``fullconv tune`` writes and ``--refine`` reads: a CRF's settings, and what they were found on."""

import os
from pathlib import Path

from pydantic import ValidationError

from fullconv.crf.mean_field import DEFAULT, CRFSpec
from fullconv.errors import SpecError
from fullconv.files import replacing
from fullconv.spec.base import Spec


class Tuned(Spec):
    """A CRF and what was measured while it was looked for; written by hand, ``crf`` alone is enough.

    Parameters
    ----------
    crf
        The settings.
    data, images
        What they were found on, such as ``voc2012 train``, and on how many images.
    trials
        How many settings were measured.
    trimap_iu, mean_iu
        Without and with the CRF on these images, 0..1; ``trimap_iu`` is what was maximised, see
        :func:`fullconv.crf.tune.tune`.
    """

    crf: CRFSpec
    data: str = ""
    images: int = 0
    trials: int = 0
    trimap_iu: tuple[float, float] = (0, 0)
    mean_iu: tuple[float, float] = (0, 0)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON: the file is the old one or whole.

        Raises
        ------
        FullconvError
            When the folder cannot be written or the disk is full.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_crf(name: str) -> Tuned:
    """Return what a name means: ``crf`` the default settings, a path those in a file of ``fullconv tune``.

    Raises
    ------
    SpecError
        For another name, and when there is no such file or it holds something else.

    Examples
    --------
    >>> read_crf("crf").crf.iterations
    10
    """
    if name == "crf":
        return Tuned(crf=DEFAULT)
    path = Path(name)
    if path.suffix.lower() != ".json":
        raise SpecError(f"no refinement is called {name!r}; write crf, or the .json file that fullconv tune wrote")
    try:
        return Tuned.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror or error}; fullconv tune writes such files") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        fault = f"unknown; crf may have {', '.join(CRFSpec.model_fields)}" if first["type"] == "extra_forbidden" else first["msg"]
        raise SpecError(f"{path}: {where + ': ' if where else ''}{fault}; correct it, or run fullconv tune again") from error
