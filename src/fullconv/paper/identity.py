"""What the numbers of an experiment follow from beside its settings: the version, the recipes, the weights that nets start from.

It lies beside the numbers, so that those of another version, recipe or file of weights are never taken for this one's.
"""

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fullconv.errors import WeightsError
from fullconv.nn.weights import find_weights
from fullconv.paper.experiment import CLASSIFIER, Plan
from fullconv.spec import Recipe
from fullconv.training.folder import MACHINE

IDENTITY = ("version", "recipes", "weights")
LENGTH = 12
"""Digits that are kept of a hash (SHA-256, hexadecimal)."""


def identity(plans: Sequence[Plan]) -> dict[str, Any]:
    """Return the version, a hash of all recipes of ``plans``, and by name one of the weights that they start from.

    Where data and trained nets lie does not count, nor do workers and devices. Weights that are not at hand are ``None``.

    Parameters
    ----------
    plans
        The plan of every seed.
    """
    recipes = [training.recipe for plan in plans for training in plan.values()]
    starts = sorted({start for recipe in recipes if (start := _start(recipe))})
    return {
        "version": version("fullconv"),
        "recipes": _hash(json.dumps([_computed(recipe) for recipe in recipes], sort_keys=True).encode()),
        "weights": {start: _hash_of_weights(start) for start in starts},
    }


def _start(recipe: Recipe) -> str | None:
    """Return the name or path of the weights that a net starts from, when nothing of the experiment makes them."""
    weights = recipe.model.weights
    if not isinstance(weights, str) or weights == CLASSIFIER:
        return None
    return recipe.model.backbone if weights == "imagenet" else weights


def _computed(recipe: Recipe) -> dict[str, Any]:
    """Return what of a recipe decides the numbers."""
    found = recipe.model_dump(mode="json")
    for key in MACHINE:
        part, _, name = key.partition(".")
        found[part].pop(name, None)
    return found


def _hash_of_weights(name: str) -> str | None:
    try:
        tensors = find_weights(name).tensors
    except WeightsError:
        return None
    told = hashlib.sha256()
    for key in sorted(tensors):
        told.update(key.encode() + tensors[key].contiguous().numpy().tobytes())
    return told.hexdigest()[:LENGTH]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:LENGTH]
