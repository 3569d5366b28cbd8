"""The dictionary of backbones: its own first, and the further ones once somebody asks for what it lacks."""

import pytest
from torch import nn

from fullconv.nn.backbones.classifier import Classifier
from fullconv.nn.backbones.known import Backbones

OWN, MINE, THEIRS, SAME = (Classifier(nn.Identity, side) for side in (1, 2, 3, 4))


class Further:
    """Counts how often it is asked."""

    calls = 0

    def __call__(self) -> dict[str, Classifier]:
        self.calls += 1
        return {"own": SAME, "theirs": THEIRS}


def test_what_is_known_asks_nobody() -> None:
    further = Further()
    known = Backbones({"own": OWN}, further)
    known["mine"] = MINE
    assert (known["own"], known["mine"], "own" in known, further.calls) == (OWN, MINE, True, 0)


def test_the_rest_is_asked_for_once_and_takes_no_name_away() -> None:
    further = Further()
    known = Backbones({"own": OWN}, further)
    known["mine"] = MINE
    assert known["theirs"] is THEIRS
    assert "nobodys" not in known
    assert (list(known), len(known), known["own"]) == (["own", "mine", "theirs"], 3, OWN)
    del known["theirs"]
    assert (list(known), known.shipped, further.calls) == (["own", "mine"], {"own", "theirs"}, 1)
    with pytest.raises(KeyError, match="theirs"):
        known["theirs"]
