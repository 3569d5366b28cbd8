from importlib import resources

import numpy as np
import pytest
import torchvision
from PIL import Image

from fullconv.data import open_dataset
from fullconv.data.sets.voc import VOCSegmentation
from fullconv.errors import DataError
from fullconv.labels import VOC
from fullconv.spec import DataSpec

IDS = ("2007_000001", "2007_000002", "2007_000003")
LISTS = {"train": IDS[:2], "val": IDS[2:], "trainval": IDS}


def write_voc(folder, lists=LISTS, ids=IDS):
    """A small copy in VOC's own layout; the image of id k is (4 + k) x 6."""
    for part in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass"):
        (folder / part).mkdir(parents=True)
    for name, entries in lists.items():
        (folder / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("\n".join(entries) + "\n")
    for place, name in enumerate(ids):
        mask = np.full((4 + place, 6), place, np.uint8)
        mask[0] = 255
        VOC.to_image(mask).save(folder / "SegmentationClass" / f"{name}.png")
        Image.fromarray(np.full((*mask.shape, 3), 100, np.uint8)).save(folder / "JPEGImages" / f"{name}.jpg")
    return folder


@pytest.fixture
def devkit(tmp_path):
    write_voc(tmp_path / "VOCdevkit" / "VOC2012")
    return tmp_path / "VOCdevkit"


def test_samples_have_their_own_size_and_indices_for_labels(devkit):
    data = VOCSegmentation(devkit, "2012", "trainval")
    assert (len(data), data.name, data.labels) == (3, "voc2012 trainval", {"semantic": VOC})
    for place, sample in enumerate(data):
        assert sample.name == IDS[place]
        assert sample.size == (4 + place, 6)
        assert sample.inputs["rgb"].shape == (3, 4 + place, 6)
        assert set(sample.targets["semantic"].unique().tolist()) == {place, 255}


def test_any_of_the_usual_folders_will_do(devkit, monkeypatch):
    for root in (devkit.parent, devkit, devkit / "VOC2012", str(devkit)):
        assert len(VOCSegmentation(root, "2012", "train")) == 2
    monkeypatch.chdir(devkit / "VOC2012")
    assert len(VOCSegmentation(".", "2012", "val")) == 1


def test_torchvisions_own_layout_of_2011_is_found(tmp_path):
    write_voc(tmp_path / "TrainVal" / "VOCdevkit" / "VOC2011")
    assert len(VOCSegmentation(tmp_path, "2011", "train")) == 2


def test_seg11valid_is_the_copys_own_list_where_it_has_one(devkit):
    path = devkit / "VOC2012" / "ImageSets" / "Segmentation" / "seg11valid.txt"
    path.write_text(IDS[2])
    assert VOCSegmentation(devkit, "2012", "seg11valid").ids == [IDS[2]]


def test_else_seg11valid_is_the_papers_736_and_missing_files_are_counted(devkit):
    with pytest.raises(DataError, match=r"missing in .*: 736 of 736 JPEGImages/ID.jpg .*2007_000033, 2007_000042, .*, …\);"):
        VOCSegmentation(devkit, "2012", "seg11valid")


def test_a_full_copy_has_all_736(tmp_path):
    folder = write_voc(tmp_path / "VOC2011")
    names = (resources.files("fullconv.data.sets") / "lists" / "voc-seg11valid.txt").read_text().split()
    assert len(set(names)) == len(names) == 736
    for name in names:
        (folder / "JPEGImages" / f"{name}.jpg").touch()
        (folder / "SegmentationClass" / f"{name}.png").touch()
    assert VOCSegmentation(folder, "2011", "seg11valid").ids == names


def test_a_missing_mask_is_told_before_training(devkit):
    (devkit / "VOC2012" / "SegmentationClass" / f"{IDS[1]}.png").unlink()
    with pytest.raises(DataError, match=rf"files are missing in .*: 1 of 2 SegmentationClass/ID.png \({IDS[1]}\); comp"):
        VOCSegmentation(devkit, "2012", "train")


def test_a_truncated_photograph_is_named(devkit):
    path = devkit / "VOC2012" / "JPEGImages" / f"{IDS[0]}.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=rf"{IDS[0]}\.jpg: cannot be read"):
        VOCSegmentation(devkit, "2012", "train")[0]


def test_a_mask_of_another_size_is_named(devkit):
    VOC.to_image(np.zeros((3, 3), int)).save(devkit / "VOC2012" / "SegmentationClass" / f"{IDS[0]}.png")
    with pytest.raises(DataError, match=rf"{IDS[0]}\.png: the mask is \(3, 3\) but its image is \(4, 6\)"):
        VOCSegmentation(devkit, "2012", "train")[0]


def test_a_wrong_root_says_what_was_looked_for(tmp_path, devkit):
    with pytest.raises(DataError, match=r"no VOC2012 at .*nowhere: looked for VOC2012/ImageSets/Segmentation, VOCdevkit"):
        VOCSegmentation(tmp_path / "nowhere", "2012", "train")
    with pytest.raises(DataError, match="It holds VOC2012: choose that year"):
        VOCSegmentation(devkit, "2011", "train")
    with pytest.raises(DataError, match="no VOC2011 at"):  # a folder of one year is not taken for another
        VOCSegmentation(devkit / "VOC2012", "2011", "train")
    with pytest.raises(DataError, match=r"voc2012 needs its folder \(train: --data\.root DIR, .*--data\.download true"):
        VOCSegmentation(None, "2012", "train")


def test_an_unknown_split_meets_the_nearest(devkit):
    with pytest.raises(DataError, match=r"no split 'tran'.*did you mean train\? There are seg11valid, train, trainval, val"):
        VOCSegmentation(devkit, "2012", "tran")
    (devkit / "VOC2012" / "ImageSets" / "Segmentation" / "none.txt").touch()
    with pytest.raises(DataError, match="is empty; it must list one image id a line"):
        VOCSegmentation(devkit, "2012", "none")


def test_download_is_torchvisions_and_only_where_nothing_is(tmp_path, devkit, monkeypatch):
    asked = []

    def fetch(root, year, image_set, download):
        asked.append((root, year, download))
        write_voc(tmp_path / "new" / "VOCdevkit" / "VOC2012")

    monkeypatch.setattr(torchvision.datasets, "VOCSegmentation", fetch)
    assert len(VOCSegmentation(devkit, "2012", "train", download=True)) == 2
    assert asked == []
    assert len(VOCSegmentation(tmp_path / "new", "2012", "train", download=True)) == 2
    assert asked == [(str(tmp_path / "new"), "2012", True)]


def test_a_download_that_fails_is_one_line(tmp_path, monkeypatch):
    def fetch(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "VOCSegmentation", fetch)
    with pytest.raises(DataError, match=r"could not fetch VOC2012 .*no route to host; check network and disk"):
        VOCSegmentation(tmp_path, "2012", "train", download=True)


def test_both_years_open_by_name(tmp_path, devkit):
    write_voc(devkit / "VOC2011", {"train": IDS})
    spec = DataSpec(name="voc2012", root=devkit, count=1)
    assert [len(open_dataset(spec, split)) for split in ("train", "val")] == [1, 1]
    assert len(open_dataset(spec.model_copy(update={"name": "voc2011", "count": None}), "train")) == 3


@pytest.mark.realdata
def test_the_real_photographs(shared_data):
    sizes = {}
    for split in ("train", "val", "trainval", "seg11valid"):
        data = VOCSegmentation(shared_data / "VOCdevkit", "2012", split)
        sizes[split] = len(data)
        for index in np.linspace(0, len(data) - 1, 8).astype(int):
            sample = data[int(index)]
            assert set(sample.targets["semantic"].unique().tolist()) <= {*range(21), 255}
            assert max(sample.size) <= 500
    assert sizes == {"train": 440, "val": 445, "trainval": 885, "seg11valid": 228}
