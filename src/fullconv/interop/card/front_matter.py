"""The head of a card, which the hub reads: licence, library, task, data sets, and the scores as ``model-index``."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from fullconv.evaluation import METRICS
from fullconv.interop.card.facts import CardFacts

METRIC_TYPES = {
    "mean_iu": "mean_iou",
    "pixel_accuracy": "accuracy",
    "mean_accuracy": "mean_accuracy",
    "frequency_weighted_iu": "frequency_weighted_iou",
}
"""What the hub calls our metrics; values are 0..1."""
TASK = "image-segmentation"


def front_matter(facts: CardFacts) -> str:
    """Return the YAML between two lines of dashes that opens a card."""
    spec = facts.checkpoint.model.spec
    data = [slug] if (slug := _slug(str(facts.last.get("data", "")).split(" ")[0])) and facts.data else []
    content: dict[str, Any] = {
        "license": facts.license,
        "library_name": "fullconv",
        "pipeline_tag": TASK,
        "tags": ["semantic-segmentation", "fully-convolutional-network", spec.name],
        "datasets": data,
        "metrics": list(METRIC_TYPES.values()) if facts.scores else [],
        "model-index": [{"name": facts.title, "results": [_result(head, found) for head, found in facts.scores.items()]}],
    }
    if not facts.scores:
        del content["model-index"]
    kept = {key: value for key, value in content.items() if value}
    return f"---\n{yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)}---\n"


def _result(head: str, found: Mapping[str, Any]) -> dict[str, Any]:
    name = str(found["dataset"])
    return {
        "task": {"type": TASK, "name": f"semantic segmentation ({head})"},
        "dataset": {"name": name, "type": _slug(name.split(" ")[0]) or "custom", "args": {"images": found["images"]}},
        "metrics": [_metric(key, found) for key in METRIC_TYPES if found[key] is not None],
    }


def _metric(key: str, found: Mapping[str, Any]) -> dict[str, Any]:
    args: dict[str, Any] = {"absent_classes": found["absent"]}
    ends = found.get("intervals", {}).get(key, (None, None))
    if None not in ends:
        args["interval"] = [round(end, 4) for end in ends]
        args["level"] = found["bootstrap"]["level"]
    return {"type": METRIC_TYPES[key], "name": METRICS[key], "value": round(found[key], 4), "args": args}


def _slug(name: str) -> str:
    """Return a name as the hub's names of data sets are."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
