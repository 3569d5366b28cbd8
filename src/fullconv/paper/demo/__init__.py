"""The paper's story in minutes (``fullconv demo``): a classifier becomes dense, then an FCN that gets finer and finer.

Long et al. 2015: figure 2 (a classifier made convolutional gives a heat map), table 2 and figure 4 (32s-fixed, 32s, 16s, 8s).
Everything is computed here, on rendered scenes and a photograph that is installed; no network, no files to download.
"""

from fullconv.paper.demo.story import Demo, run

__all__ = ["Demo", "run"]
