"""The options ``--engine``, ``--precision`` and ``--verbose`` of commands that run a trained model."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from fullconv.cli.output import log

if TYPE_CHECKING:
    from fullconv.data.sample import Dataset
    from fullconv.inference.predictor import Predictor


@Parameter(name="*", negative="")
@dataclass(frozen=True)
class Computing:
    """What computes the model's logits, and how.

    Parameters
    ----------
    engine
        eager: PyTorch as it is; compiled: torch.compile; openvino, onnxruntime: other runtimes, on a CPU; auto: on a CPU openvino
        where it is installed and images have 100 megapixels together or more, else eager. By default auto where many files are
        predicted, and eager where a model is measured.
    precision
        Precision of convolutions: fp32, bf16 or fp16, as engine and processor allow; fp32 by default, but fp16 with auto on CUDA
        cards without TF32.
        For int8 write a file with fullconv export --precision int8 --calibrate.
    verbose
        Print which engine runs, and why.
    """

    engine: Literal["auto", "eager", "compiled", "openvino", "onnxruntime"] | None = None
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = None
    verbose: bool = False

    def prepare(
        self, predictors: Iterable["Predictor"], pixels: Callable[[], int | None], default: Literal["auto", "eager"]
    ) -> None:
        """Give predictors their engine; ``pixels`` says how many each will predict, where that makes a difference."""
        name = self.engine or default
        count = pixels() if name == "auto" else None
        for predictor in predictors:
            if self.engine in (None, "auto") and self.precision is None and not hasattr(predictor.engine, "model"):
                about = "engine: that of the exported file"
            else:
                about = predictor.use_engine(name, self.precision, count)
            if self.verbose:
                log(about)


def pixels_in(samples: "Dataset") -> int:
    """Return the pixels of a data set's images together, as if all were as large as the first."""
    if not len(samples):
        return 0
    first = next(iter(samples[0].inputs.values()))
    return len(samples) * first.shape[-2] * first.shape[-1]


NOT_SAID = Computing()
"""None of the options given."""
