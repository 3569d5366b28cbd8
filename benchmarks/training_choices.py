"""Which loss, which sampling and which of a run's models: mean IU over seeds for equal minutes of training.

    python benchmarks/training_choices.py RECIPE OUT [--minutes 3] [--seeds 3]

RECIPE is a folder's, as ``fullconv init`` writes it, whose list of pairs has the splits train, val and test: models are chosen on
val and measured on test. What a step of each choice costs is measured first, in turns, on a machine that should be idle then;
each choice gets as many steps as fit into the minutes, so that a machine that is busy later changes nothing. Runs that are in OUT
already are not trained again. Each run keeps both its best and its last model; when early stopping would have ended it is read
from its measurements.
"""

import argparse
import csv
import json
import statistics
from pathlib import Path

from fullconv.data import open_dataset
from fullconv.evaluation.loop import evaluate
from fullconv.inference.load import load
from fullconv.spec import Recipe
from fullconv.spec.recipe import load_recipe
from fullconv.training.run import train

CHOICES = {
    "cross entropy": {},
    "dice + cross entropy": {"train": {"loss": {"cross_entropy": 1, "dice": 1}}},
    "balanced sampling": {"train": {"sampling": "balanced"}},
    "label smoothing 0.1": {"train": {"loss": {"cross_entropy": {"label_smoothing": 0.1}}}},
}
PATIENCE = 3


def mean_iu(model: Path, recipe: Recipe) -> float:
    """Return the mean IU in percent on the split ``test`` at the images' own size, over classes with ground truth."""
    predictor = load(model)
    dataset = open_dataset(recipe.data, "test", own_size=True)
    report = evaluate(predictor.labels_of, dataset, dataset.labels["semantic"])
    return 100 * report.metrics.mean_iu


def stopped_after(metrics: Path) -> tuple[int, int]:
    """Return the step at which patience would have ended a run, and its last step."""
    with metrics.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    rows = [row for row in rows if row.get("semantic_mean_iu")]
    best, since = -1.0, 0
    for row in rows:
        value = float(row["semantic_mean_iu"])
        best, since = (value, 0) if value > best else (best, since + 1)
        if since >= PATIENCE:
            return int(row["step"]), int(rows[-1]["step"])
    return int(rows[-1]["step"]), int(rows[-1]["step"])


def step_costs(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of a step of each choice: medians of short runs that take turns."""
    path = arguments.out / "costs.json"
    if path.exists():
        return json.loads(path.read_text())
    found: dict[str, list[float]] = {choice: [] for choice in CHOICES}
    for turn in range(3):
        for choice, changes in CHOICES.items():
            settings = changes.get("train", {}) | {"steps": 12, "keep": "last", "average": None, "validate_every": None}
            data = {"val_count": 1, "root": str(load_recipe(arguments.recipe).data.root)}
            recipe = load_recipe(arguments.recipe, {"train": settings, "data": data})
            result = train(recipe, arguments.out / f"cost-{choice.replace(' ', '-')}-{turn}", examined=True)
            found[choice].append(result.seconds / 12)
    costs = {choice: statistics.median(seconds) for choice, seconds in found.items()}
    path.write_text(json.dumps(costs))
    return costs


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    costs = step_costs(arguments)
    print({choice: f"{1000 * cost:.0f} ms a step" for choice, cost in costs.items()}, flush=True)
    rows: dict[str, list[dict[str, float]]] = {choice: [] for choice in CHOICES}
    for seed in range(arguments.seeds):
        for choice, changes in CHOICES.items():
            steps = round(60 * arguments.minutes / costs[choice])
            settings = changes.get("train", {}) | {"seed": seed, "steps": steps, "keep": "best", "validate_every": -(-steps // 8)}
            recipe = load_recipe(arguments.recipe, {"train": settings})
            out = arguments.out / f"{choice.replace(' ', '-')}-{seed}"
            found = out / "choices.json"
            if not found.exists():
                result = train(recipe, out, resume=(out / "recipe.yaml").exists(), examined=True)
                last = out / "last.safetensors"
                best = mean_iu(result.model, recipe)
                record = {"best": best, "last": mean_iu(last, recipe) if last.exists() else best}
                stopped, end = stopped_after(out / "metrics.csv")
                found.write_text(json.dumps(record | {"stopped": stopped, "steps": end}))
            rows[choice].append(json.loads(found.read_text()))
            print(choice, seed, rows[choice][-1], flush=True)
    print("| choice | steps | last | best of eight measurements | patience 3 would have ended after |")
    print("|---|---|---|---|---|")
    for choice, records in rows.items():
        cells = [f"{records[0]['steps']}"]
        for key in ("last", "best"):
            values = [record[key] for record in records]
            cells.append(f"{statistics.mean(values):.1f} ± {statistics.stdev(values) if len(values) > 1 else 0:.1f}")
        cells.append(", ".join(f"{record['stopped']}" for record in records))
        print(f"| {choice} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
