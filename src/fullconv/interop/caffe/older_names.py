"""Names that the layers of older published files have: the authors renamed the scores and the upsampling before they settled.

Known are the files of the first release (``fcn-32s-pascal`` and its like: ``score-fr``, ``score2``, ``score4``, ``upsample``),
and those of PASCAL-Context (``score59``, which has 60 outputs). ``bigscore`` is the output of ``upsample``, and a layer's name in
copies of these nets. The shapes decide whether a name was understood rightly.
"""

from collections.abc import Container, Mapping

LAST = ("upsample", "bigscore", "upscore")
OLDER: Mapping[str, tuple[str, ...]] = {
    "score_fr": ("score", "score59", "score60"),
    "score_pool4": ("score59_pool4",),
    "score_pool3": ("score59_pool3",),
    "upscore": (*LAST, "upscore32"),
    "upscore2": ("score2", "upsample2"),
    "upscore_pool4": ("score4", "upscore_pool4f", "upscore4", "upsample4"),
    "upscore16": (*LAST, "upsample_fused_16", "upsample16"),
    "upscore8": (*LAST, "upsample_fused_8", "upsample8"),
}
"""What a layer was called, by what the reference calls it; each with hyphens too."""


def name_in_file(name: str, suffix: str, own: Container[str]) -> str:
    """Return what the layer ``name`` plus ``suffix`` of the reference is called among ``own``; its own name where it is in none.

    Examples
    --------
    >>> name_in_file("score_fr", "", {"score-fr"}), name_in_file("score_fr", "_sem", {"score_sem"})
    ('score-fr', 'score_sem')
    >>> name_in_file("upscore8", "", {"upsample", "score2"})
    'upsample'
    """
    for known in (name, *OLDER.get(name, ())):
        for spelled in (known, known.replace("_", "-")):
            for end in (suffix, suffix.replace("_", "-")):
                if spelled + end in own:
                    return spelled + end
    return name + suffix
