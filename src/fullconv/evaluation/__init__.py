"""Measure predictors on data sets: counts, scores, intervals, boundaries, the worst images. Knows no model.

Whole image, tiled or at several scales is the caller's choice, made in ``predict``.
"""

from fullconv.evaluation.loop import Predict, compare, evaluate
from fullconv.evaluation.report import METRICS, Report
from fullconv.evaluation.study import Evaluation, Study

__all__ = ["METRICS", "Evaluation", "Predict", "Report", "Study", "compare", "evaluate"]
