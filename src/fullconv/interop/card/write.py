"""A card as a file, with its picture beside it."""

import shutil
from pathlib import Path

from PIL import Image

from fullconv.errors import SpecError
from fullconv.files import replacing
from fullconv.inference.predictor import Predictor
from fullconv.interop.card.facts import CardFacts
from fullconv.interop.card.markdown import card_text


def write_card(facts: CardFacts, out: Path, image: Path | None = None) -> list[Path]:
    """Write a card and its picture ``NAME-picture.png``; return the paths of both, or the card's where there is none.

    Parameters
    ----------
    facts
        From :func:`fullconv.interop.card.gather`.
    out
        Ends in ``.md``.
    image
        A photograph to draw the predictions over; by default the picture is that of the run, of the validation's images.

    Raises
    ------
    SpecError
        When ``out`` ends in anything else.
    DataError
        When the image cannot be read, or the model reads more than images.
    """
    if out.suffix.lower() != ".md":
        raise SpecError(f"--out {out}: a card is Markdown; give a name that ends in .md, such as CARD.md")
    picture = out.with_name(f"{out.stem}-picture.png")
    caption = None
    if image is not None:
        drawn = draw(facts, image)
        with replacing(picture) as temporary:
            drawn.save(temporary, format="PNG")
        caption = f"What it makes of {image.name}."
    elif facts.picture is not None:
        with replacing(picture) as temporary:
            shutil.copyfile(facts.picture, temporary)
        caption = "Image, ground truth, prediction and error (red) on images of the validation."
    with replacing(out) as temporary:
        temporary.write_text(card_text(facts, (picture.name, caption) if caption else None), encoding="utf-8")
    return [out, picture] if caption else [out]


def draw(facts: CardFacts, image: Path) -> Image.Image:
    """Return an image with the labels of the model's first head over it, and a legend."""
    found = facts.checkpoint
    predictor = Predictor(found.model, found.labels, found.scale, None, found.image, found.label_maps)
    return predictor.predict(image).overlay(image)
