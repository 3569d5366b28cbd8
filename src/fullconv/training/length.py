"""How long a run is: epochs as steps, and what was chosen when the run began taken up again."""

import math
from collections.abc import Sequence

from fullconv.spec import Recipe, StageSpec


def shared_steps(total: int, shares: Sequence[int]) -> list[int]:
    """Return ``total`` steps, or one each if that is more, divided among stages in proportion to ``shares``.

    Examples
    --------
    >>> shared_steps(100, [750, 450, 400]), shared_steps(2, [1, 1, 1])
    ([46, 29, 25], [1, 1, 1])
    """
    spare = max(total - len(shares), 0)  # each stage has one step first
    ends = [round(spare * sum(shares[: number + 1]) / sum(shares)) for number in range(len(shares))]
    return [1 + end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def with_epochs(recipe: Recipe, images: int) -> Recipe:
    """Return ``recipe`` with the steps that its ``train.epochs`` are, if it has any.

    Parameters
    ----------
    recipe
        Of a run.
    images
        Of the training split.
    """
    train = recipe.train
    if train.epochs is None:
        return recipe
    total = math.ceil(train.epochs * images / train.images_per_step)
    return with_steps(recipe, shared_steps(total, [int(stage.steps or 0) for stage in train.stages]))


def with_steps(recipe: Recipe, steps: Sequence[int]) -> Recipe:
    """Return ``recipe`` with other steps of its stages."""
    stages: tuple[StageSpec, ...] = tuple(
        stage.model_copy(update={"steps": count}) for stage, count in zip(recipe.train.stages, steps, strict=True)
    )
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"stages": stages})})


def as_begun(recipe: Recipe, before: Recipe) -> Recipe:
    """Return ``recipe`` with what the run that goes on chose when it began: precision, batch size and the steps of its epochs."""
    train, begun = recipe.train, before.train
    chosen = {key: getattr(begun, key) for key in ("precision", "batch_size") if getattr(train, key) == "auto"}
    recipe = recipe.model_copy(update={"train": train.model_copy(update=chosen)})
    if train.epochs is None or begun.epochs is None or len(train.stages) != len(begun.stages):
        return recipe
    return with_steps(recipe, [int(stage.steps or 0) for stage in begun.stages])
