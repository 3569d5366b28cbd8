"""``fullconv data``: what is wrong with a data set, and what a net sees of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from fullconv.cli.output import log, progress_bar, show

if TYPE_CHECKING:
    from rich.table import Table

data = App(name="data", help="Look at a data set before training: what is wrong with it, and what a net sees of it.")


@data.command
def check(
    target: str,
    /,
    *,
    root: Path | None = None,
    fix: Path | None = None,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> int:
    """Find what is wrong with a data set before training does, and say what to do about it.

    The exit code is 1 when training would fail or mislead; with --fix, when training on the copy would.

    Parameters
    ----------
    target
        Name of a data set (scenes, voc2011, voc2012, camvid and others), a folder of images and masks, or a recipe.
    root
        Folder of a named data set; with a recipe, used in place of its own.
    fix
        Folder for a copy in which everything is repaired that can be repaired without guessing; the original stays as it is.
    out
        Folder for contact sheets: images with their masks, suspicious ones first.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv data check photos.yaml --out check
    fullconv data check voc2012 --root VOCdevkit
    """
    from fullconv.doctor.contact_sheet import write_sheets
    from fullconv.doctor.examine import diagnose, open_context
    from fullconv.doctor.repair import copied, repair, settings_of_copy
    from fullconv.doctor.sources import read_target

    spec = read_target(target, root)
    with progress_bar("reading") as bar:
        task = bar.add_task("pairs", total=None)
        context = open_context(spec, lambda done, of: bar.update(task, completed=done, total=of))
    found = diagnose(context)
    if as_json:
        show(json.dumps(found.to_dict()))
    else:
        show(found.classes())
        show(found.table())
    log(found.verdict())
    if out is not None:
        suspects = [name for finding in found.findings if finding.level != "note" for name in finding.names]
        sheets = write_sheets(context, suspects, out)
        log(f"look at {', '.join(map(str, sheets))}; faults are marked !" if sheets else "no pair can be drawn")
    if fix is None:
        return 1 if found.of("error") else 0
    with progress_bar("copying") as bar:
        task = bar.add_task("pairs", total=len(context.facts))
        done = repair(context, fix, lambda number, _: bar.update(task, completed=number))
    log(f"{fix}: {done.summary()}; train on it with {settings_of_copy(spec, fix)}")
    left = diagnose(open_context(copied(spec, fix)))
    for finding in left.of("error") + left.of("warning"):
        log(f"{finding.level} that is left: {finding.what}; {finding.fix}")
    return 1 if left.of("error") else 0


@data.command(name="show")
def show_samples(
    recipe: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
) -> None:
    """Draw what a net sees in training: samples after the recipe's crops, colours and mirrors, masks laid over them.

    Any value of the recipe can be given as --KEY VALUE, such as --data.root DIR or --data.augment.crop "[160, 160]".

    Parameters
    ----------
    recipe
        Name of a shipped recipe (see `fullconv recipes`) or a YAML file.
    out
        The image; RECIPE-samples.png by default.

    Examples
    --------
    fullconv data show photos.yaml --out samples.png
    fullconv data show photos.yaml --data.augment.crop "[320, 320]"
    """
    from fullconv.doctor.show import show as draw
    from fullconv.spec.recipe import load_recipe, parse_overrides

    chosen = load_recipe(recipe, parse_overrides(overrides))
    path = out or Path(f"{chosen.name}-samples.png")
    names = draw(chosen, path)
    log(
        f"{path}: the first {len(names)} samples that training sees, after the recipe's changes: each as what the net reads, and "
        "beside it with its classes; hatched pixels are ignored"
    )


@data.command
def sets(name: str | None = None, /, *, as_json: Annotated[bool, Parameter("--json", negative="")] = False) -> None:
    """List the data sets that are known by name, or show one: licence, citation, size, checksums, source, folder and commands.

    Parameters
    ----------
    name
        Data set to show, such as cityscapes; all are listed by default.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv data sets
    fullconv data sets cityscapes
    """
    from fullconv.data.sets.cards import CARDS
    from fullconv.errors import SpecError, nearest

    if name is None:
        show(json.dumps({each: card.to_dict() for each, card in CARDS.items()}) if as_json else _table())
        return
    if name not in CARDS:
        near = nearest(name, CARDS, 1, 0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SpecError(f"no data set {name!r}: {hint}There are {', '.join(CARDS)}; for a folder of your own: fullconv init DIR")
    card = CARDS[name]
    if as_json:
        show(json.dumps({"name": name, **card.to_dict()}))
        return
    root = " --root DIR" if name != "scenes" else ""
    facts = {key: value for key, value in card.to_dict().items() if key not in ("layout", "train", "val")}
    lines = [f"{name}: {facts.pop('title')}", *(f"  {key}: {value}" for key, value in facts.items())]
    lines += ["  folder (DIR):", *(f"    {line}" for line in card.layout.rstrip().splitlines())]
    lines += ["  commands:", f"    fullconv data check {name}{root}"]
    lines.append(
        f"    fullconv train RECIPE --data.name {name}{' --data.root DIR' if root else ''} "
        f"--data.train {card.train} --data.val {card.val}"
    )
    lines.append(f"    fullconv evaluate runs/RECIPE/model.safetensors --data {name}{root}")
    show("\n".join(lines))


def _table() -> "Table":
    from rich.table import Table

    from fullconv.data.sets.cards import CARDS

    table = Table("data set", "classes", "splits", "size", "licence")
    for name, card in CARDS.items():
        table.add_row(name, card.classes, card.splits, card.size, card.license)
    return table
