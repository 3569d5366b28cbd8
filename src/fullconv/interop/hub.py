"""Trained models onto the Hugging Face hub and back: one ``model.safetensors`` with its card, checked on both ways.

What comes from the hub is fetched by :mod:`fullconv.nn.hub`. Needs ``huggingface_hub`` (``pip install 'fullconv[hub]'``).
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from safetensors import SafetensorError, safe_open

from fullconv.errors import WeightsError
from fullconv.interop.card import CardFacts, gather, write_card
from fullconv.labels import LabelSet
from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.nn.find_checkpoint import find_checkpoint
from fullconv.nn.hub import FILE, fetch, hub_address, parse_address, refusal, require_hub
from fullconv.nn.hub_methods import HubMethods

if TYPE_CHECKING:
    from huggingface_hub import HfApi, HfUri

CARD = "README.md"
"""Where the hub looks for a card."""
MESSAGE = "Upload a model of fullconv"
CHANGED = "weights changed after they were loaded; not measured since"

Model = TypeVar("Model", bound=HubMethods)


@dataclass(frozen=True)
class Pushed:
    """What became of a model that was pushed.

    Attributes
    ----------
    address
        To use it by, ``hf://owner/name``.
    commit
        The address of the commit on the hub.
    sha256
        Of the weights, as the hub has them and as they were here.
    files
        Paths on the hub of what was sent.
    """

    address: str
    commit: str
    sha256: str
    files: tuple[str, ...]


def push(
    facts: CardFacts,
    address: str,
    *,
    card: Path | None = None,
    image: Path | None = None,
    private: bool | None = None,
    message: str | None = None,
    token: str | None = None,
) -> Pushed:
    """Put a checkpoint and its card into one commit on the hub; return where, with the checksum that both sides have.

    Parameters
    ----------
    facts
        Of the checkpoint, from :func:`fullconv.interop.card.gather`.
    address
        ``hf://owner/name[@branch][/file]``; the model's page is made when it is not there.
    card
        A card of one's own, Markdown; by default one is made, unless the hub has one there already, which then stays.
    image
        A photograph for a card that is made, see :func:`fullconv.interop.card.write_card`.
    private
        Only for oneself; ``None`` as the owner's settings say.
    message
        Of the commit.
    token
        Of the hub; the one of ``hf auth login`` or ``HF_TOKEN`` by default.

    Raises
    ------
    WeightsError
        When the hub refuses or cannot be reached; when it is asked to be private and is there for all; when the hub's checksum is
        not that of the file.
    DataError
        When the card or the image cannot be read.
    """
    asked = parse_address(address)
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HTTPError

    api = HfApi(token=token, library_name="fullconv")
    try:
        _make(api, asked, private)
        with tempfile.TemporaryDirectory() as folder:
            sent = {asked.path_in_repo: facts.file}
            if card is not None:
                sent[CARD] = card
            elif not api.file_exists(asked.id, CARD, revision=asked.revision):
                sent |= {path.name: path for path in write_card(facts, Path(folder) / CARD, image)}
            operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in sent.items()]
            commit = api.create_commit(asked.id, operations, commit_message=message or MESSAGE, revision=asked.revision)
        (stored,) = api.get_paths_info(asked.id, [asked.path_in_repo], revision=commit.oid)
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"cannot push to {address}: {refusal(error, asked)}") from error
    found = getattr(getattr(stored, "lfs", None), "sha256", None)
    if found != facts.sha256:
        raise WeightsError(f"{address} has SHA-256 {found} of what was sent with {facts.sha256}; push again, or delete it there")
    return Pushed(address, commit.commit_url, facts.sha256, tuple(sent))


def _make(api: "HfApi", asked: "HfUri", private: bool | None) -> None:
    """Make the model's page where it is not there; nothing private goes onto one that all can see."""
    api.create_repo(asked.id, private=private, exist_ok=True)
    if private and not api.model_info(asked.id).private:
        raise WeightsError(
            f"hf://{asked.id} exists already and is public; make it private on its page first, or leave out --private"
        )


def from_pretrained(
    kind: type[Model],
    name: str | os.PathLike[str],
    *,
    force_download: bool = False,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    revision: str | None = None,
) -> Model:
    """Return a trained model by ``owner/name`` on the hub, by a folder or by what names a checkpoint.

    See :meth:`fullconv.nn.hub_methods.HubMethods.from_pretrained`.
    """
    address, path = hub_address(name), Path(name)
    if (
        address is None
        and not path.exists()
        and isinstance(name, str)
        and len(name.split("/")) == 2
        and path.suffix != ".safetensors"
    ):
        address = f"hf://{name}"
    if address is not None:
        path = fetch(
            address,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
        )
    elif revision is not None:
        raise WeightsError(f"{name} is no model of the hub, and only those have revisions; leave out revision={revision!r}")
    else:
        path = path / FILE if path.is_dir() and (path / FILE).is_file() else find_checkpoint(name)
    model = load_checkpoint(path).model
    if not isinstance(model, kind):
        raise WeightsError(f"{name} is a {type(model).__name__} and no {kind.__name__}; call FCN.from_pretrained")
    return model


def save_pretrained(
    model: HubMethods, folder: str | os.PathLike[str], *, labels: Mapping[str, LabelSet] | None, license: str | None
) -> Path:
    """Write a model and, where none is there, its card; see :meth:`fullconv.nn.hub_methods.HubMethods.save_pretrained`."""
    assert isinstance(model, FCN)  # who has these methods is one
    stored = dict(model.stored or {})
    origin = stored.pop("file", None)
    if labels is not None:
        stored["labels"] = labels
    if "labels" not in stored:
        head = next(iter(model.heads))
        raise WeightsError(
            f"this model was not read from a file, so nobody knows its classes; give labels={{{head!r}: LabelSet(names)}}"
        )
    if stored.get("history") and not _is_unchanged(model, origin):
        stored["history"] = [_without_scores(stage) for stage in stored["history"]] + [{"data": CHANGED}]
    path = Path(folder)
    save_checkpoint(path / FILE, model, **stored)
    if not (path / CARD).exists():
        write_card(gather(path / FILE, license=license), path / CARD)
    return path


def _without_scores(stage: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in stage.items() if key not in ("heads", "kept")}


def _is_unchanged(model: FCN, origin: str | None) -> bool:
    """Return whether a model's weights are still those of the file that it was read from; no where that cannot be told."""
    if origin is None:
        return False
    state = model.state_dict()
    try:
        with safe_open(origin, framework="pt") as content:
            return all(
                name in state and torch.equal(state[name].cpu(), content.get_tensor(name).to(state[name].dtype))
                for name in content.keys()  # noqa: SIM118  # it is no dict
            )
    except (OSError, SafetensorError):
        return False


def push_model(
    model: HubMethods,
    repo_id: str,
    *,
    message: str | None,
    private: bool | None,
    token: str | None,
    branch: str | None,
    labels: Mapping[str, LabelSet] | None,
    license: str | None,
) -> str:
    """Push a model from memory; see :meth:`fullconv.nn.hub_methods.HubMethods.push_to_hub`."""
    require_hub()
    address = f"hf://{repo_id}" + (f"@{branch}" if branch else "")
    parse_address(address)
    with tempfile.TemporaryDirectory() as folder:
        saved = save_pretrained(model, folder, labels=labels, license=license)
        facts = gather(saved / FILE, license=license, called=f"hf://{repo_id}")
        return push(facts, address, private=private, message=message, token=token).commit
