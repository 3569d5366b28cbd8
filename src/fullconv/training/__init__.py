"""From a recipe to a trained, measured model in a folder: ``train(recipe, out)``."""

from fullconv.training.interrupt import Interrupted
from fullconv.training.run import RunResult, train

__all__ = ["Interrupted", "RunResult", "train"]
