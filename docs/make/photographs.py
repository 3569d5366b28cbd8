"""Pictures of photographs that scikit-image ships, by the bundled model and by a classifier whose weights install with pip."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import data

from fullconv import Segmentation, load
from fullconv.crf.mean_field import CRFSpec
from fullconv.drawing import INK, PAPER, font_for
from fullconv.inference.heatmap import class_names, draw_heat_map, heat_map, load_classifier
from fullconv.labels import LabelSet
from fullconv.paper.skip_contributions import contributions

MODEL = Path(__file__).parents[2] / "models" / "voc-subset" / "src" / "fullconv_voc_subset" / "model.safetensors"
GAP = 6
VIVID = (
    *(
        (31, 119, 180),
        (44, 160, 44),
        (148, 103, 189),
        (140, 86, 75),
        (227, 119, 194),
        (127, 127, 127),
        (188, 189, 34),
        (23, 190, 207),
    ),
    *((255, 127, 14), (214, 39, 40), (65, 105, 225)),
)


def photographs() -> dict[str, NDArray[np.uint8]]:
    """Return a cat and an astronaut, uint8 (H, W, 3) RGB."""
    return {"chelsea": data.chelsea(), "astronaut": data.astronaut()[:340, :512]}


def row(pictures: list[Image.Image], titles: list[str] | None = None, height: int = 240) -> Image.Image:
    """Return pictures beside each other, of one height, with a title over each."""
    scaled = [one.resize((round(one.width * height / one.height), height), Image.Resampling.LANCZOS) for one in pictures]
    font = font_for(640)
    top = 26 if titles else 0
    sheet = Image.new("RGB", (sum(one.width + GAP for one in scaled) - GAP, height + top), PAPER)
    left = 0
    for number, one in enumerate(scaled):
        sheet.paste(one, (left, top))
        if titles:
            ImageDraw.Draw(sheet).text((left + 2, 2), titles[number], fill=INK, font=font)
        left += one.width + GAP
    return sheet


def below(rows: list[Image.Image]) -> Image.Image:
    """Return rows below each other, all as wide as the first."""
    wide = rows[0].width
    scaled = [one.resize((wide, round(one.height * wide / one.width)), Image.Resampling.LANCZOS) for one in rows]
    sheet = Image.new("RGB", (wide, sum(one.height + GAP for one in scaled) - GAP), PAPER)
    top = 0
    for one in scaled:
        sheet.paste(one, (0, top))
        top += one.height + GAP
    return sheet


def colored(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return labels as colours, uint8 (H, W, 3): VOC's own are dark for cats, and these are told apart on a page."""
    palette = np.array([VIVID[label % len(VIVID)] for label in range(21)], np.uint8)
    palette[0] = 45
    return palette[labels]


def blended(image: NDArray[np.uint8], labels: NDArray[np.integer], names: LabelSet) -> Image.Image:
    """Return an image under the colours of its labels, with the name of each class that is not background in its middle."""
    share = np.where((labels == 0)[..., None], 0.35, 0.55)
    mixed = ((1 - share) * image + share * colored(labels)).round().astype(np.uint8)
    edge = labels != ndimage.maximum_filter(labels, 3)
    mixed[edge] = 255
    picture = Image.fromarray(mixed)
    draw, font = ImageDraw.Draw(picture), font_for(900)
    for label in np.unique(labels[labels > 0]):
        if (labels == label).mean() >= 0.02:
            inside = ndimage.distance_transform_edt(np.pad(labels == label, 1))[1:-1, 1:-1]
            row, column = np.unravel_index(inside.argmax(), inside.shape)
            place = float(column), float(row)
            draw.text(place, names.names[label], fill="white", stroke_width=2, stroke_fill="black", font=font, anchor="mm")
    return picture


def found_on(image: NDArray[np.uint8], crf: CRFSpec | None = None) -> Segmentation:
    """Return what the bundled model finds on an image."""
    return load(MODEL, "cpu").predict(image, crf=crf, probabilities=crf is not None)


def labelled(_: Path) -> dict[str, Image.Image]:
    """Draw photograph, prediction and overlay: the first thing that a reader sees."""
    rows = []
    for number, image in enumerate(photographs().values()):
        found = found_on(image)
        colors = Image.fromarray(colored(found.labels))
        titles = None if number else ["photograph", "prediction", "overlay"]
        rows.append(row([Image.fromarray(image), colors, blended(image, found.labels, found.label_set)], titles))
    return {"labelled.jpg": below(rows)}


def crf(_: Path) -> dict[str, Image.Image]:
    """Draw the outlines of a prediction before and after a fully connected CRF, and a part of both enlarged."""
    image = photographs()["chelsea"]
    before, after = found_on(image), found_on(image, CRFSpec())
    pictures = [blended(image, found.labels, found.label_set) for found in (before, after)]
    box = (270, 90, 450, 210)  # the cheek before what is behind it
    whole = row(pictures, ["stride 8", "with a fully connected CRF"])
    near = row([picture.crop(box).resize((540, 360), Image.Resampling.LANCZOS) for picture in pictures])
    return {"crf.jpg": below([whole, near])}


def skips(_: Path) -> dict[str, Image.Image]:
    """Draw what an FCN-8s makes of its coarsest scores alone, of those with the skip at stride 16, and of all three."""
    image = photographs()["chelsea"]
    predictor = load(MODEL, "cpu")
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    with torch.inference_mode():
        parts = contributions(predictor.model, "semantic", pixels)
    names = predictor.labels["semantic"]
    logits, pictures = torch.zeros_like(next(iter(parts.values()))), [Image.fromarray(image)]
    for part in parts.values():
        logits = logits + part
        pictures.append(blended(image, logits[0].argmax(0).numpy(), names))
    return {"skips-photograph.jpg": row(pictures, ["photograph", "stride 32 alone", "+ skip at 16", "+ skip at 8"], 200)}


def heatmap(_: Path) -> dict[str, Image.Image]:
    """Draw where EfficientNet-Lite0, made convolutional, sees the class that it is surest of."""
    image = photographs()["chelsea"]
    dense, normalise = load_classifier("efficientnet_lite0")
    names = class_names(dense)
    found = heat_map(dense, normalise, image)
    drawn = draw_heat_map(image, found, names[found.class_index].split(",")[0])
    return {"heatmap.jpg": row([Image.fromarray(image), drawn.crop((0, 0, *drawn.size))], height=300)}
