"""The command ``predict``: a trained model, put to work on pictures."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import log, progress_bar, show


def predict(
    checkpoint: Path,
    /,
    *inputs: str,
    out: Path,
    overlay: Annotated[bool, Parameter(negative="")] = False,
    scores: Annotated[bool, Parameter(negative="")] = False,
    head: str | None = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> int:
    """Label every pixel of pictures; write a palette PNG of each picture's own size.

    A picture that cannot be read is reported and the others go on; the exit code is then 1.

    Parameters
    ----------
    checkpoint
        A model.safetensors that training wrote.
    inputs
        Pictures, folders (searched through, results mirror their tree) or glob patterns.
    out
        Folder of the results.
    overlay
        Also draw the labels over the picture, with a legend.
    scores
        Also write the probabilities, float16 (K, H, W), as .npy.
    head
        Which of the model's outputs; the first by default.
    as_json
        Print one JSON object.
    """
    from fullconv.errors import DataError
    from fullconv.inference.files import find_jobs, predict_files
    from fullconv.inference.predictor import load

    if not inputs:
        raise DataError("nothing to predict; give pictures, folders or patterns after the checkpoint")
    jobs = find_jobs(inputs, out, overlay=overlay)
    predictor = load(checkpoint)
    predictor.head(head)
    with progress_bar("predicting") as bar:
        task = bar.add_task("pictures", total=len(jobs))

        def step(done: int, of: int, problem: str | None) -> None:
            bar.update(task, completed=done)
            if problem:
                bar.console.print(f"error: {' '.join(problem.split())}", highlight=False, markup=False, soft_wrap=True)

        found = predict_files(predictor, jobs, overlay=overlay, scores=scores, head=head, progress=step)
    if as_json:
        show(json.dumps({"predicted": found.predicted, "written": found.written, "failed": found.failed}))
    log(
        f"{len(found.predicted)} of {len(jobs)} pictures predicted into {out}"
        + (f", {len(found.failed)} failed" if found.failed else "")
    )
    return 1 if found.failed else 0
