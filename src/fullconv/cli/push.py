"""``fullconv push``: a trained model onto the Hugging Face hub."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import log, show


def push(
    checkpoint: str,
    address: str,
    /,
    *,
    card: Path | None = None,
    report: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    license: str | None = None,
    image: Path | None = None,
    private: Annotated[bool, Parameter(negative="")] = False,
    message: str | None = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Put a trained model and its card on the Hugging Face hub, in one commit; compare checksums afterwards.

    Who you are is known by `hf auth login` or HF_TOKEN. A card that the hub has there already stays, unless you give one.

    Parameters
    ----------
    checkpoint
        A model.safetensors that training wrote.
    address
        hf://owner/name, or hf://owner/name@branch/file.safetensors; the model's page is made when it is not there.
    card
        Your own card (Markdown); by default one is made, as by `fullconv card`.
    report, license, image
        What goes onto the card that is made, see `fullconv card --help`.
    private
        Make the model's page private; refused when it is public already.
    message
        Message of the commit.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv push run/model.safetensors hf://owner/name --license apache-2.0
    """
    from fullconv.errors import SpecError
    from fullconv.interop.card import UNKNOWN, gather
    from fullconv.interop.hub import push as send

    if card is not None and not card.is_file():
        raise SpecError(f"--card {card}: no such file; `fullconv card CHECKPOINT --out CARD.md` makes one to start from")
    if card is not None and (report or license or image):
        raise SpecError(
            "--card is a card as it is; --report, --license and --image are for one that is made: leave them out, or it"
        )
    facts = gather(checkpoint, report, license, called=address)
    done = send(facts, address, card=card, image=image, private=private or None, message=message)
    if as_json:
        show(json.dumps(asdict(done)))
    log(f"{', '.join(done.files)} at {done.commit}; SHA-256 {done.sha256} here and there")
    if "README.md" not in done.files:
        log("note: the card that was there stays; --card FILE replaces it")
    elif card is None and facts.license == UNKNOWN:
        log("note: the licence stands as unknown; --license says it")
    log(f"to use it: fullconv predict {done.address} photo.jpg --out labels")
