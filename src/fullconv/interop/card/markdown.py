"""The text of a card, section by section."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from fullconv.errors import some
from fullconv.evaluation import METRICS
from fullconv.evaluation.report import estimate, percent
from fullconv.interop.card.facts import UNKNOWN, CardFacts
from fullconv.interop.card.front_matter import front_matter

WEAK = 0.3
"""IU below which a class is named among the limits."""
ABSENT = {
    "skip": "left out",
    "union": "left out unless they are predicted",
    "zero": "counted as 0",
}
PAPER = (
    "The method: J. Long, E. Shelhamer, T. Darrell, [Fully Convolutional Networks for Semantic "
    "Segmentation](https://arxiv.org/abs/1411.4038), CVPR 2015."
)
Picture = tuple[str, str]
"""The file's name beside the card, and its caption."""


def card_text(facts: CardFacts, picture: Picture | None = None) -> str:
    """Return the whole card as Markdown, the hub's front matter first."""
    sections = (
        _summary(facts, picture),
        _use(facts),
        _scores(facts),
        _data(facts),
        _training(facts),
        _limits(facts),
        _terms(facts),
    )
    return front_matter(facts) + "\n" + "\n".join(line for section in sections for line in section) + "\n"


def _summary(facts: CardFacts, picture: Picture | None) -> Iterator[str]:
    model, labels = facts.checkpoint.model, facts.checkpoint.labels
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    yield from (f"# {facts.title}", "")
    yield (
        f"A fully convolutional network ({model.spec.name}, {millions:.1f} million parameters) that gives every pixel of an "
        "image of any size a class:"
    )
    yield ""
    for head, classes in labels.items():
        named = f"{head}, " if len(labels) > 1 else ""
        yield f"- {named}{len(classes)} classes: {', '.join(map(_text, classes.names))}"
    if picture is not None:
        yield from ("", f"![predictions]({picture[0]})", "", f"*{_text(picture[1])}*")
    yield ""


def _use(facts: CardFacts) -> Iterator[str]:
    needs_hub = " (`pip install 'fullconv[hub]'`)" if facts.called.startswith("hf://") else ""
    yield from ("## Use", "", f"With fullconv{needs_hub}:", "", "```sh")
    yield f"fullconv predict {shlex.quote(facts.called)} photo.jpg --out labels --overlay"
    yield from ("```", "", "```python", "import fullconv", "")
    yield f'segmentation = fullconv.load("{facts.called}").predict("photo.jpg")'
    yield from ('segmentation.save("labels.png")  # a palette PNG of the photograph\'s own size', "```", "")
    inputs = facts.checkpoint.model.inputs
    if inputs != ("rgb",):
        yield from (f"It reads {' and '.join(inputs)} of each image, see `fullconv predict --help`.", "")


def _scores(facts: CardFacts) -> Iterator[str]:
    yield from ("## Scores", "")
    if not facts.scores:
        yield from ("Not measured: neither the file nor a report says how good it is.", "")
    for head, found in facts.scores.items():
        if len(facts.checkpoint.labels) > 1:
            yield from (f"### {head}", "")
        yield from _score_table(found)
        yield from ("", " ".join(_protocol(facts, found)), "")
        yield from _class_table(found)
        yield ""


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _score_table(found: Mapping[str, Any]) -> Iterator[str]:
    intervals = found.get("intervals", {})
    head = f"{_text(found['dataset'])}, {found['images']} images"
    yield from (f"| {head} | %{' (95 % interval)' if intervals else ''} |", "|---|---:|")
    for key, title in METRICS.items():
        low, high = intervals.get(key, (None, None))
        yield f"| {title} | {estimate(_number(found[key]), (_number(low), _number(high)))} |"


def _protocol(facts: CardFacts, found: Mapping[str, Any]) -> Iterator[str]:
    scale = facts.checkpoint.scale
    resized = f", seen at {scale:g} of its size," if scale != 1 else ""
    yield f"Every image whole{resized} and measured at its own size; pixels without ground truth do not count."
    yield f"Means are over {found['classes']} classes; classes without ground truth are {ABSENT[found['absent']]}."
    if draws := found.get("bootstrap"):
        level = f"{100 * draws['level']:g}"
        yield f"Intervals are of {level} %, by {draws['resamples']} draws of the images with replacement (seed {draws['seed']})."
        return
    yield "Measured at the end of training; intervals were not measured."
    kept = facts.last.get("kept") or {}
    if kept.get("keep") == "best":
        chosen = f"The step that was kept ({kept['step']}) was chosen by {_text(str(kept['metric']))} on the same images"
        yield f"{chosen}, so the numbers flatter a little."


def _class_table(found: Mapping[str, Any]) -> Iterator[str]:
    total = max(sum(found["pixels"].values()), 1)
    dice = found.get("dice") if len(found["iu"]) == 2 else None
    yield f"| class | IU % |{' Dice % |' if dice else ''} accuracy % | share of ground truth % |"
    yield f"|---|---:|{'---:|' if dice else ''}---:|---:|"
    for name, iu in found["iu"].items():
        cell = f" {percent(_number(dice[name]))} |" if dice else ""
        accuracy = percent(_number(found["accuracy"][name]))
        yield f"| {_text(name)} | {percent(_number(iu))} |{cell} {accuracy} | {100 * found['pixels'][name] / total:.2f} |"


def _data(facts: CardFacts) -> Iterator[str]:
    yield from ("## Data", "")
    told = facts.last.get("data")
    yield f"Learned from: {_text(str(told))}." if told else "The file does not say what it learned from."
    if facts.data is not None:
        card = facts.data
        yield from ("", f"- {card.title}: {card.source}")
        yield from (
            f"- licence of the data: {card.license}",
            f"- to cite: {card.citation}",
            f"- without ground truth: {card.ignored}",
        )
    yield ""


def _training(facts: CardFacts) -> Iterator[str]:
    yield from ("## Training", "")
    stages = [stage for stage in facts.checkpoint.history if "stage" in stage]
    if stages:
        yield from ("| stage | steps | learning rate | precision | mean IU % |", "|---|---:|---:|---|---:|")
    for stage in stages:
        heads = stage.get("heads") or {}
        reached = " / ".join(percent(_number(report["mean_iu"])) for report in heads.values()) or "–"
        rate = f"{stage['learning_rate']:.3g}" if "learning_rate" in stage else "–"
        yield f"| {_text(str(stage['stage']))} | {stage.get('steps', '–')} | {rate} | {stage.get('precision', '–')} | {reached} |"
    yield from [""] if stages else ["The file does not say how it was trained.", ""]
    if facts.recipe is not None:
        text = yaml.safe_dump(dict(facts.recipe), sort_keys=False, allow_unicode=True).rstrip()
        yield from (
            "<details><summary>Recipe, for <code>fullconv train</code></summary>",
            "",
            "```yaml",
            text,
            "```",
            "",
            "</details>",
            "",
        )


def _limits(facts: CardFacts) -> Iterator[str]:
    yield from ("## Limits", "")
    yield "- It knows the classes above and nothing else: whatever is in an image becomes one of them."
    yield from ["- Scores hold for images like those they were measured on."] if facts.scores else []
    for head, found in facts.scores.items():
        of = f" ({head})" if len(facts.scores) > 1 else ""
        if weak := [f"{name} ({percent(iu)} %)" for name, iu in found["iu"].items() if iu is not None and iu < WEAK]:
            yield f"- Classes below {percent(WEAK)} % IU{of}, not to be relied on: {_text(', '.join(weak))}."
        if unseen := [name for name, iu in found["iu"].items() if iu is None]:
            yield f"- Never measured, as no image had them{of}: {_text(some(unseen, 30))}."
    yield from (f"- At the end of training: {_text(limit)}." for limit in facts.limits)
    if facts.precision == "float16":
        yield "- Weights are stored in float16; in a few pixels labels differ from those of the model as it was trained."
    yield ""


def _terms(facts: CardFacts) -> Sequence[str]:
    unknown = "Unknown: who made this model has not stated one. Ask before you use it for more than to look at it."
    header = facts.checkpoint.header
    versions = ", ".join(f"{name} {number}" for name, number in header.get("versions", {}).items())
    file = f"`{facts.file.name}`, {facts.file.stat().st_size:,} bytes, {facts.precision}; SHA-256 `{facts.sha256}`"
    return (
        *("## Licence", "", unknown if facts.license == UNKNOWN else f"`{facts.license}`", ""),
        *("## File", "", f"{file}; written with {versions}. It holds numbers and text; opening it executes nothing.", "", PAPER),
    )


def _text(text: str) -> str:
    """Return text as it is, without meaning to Markdown's tables and emphasis."""
    return "".join(f"\\{letter}" if letter in "|*_<>[]`\\" else letter for letter in " ".join(text.split()))
