"""The data doctor: what is wrong with a data set, found before training does, with what to do about it.

Every pair is read once (:mod:`~fullconv.doctor.facts`) into facts; checks turn facts into findings
(:mod:`~fullconv.doctor.file_checks`, :mod:`~fullconv.doctor.mask_checks`, :mod:`~fullconv.doctor.dataset_checks`).
"""

from fullconv.doctor.examine import examine
from fullconv.doctor.finding import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "examine"]
