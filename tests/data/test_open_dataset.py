import pytest

from fullconv.data import DATASETS, open_dataset
from fullconv.data.subset import Subset
from fullconv.errors import SpecError
from fullconv.spec import DataSpec


def test_data_sets_are_opened_by_name_with_count_and_heads():
    spec = DataSpec(name="scenes", heads=("geometric",), count=3, val_count=2, size=(24, 32))
    train, val = open_dataset(spec, "train"), open_dataset(spec, "val")
    assert (len(train), len(val)) == (3, 2)
    assert set(train.labels) == set(train[0].targets) == {"geometric"}
    assert train[0].size == (24, 32)
    with pytest.raises(IndexError, match=r"samples 0\.\.2; got 3"):
        train[3]


def test_names_that_are_not_there_meet_the_nearest():
    with pytest.raises(SpecError, match=r"no data set 'voc2021': did you mean voc20\d\d\? There are scenes, voc2011"):
        open_dataset(DataSpec(name="voc2021"), "train")
    with pytest.raises(SpecError, match="has the heads semantic, geometric"):
        open_dataset(DataSpec(heads=("depth",)), "train")
    assert {"scenes", "voc2011", "voc2012"} <= DATASETS.keys()


def test_a_subset_is_never_longer_than_its_data_set():
    whole = open_dataset(DataSpec(count=2, size=(16, 16)), "train")
    assert len(Subset(whole, ("semantic",), 5)) == 2
    assert len(Subset(whole, ("semantic",))) == 2
