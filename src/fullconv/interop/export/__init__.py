"""Trained nets as files that other runtimes run, each proven to compute what the checkpoint computes.

``graph`` traces the net, ``formats`` writes it, ``quantise`` makes it int8, ``metadata`` is what the file says of itself,
``parity`` runs the file beside the net, ``calibration`` reads the images that int8 and its proof need, and ``export`` puts these
together.
"""

from fullconv.interop.export.export import Exported, export_checkpoint
from fullconv.interop.export.parity import Parity

__all__ = ["Exported", "Parity", "export_checkpoint"]
