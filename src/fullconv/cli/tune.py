"""``fullconv tune``: which CRF suits a trained model."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from fullconv.cli.engine import NOT_SAID, Computing, pixels_in
from fullconv.cli.ground_truth import open_ground_truth
from fullconv.cli.output import log, progress_bar, show
from fullconv.errors import SpecError


def tune(
    checkpoint: Path,
    /,
    *,
    data: str,
    root: Path | None = None,
    split: str | None = None,
    count: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 20,
    head: str | None = None,
    start: str = "crf",
    out: Path | None = None,
    device: str = "auto",
    computing: Computing = NOT_SAID,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Find the CRF for `--refine` that raises a trained model's scores near borders most; measure on other images afterwards.

    Each better setting is written when it is found, so what Ctrl-C leaves can be used, or gone on from with --start.

    Parameters
    ----------
    checkpoint
        A model.safetensors that training wrote.
    data
        Name of a data set (scenes, voc2012, nyudv2, siftflow and others), or a recipe whose data are meant: of your own folder.
    root
        Its folder.
    split
        Such as val; train, or what the recipe trains on, by default. Not the one that you report.
    count
        Only the first so many images. All of them together take some thirty times as long as to refine them once.
    head
        Which of the model's outputs; the first by default.
    start
        Settings to begin with: crf for the default ones, or a file that this command wrote.
    out
        The file; crf.json beside the checkpoint by default. One that is there is only written when --start names it.
    device
        cpu, cuda, cuda:1, mps …; auto takes cuda where there is one, else cpu.
    computing
        By which engine.
    as_json
        Print one JSON object.
    """
    from fullconv.crf.settings import Tuned, read_crf
    from fullconv.crf.tune import tune as search
    from fullconv.evaluation.report import percent
    from fullconv.inference.load import load
    from fullconv.nn.find_checkpoint import beside

    path = out or beside(checkpoint, "crf.json")
    if path.suffix.lower() != ".json":
        raise SpecError(f"--out {path}: settings are written as JSON; end the name in .json")
    if path.exists() and Path(start).resolve() != path.resolve():
        raise SpecError(f"{path} is there already; go on from it with --start {shlex.quote(str(path))}, or choose another --out")
    first = read_crf(start).crf
    predictor = load(checkpoint, device)
    head = predictor.head(head)
    samples = open_ground_truth(data, root, split, count, head, [predictor], refined=True, default="train")
    computing.prepare([predictor], lambda: pixels_in(samples), "eager")
    with progress_bar("tuning") as bar:
        task = bar.add_task("images", total=None)

        def better(found: Tuned) -> None:
            found.write(path)
            values = ", ".join(f"{name} {value:g}" for name, value in found.crf.model_dump().items())
            text = (
                f"trial {found.trials}: near borders {percent(found.trimap_iu[1])}, mean IU {percent(found.mean_iu[1])}; {values}"
            )
            bar.console.print(text, highlight=False, soft_wrap=True)

        try:
            found = search(
                predictor, samples, head=head, start=first, progress=lambda n: bar.update(task, completed=n), better=better
            )
        except KeyboardInterrupt:
            left = f"{path} holds the best settings so far, --start {shlex.quote(str(path))} goes on from them"
            raise KeyboardInterrupt(f"stopped; {left if path.exists() else 'before the first trial was done'}") from None
    found.write(path)
    if as_json:
        show(found.model_dump_json())
    near, whole = (" and ".join(map(percent, pair)) for pair in (found.trimap_iu, found.mean_iu))
    log(
        f"{found.data}, {found.images} images, {found.trials} trials; mean IU without and with the CRF: near borders {near}, "
        f"everywhere {whole}; {path}"
    )
    if found.trimap_iu[1] <= found.trimap_iu[0]:
        log("note: no setting was better than none; do not use --refine with this model")
