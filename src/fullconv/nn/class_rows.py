"""Fine-tuning on other classes: what a trained net knows of a class goes to the class of the same name.

A score layer has one row of weights for each class, and a learned deconvolution one filter. The rows of classes that the trained
net knows are taken, at every stride that both nets have; those of new classes start as they are built, at zero and bilinear.

Letters: K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fullconv.errors import WeightsError, some
from fullconv.nn.checkpoint import Checkpoint
from fullconv.nn.fcn import FCN
from fullconv.nn.head import Head
from fullconv.nn.upsample import Deconvolution

NAMED = 12
"""Classes that a line names at most."""


@dataclass(frozen=True)
class Rows:
    """Which rows of a head come from where.

    Attributes
    ----------
    head, source
        Name of the head, and of the trained net's that it starts from; ``None``: from none.
    places
        For each class its row there, or ``None`` where it is new.
    names
        Of the classes, or empty where they are not known and rows are taken as they stand.
    """

    head: str
    source: str | None
    places: tuple[int | None, ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Return a clause for people."""
        taken = [name for name, place in zip(self.names, self.places, strict=False) if place is not None]
        new = [name for name, place in zip(self.names, self.places, strict=False) if place is None]
        if not taken:
            return f"all {len(self.places)} classes of {self.head} are new to it"
        if not new:
            return f"all {len(taken)} classes of {self.head} taken by name"
        shares = f"{len(taken)} of {len(self.places)} classes of {self.head}"
        return f"{shares} taken by name ({some(taken, NAMED)}), new: {some(new, NAMED)}"


def match_rows(trained: Checkpoint, model: FCN, names: Mapping[str, Sequence[str]] | None, file: str) -> list[Rows]:
    """Return which row of a trained net each class of a model starts from.

    A head starts from the head of its name, or from the only head where both nets have one. Names of classes are compared as they
    are spelled, and where that finds nothing without regard to capitals, if that is unambiguous.

    Parameters
    ----------
    trained
        The net with its classes.
    model
        That is to start.
    names
        Its classes' names by head; ``None`` where they are not known: rows are then taken as they stand, which asks for the same
        heads with as many classes.
    file
        What the trained net is called.

    Raises
    ------
    WeightsError
        When names are not known and the heads differ.
    """
    if names is None:
        if trained.model.heads != model.heads:
            raise WeightsError(f"{file} has the heads {trained.model.heads}, and the model that it is to start {model.heads}")
        return [Rows(head, head, tuple(range(count)), ()) for head, count in model.heads.items()]
    found = []
    for head in model.heads:
        known = list(trained.labels)
        lone = len(known) == 1 == len(model.heads)
        source = head if head in known else known[0] if lone else None
        old = trained.labels[source].names if source is not None else ()
        places = tuple(_place(name, old) for name in names[head])
        found.append(Rows(head, source, places, tuple(names[head])))
    return found


def _place(name: str, old: Sequence[str]) -> int | None:
    if name in old:
        return old.index(name)
    alike = [place for place, each in enumerate(old) if each.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def row_tensors(trained: FCN, model: FCN, rows: Sequence[Rows], stream: str, upsampling: bool = True) -> dict[str, Tensor]:
    """Return the state of a model's score layers of one stream with the rows of a trained net.

    With ``upsampling`` also that of learned upsampling, which all streams share.

    A skip whose features the two nets scale by other factors has its rows scaled, so that its logits stay.
    """
    found: dict[str, Tensor] = {}
    for each in rows:
        if each.source is None:
            continue
        old, new = trained.head(each.source), model.head(each.head)
        for level in range(min(len(old.factors), len(new.factors))):
            before, after = _score(old, stream, level), _score(new, stream, level)
            name = f"core.heads.{each.head}.score.{stream}.{level}."
            if before.in_channels != after.in_channels or before.bias is None or after.bias is None:
                continue  # another trunk, which is told when its own tensors do not fit
            ratio = old.factors[level] / new.factors[level]
            found[f"{name}weight"] = _with_rows(after.weight, before.weight * ratio, each.places)
            found[f"{name}bias"] = _with_rows(after.bias, before.bias, each.places)
        for step, (wide, narrow) in enumerate(zip(new.upsample if upsampling else (), old.upsample, strict=False)):
            assert isinstance(wide, Deconvolution)  # a ModuleList knows only modules
            assert isinstance(narrow, Deconvolution)
            learned = isinstance(wide.weight, nn.Parameter) and isinstance(narrow.weight, nn.Parameter)
            if learned and wide.weight.shape[1:] == narrow.weight.shape[1:]:
                name = f"core.heads.{each.head}.upsample.{step}.weight"
                found[name] = _with_rows(wide.weight, narrow.weight, each.places)
    return found


def _score(head: Head, stream: str, level: int) -> nn.Conv2d:
    layer = head.score[stream][level]  # type: ignore[index]  # a ModuleList
    assert isinstance(layer, nn.Conv2d)
    return layer


def _with_rows(built: Tensor, trained: Tensor, places: Sequence[int | None]) -> Tensor:
    """Return ``built`` (K, …) with the rows of ``trained`` that ``places`` names."""
    mine = [row for row, place in enumerate(places) if place is not None]
    theirs = [place for place in places if place is not None]
    with torch.no_grad():
        filled = built.detach().clone()
        filled[mine] = trained.detach()[theirs].to(filled)
    return filled
