"""Lightning's loop over the steps of a stage, and what is said when it ends before its time."""

import pickle
from pathlib import Path

import lightning.pytorch as pl
import torch

from fullconv.errors import TrainingError
from fullconv.training.batch import batch_that_fits
from fullconv.training.module import TrainingModule


def fit(trainer: pl.Trainer, module: TrainingModule, resume: Path | None) -> None:
    """Train a stage, from a file that was saved of it where there is one.

    Raises
    ------
    TrainingError
        When memory ends, the device is lost, the net cannot be compiled, or the file is damaged.
    KeyboardInterrupt
        After the second Ctrl-C.
    """
    try:
        trainer.fit(module, ckpt_path=resume, weights_only=True)
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        # the second Ctrl-C, of which Lightning makes an exit without a word
        raise KeyboardInterrupt("stopped at once, without the steps since the last save") from None
    except torch.OutOfMemoryError as error:
        raise TrainingError(_out_of_memory(module)) from error
    except torch.AcceleratorError as error:
        said = str(error).splitlines()[0]
        raise TrainingError(
            f"the device does not compute any more: {said}; what was saved last is kept, go on with --resume"
        ) from error
    except (AttributeError, EOFError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
        if type(error).__name__ in ("BackendCompilerFailed", "InductorError"):
            raise TrainingError(
                f"torch.compile cannot compile this net here ({' '.join(str(error).split())[:120]} …); on a CPU it needs a C++ "
                "compiler such as g++; or leave train.compile out"
            ) from error
        if resume is None or trainer.global_step:
            raise
        damaged = isinstance(error, pickle.UnpicklingError | AttributeError | TypeError)  # torch would advise to unpickle it
        reason = "it is damaged" if damaged else next(iter(str(error).splitlines()), type(error).__name__)
        raise TrainingError(f"cannot go on from {resume}: {reason}; delete it to start the stage again") from error


def _out_of_memory(module: TrainingModule) -> str:
    """Return what to do: at most half the images at a time, in more parts, make the same steps."""
    train = module.train_spec
    if train.batch_size == 1:
        return "the GPU's memory does not hold one image; set a smaller data.augment.crop or data.scale"
    images = int(train.batch_size)
    fewer = batch_that_fits(images)
    return (
        f"the GPU's memory does not hold {images} images; train.batch_size: {fewer} with train.accumulate: "
        f"{train.accumulate * images // fewer} makes steps of the same size; train.batch_size: auto finds what fits"
    )
