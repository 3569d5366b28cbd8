"""``from_pretrained``, ``save_pretrained`` and ``push_to_hub``, as users of the hub know them from other libraries.

``huggingface_hub.ModelHubMixin`` would have to be imported, for a quarter of a second by everybody, to stand among the bases of
:class:`fullconv.FCN`; and it builds a model from its constructor's arguments as JSON, where our file says in its header how it
is built. So these are methods with the mixin's names and keywords, which call the same library when they are called.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from fullconv.labels import LabelSet


class HubMethods:
    """What an FCN has in common with the models of other libraries that are shared on the hub."""

    stored: Mapping[str, Any] | None = None
    """What the file said that the model was read from, as :func:`fullconv.save_checkpoint` takes it, and ``file``, its path;
    ``None`` of a model that was built."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
    ) -> Self:
        """Return a trained model, in evaluation mode on the CPU.

        For pictures rather than tensors take :func:`fullconv.load`, which also knows the names of the classes.

        Parameters
        ----------
        pretrained_model_name_or_path
            ``owner/name`` on the hub; or a folder with a ``model.safetensors``; or what :func:`fullconv.load` takes: a file,
            ``hf://owner/name[@revision][/file]``, the name of an installed model.
        force_download, token, cache_dir, local_files_only, revision
            As of ``huggingface_hub.ModelHubMixin.from_pretrained``.

        Raises
        ------
        WeightsError
            When there is no such model, or it is no model of fullconv's.
        """
        # imported when it is called, as the packages that read models and talk to the hub import this one
        from fullconv.interop.hub import from_pretrained

        return from_pretrained(
            cls,
            pretrained_model_name_or_path,
            force_download=force_download,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            revision=revision,
        )

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        *,
        labels: Mapping[str, LabelSet] | None = None,
        license: str | None = None,
    ) -> Path:
        """Write ``model.safetensors`` and, where none is there, a card ``README.md`` into a folder; return the folder.

        Parameters
        ----------
        save_directory
            Is made when it is not there.
        labels
            The classes of each head; those of the file that the model was read from by default.
        license
            Such as ``apache-2.0``; stated as unknown by default.

        Raises
        ------
        WeightsError
            When the model was not read from a file and ``labels`` are not given, or do not fit.
        """
        from fullconv.interop.hub import save_pretrained

        return save_pretrained(self, save_directory, labels=labels, license=license)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        labels: Mapping[str, LabelSet] | None = None,
        license: str | None = None,
    ) -> str:
        """Put the model and its card on the hub; return the address of the commit.

        ``repo_id`` is ``owner/name``, which is made when it is not there; a card that is there stays. ``commit_message``,
        ``private``, ``token`` and ``branch`` are those of ``huggingface_hub.ModelHubMixin.push_to_hub``; ``labels``, ``license``
        and errors are those of :meth:`save_pretrained`, and a WeightsError where the hub refuses.
        """
        from fullconv.interop.hub import push_model

        return push_model(
            self,
            repo_id,
            message=commit_message,
            private=private,
            token=token,
            branch=branch,
            labels=labels,
            license=license,
        )
