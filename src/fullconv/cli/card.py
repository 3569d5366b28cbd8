"""``fullconv card``: what a trained model is and how good it is, on one page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import log, show


def card(
    checkpoint: str,
    /,
    *,
    out: Path | None = None,
    report: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    license: str | None = None,
    image: Path | None = None,
) -> None:
    """Write a model card: classes, scores with protocol and intervals, data, recipe, limits, licence, how to use it.

    It is Markdown with the head that the Hugging Face hub reads. What the file, its run's folder and the reports do not say
    stands there as unknown.

    Parameters
    ----------
    checkpoint
        A model.safetensors that training wrote; where it still lies in its run's folder, recipe and picture come from there.
    out
        The file, such as CARD.md, with CARD-picture.png beside it; by default the text is printed, without picture.
    report
        Folder that `fullconv evaluate --out` wrote for this model, one for each head at most: scores with their intervals.
    license
        Licence of the model, as the hub calls it: apache-2.0, cc-by-4.0, mit …; by default what the card of an installed model
        says, else unknown.
    image
        A photograph to draw the labels over; by default the run's own picture of predictions.

    Examples
    --------
    fullconv card run/model.safetensors --out CARD.md
    fullconv card run/model.safetensors --report report --license cc-by-4.0 --out CARD.md
    """
    from fullconv.errors import SpecError
    from fullconv.interop.card import UNKNOWN, card_text, gather, write_card

    if image is not None and out is None:
        raise SpecError("--image is drawn into a file beside the card; say --out CARD.md")
    facts = gather(checkpoint, report, license)
    if out is None:
        show(card_text(facts).rstrip())
    else:
        log(f"card in {' with '.join(map(str, write_card(facts, out, image)))}")
    if facts.license == UNKNOWN:
        log("note: the licence stands as unknown; --license says it")
    if not any("intervals" in found for found in facts.scores.values()):
        log("note: without intervals; `fullconv evaluate CHECKPOINT --data … --out report`, then --report report")
