"""Checkpoints on the Hugging Face hub: ``hf://owner/name[@revision][/file]`` becomes a file of the cache that is shared.

A branch, tag or commit stands behind ``@``; without it the newest state of ``main`` is taken. Without a file it is
``model.safetensors``. The hub states a checksum of every file (SHA-256, or git's SHA-1 of small ones), and the file is compared
with it each time that it is named. Only ``.safetensors`` is taken: it holds numbers and text, and nothing that could run.

Needs ``huggingface_hub`` (``pip install 'fullconv[hub]'``), which is imported when a name of the hub is met, and not before. Who
is asked (``HF_ENDPOINT``), where the cache is (``HF_HOME``), that nobody is to be asked (``HF_HUB_OFFLINE``) and who one is
(``HF_TOKEN`` or ``hf auth login``) are that library's own settings.
"""

import hashlib
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fullconv.errors import WeightsError, some

if TYPE_CHECKING:
    from huggingface_hub import HfUri

FILE = "model.safetensors"
FORM = "hf://owner/name[@revision][/file.safetensors]"
LOG_IN = "log in by `hf auth login` or set HF_TOKEN"
_START = re.compile(r"hf:/{1,2}(?!/)")
"""A Path keeps one of the two slashes."""
_PIECE = 1 << 20
_CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def hub_address(source: str | os.PathLike[str]) -> str | None:
    """Return the address of what names a file of the hub, ``None`` of anything else.

    Examples
    --------
    >>> hub_address(Path("hf://owner/name")), hub_address("owner/name")
    ('hf://owner/name', None)
    """
    text = Path(source).as_posix() if isinstance(source, os.PathLike) else source
    start = _START.match(text)
    return f"hf://{text[start.end() :]}" if start else None


def require_hub() -> None:
    """Raise a WeightsError where the library that talks to the hub is not installed."""
    if find_spec("huggingface_hub") is None:
        raise WeightsError("models of the hub need huggingface_hub; pip install 'fullconv[hub]'")


def parse_address(address: str) -> "HfUri":
    """Return ``id``, ``revision`` and ``path_in_repo`` (:data:`FILE` where the address names none) of an address.

    Raises
    ------
    WeightsError
        When it has another form, is not of a model or names a file of another kind; when ``huggingface_hub`` is not installed.
    """
    require_hub()
    from dataclasses import replace

    from huggingface_hub import parse_hf_uri
    from huggingface_hub.errors import HfUriError

    try:
        found = parse_hf_uri(address)
    except HfUriError as error:
        raise WeightsError(f"{address} is no address of the hub ({_one_line(error)}); write {FORM}") from error
    if found.type != "model":
        raise WeightsError(f"{address} is a {found.type} and no model; write {FORM}")
    file = found.path_in_repo or FILE
    if not file.endswith(".safetensors"):
        raise WeightsError(f"{address}: only .safetensors files are taken, as others could run code; write {FORM}")
    return replace(found, path_in_repo=file)


def fetch(
    address: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Path:
    """Return the path of a hub's file in the cache, fetched where it is not there in this state; its checksum is right.

    Where the hub cannot be reached, what the cache has of that revision is taken.

    Parameters
    ----------
    address
        See the top of this module.
    revision, token, cache_dir, force_download, local_files_only
        As of ``huggingface_hub.hf_hub_download``; a revision in the address goes first.

    Raises
    ------
    WeightsError
        When the address is wrong; there is no such model, revision or file, or one may not see it; the hub cannot be reached
        and the cache does not have it; the file's checksum is wrong.
    """
    asked = parse_address(address)
    revision = asked.revision or revision
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HTTPError, XetDownloadError

    try:
        stated = None if local_files_only else _checksum(asked, revision, token)
        only_local = stated is None
        for force in (force_download, True):
            path = Path(
                hf_hub_download(
                    *(asked.id, asked.path_in_repo),
                    revision=revision,
                    token=token,
                    cache_dir=None if cache_dir is None else Path(cache_dir),
                    force_download=force and not only_local,
                    local_files_only=only_local,
                    library_name="fullconv",
                )
            )
            if _is_whole(path, stated):
                return path
            if only_local:
                break
    except (HTTPError, XetDownloadError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{address}: {refusal(error, asked)}") from error
    again = "the hub cannot be reached to fetch it again" if only_local else "it was fetched twice; try again later"
    raise WeightsError(
        f"{address}: {path} is not what the hub's checksum says, so it is damaged, and {again}; cache: {constants.HF_HUB_CACHE}"
    )


def _checksum(asked: "HfUri", revision: str | None, token: str | bool | None) -> str | None:
    """Return the checksum that the hub states of a file; ``None`` where it cannot be reached.

    It is asked beforehand, as ``hf_hub_download`` tries for half a minute while nobody answers.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    try:
        url = hf_hub_url(asked.id, asked.path_in_repo, revision=revision)
        found = get_hf_file_metadata(url, token=token, library_name="fullconv").etag
    except HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        return None
    except (OfflineModeIsEnabled, HTTPError):
        return None
    if found is None or not _CHECKSUM.fullmatch(found):
        raise ValueError(f"it states no checksum that is known, but {found!s:.80}")
    return found


def _is_whole(path: Path, stated: str | None) -> bool:
    """Return whether a file of the cache has the checksum that the hub states, or else that the cache calls it by."""
    expected = stated or path.resolve().name  # where links cannot be made it has its own name, and was compared when it came
    if not _CHECKSUM.fullmatch(expected):
        return True
    if len(expected) == 64:
        return sha256_of(path) == expected
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == expected


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def refusal(error: Exception, asked: "HfUri") -> str:
    """Return in one clause why the hub did not do what was asked, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match error:
        case LocalEntryNotFoundError():
            why = "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else f"{constants.ENDPOINT} cannot be reached"
            return f"it is not in the cache {constants.HF_HUB_CACHE}, and {why}; go online once, or give a file"
        case GatedRepoError():
            return f"its owner grants access one by one; ask for it on {constants.ENDPOINT}/{asked.id}, then {LOG_IN}"
        case RepositoryNotFoundError():
            return f"{constants.ENDPOINT} has no such model, or it is private; check the name, or {LOG_IN}"
        case RevisionNotFoundError():
            return "the model has no such branch, tag or commit; leave out @ and what follows for the newest"
        case EntryNotFoundError():
            return f"the model has no file {asked.path_in_repo}; {_files_of(asked)}"
        case HfHubHTTPError() if error.response.status_code in (401, 403):
            return f"{constants.ENDPOINT} does not allow it; {LOG_IN} with the right to do it"
        case HfHubHTTPError():
            said = error.server_message or error.response.reason_phrase
            return f"{constants.ENDPOINT} answers {error.response.status_code} ({_one_line(said)}); try again later"
        case _:
            return f"{constants.ENDPOINT} cannot be used: {_one_line(error)}; try again later"


def _files_of(asked: "HfUri") -> str:
    """Return what to name instead of a file that is not there."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    try:
        files = HfApi(library_name="fullconv").list_repo_files(asked.id, revision=asked.revision)
    except (HTTPError, OSError):
        return "name another"
    fitting = [file for file in files if file.endswith(".safetensors")]
    return f"write hf://{asked.id}/FILE with {some(fitting)}" if fitting else "it has no .safetensors file at all"


def _one_line(said: object) -> str:
    return " ".join(str(said).split())[:200].rstrip(".")
