"""The options ``--engine``, ``--precision`` and ``--verbose`` of commands that run a trained model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from fullconv.cli.output import log

if TYPE_CHECKING:
    from fullconv.inference.predictor import Predictor


@Parameter(name="*", negative="")
@dataclass(frozen=True)
class Computing:
    """What computes the model's logits, and how.

    Parameters
    ----------
    engine
        eager: PyTorch as it is; compiled: torch.compile; openvino, onnxruntime: other runtimes, on a CPU; auto: on a CPU openvino
        where it is installed and there are 100 images or more, else eager. By default auto where many files are predicted, and
        eager where a model is measured.
    precision
        Precision of convolutions: fp32, bf16 or fp16, as engine and processor allow; fp32 by default, except with auto on CUDA.
    verbose
        Print which engine runs, and why.
    """

    engine: Literal["auto", "eager", "compiled", "openvino", "onnxruntime"] | None = None
    precision: Literal["fp32", "bf16", "fp16"] | None = None
    verbose: bool = False

    def prepare(self, predictors: Iterable["Predictor"], images: int, default: Literal["auto", "eager"]) -> None:
        """Give predictors their engine; ``images`` are those that each will predict."""
        for predictor in predictors:
            if self.engine in (None, "auto") and self.precision is None and not hasattr(predictor.engine, "model"):
                about = "engine: that of the exported file"
            else:
                about = predictor.use_engine(self.engine or default, self.precision, images)
            if self.verbose:
                log(about)


NOT_SAID = Computing()
"""None of the options given."""
