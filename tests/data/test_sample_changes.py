"""Crops that hold a class, copy and paste, torchvision's transforms by name: images and masks stay together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from fullconv.data.copy_paste import CopyPaste
from fullconv.data.joint_transform import JointTransform
from fullconv.data.loading import check_augmentation, train_loader
from fullconv.data.named_transforms import GEOMETRIC, PHOTOMETRIC, REFUSED, NamedTransforms
from fullconv.data.sample import IGNORE, Sample
from fullconv.errors import SpecError
from fullconv.labels import LabelSet, voc_colors
from fullconv.spec import AugmentSpec, CopyPasteSpec, DataSpec
from fullconv.spec.recipe import read_recipe

FILL = {"rgb": (7.0, 8.0, 9.0), "hha": (1.0, 2.0, 3.0)}
STEP = 60


def painted(mask: np.ndarray, name: str = "a", own: int = 0) -> Sample:
    """Red and HHA's blue say the label, depth is 1 m and the label, a second head is 9 - label; green is ``own``."""
    red = (STEP * (mask.astype(int) % 4)).astype(np.uint8)
    rgb = np.stack([red, np.full_like(red, own), red // 2], -1)
    depth = (1 + mask % 4).astype(np.float32)
    return Sample.from_arrays(name, {"rgb": rgb, "hha": rgb[..., ::-1], "depth": depth}, {"semantic": mask, "other": 9 - mask})


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def change(sample: Sample, seed: int, **augment: Any) -> Sample:
    return JointTransform(AugmentSpec.model_validate(augment), FILL)(sample, generator(seed))


def assert_together(sample: Sample, masks: bool = True) -> None:
    """Where there is truth, every stream and head says the same; elsewhere is filling."""
    mask = sample.targets["semantic"].numpy()
    inside = mask != IGNORE
    assert np.array_equal(sample.targets["other"].numpy() == IGNORE, ~inside)
    assert np.array_equal(sample.targets["other"].numpy()[inside], 9 - mask[inside])
    assert np.array_equal(sample.inputs["depth"].numpy()[0][inside], 1 + mask[inside] % 4)
    assert (sample.inputs["depth"].numpy()[0][~inside] == 0).all()
    for stream, fill in FILL.items():
        assert (sample.inputs[stream].numpy()[:, ~inside] == np.array(fill)[:, None]).all()


def test_crops_are_centred_on_pixels_of_classes_drawn_evenly() -> None:
    """A class of one pixel in 4000 is in half of the crops, not in one of twenty; ignored pixels are never the centre."""
    mask = np.full((40, 100), IGNORE, np.uint8)
    mask[:, :50], mask[7, 30] = 0, 2
    shown, plain, centres = 0, 0, []
    for seed in range(200):
        crop = change(painted(mask), seed, crop=(9, 9), crop_class=1.0)
        shown += bool((crop.targets["semantic"] == 2).any())
        centres.append(int(crop.targets["semantic"][4, 4]))
        plain += bool((change(painted(mask), seed, crop=(9, 9)).targets["semantic"] == 2).any())
        assert crop.size == (9, 9)
    assert 80 < shown < 125  # each of two classes every second time
    assert plain < 20
    assert sum(label == 2 for label in centres) >= 80  # off the border the pixel is the crop's middle


def test_the_share_of_crops_that_hold_a_class() -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[20, 20] = 1
    shown = [
        sum(
            bool((change(painted(mask), seed, crop=(5, 5), crop_class=share).targets["semantic"] == 1).any())
            for seed in range(200)
        )
        for share in (0.0, 0.5)
    ]
    assert shown[0] < 10
    assert 30 < shown[1] < 70  # half of the crops, in half of which class 1 is drawn


def test_without_any_class_a_crop_lies_anywhere() -> None:
    blank = painted(np.full((30, 30), IGNORE, np.uint8))
    assert change(blank, 0, crop=(8, 8), crop_class=1.0).size == (8, 8)
    small = change(painted(np.ones((4, 5), np.uint8)), 0, crop=(8, 8), crop_class=1.0)
    assert small.targets["semantic"][:4, :5].eq(1).all()
    with pytest.raises(SpecError, match=r"data.augment.crop_class needs the crops it is a share of; set data.augment.crop"):
        read_recipe(
            {"name": "r", "model": {"name": "fcn8s-minivgg"}, "data": {"augment": {"crop_class": 0.5}}, "train": {"stages": [8]}},
            "r",
        )


class Two:
    """A floor without anything, and a floor with a bird of 4x6 pixels and a tree."""

    name = "two"

    def __init__(self, names: Sequence[str] = ("background", "bird", "tree")) -> None:
        labels = LabelSet(tuple(names), voc_colors(3))
        self.labels = {"semantic": labels, "other": labels}
        full = np.zeros((20, 30), np.uint8)
        full[2:6, 3:9], full[12:, 20:] = 1, 2
        full[1, 3:9] = IGNORE
        self.samples = [painted(np.zeros((24, 28), np.uint8), "floor", own=1), painted(full, "full", own=2)]

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def pasted(seed: int, mirror: bool = False, **spec: Any) -> Sample:
    data = Two()
    return CopyPaste(CopyPasteSpec(**{"share": 1.0, "scale": (1, 1)} | spec), data, mirror)(
        data[0], lambda: data[1], generator(seed)
    )


def test_what_is_pasted_comes_whole_with_all_its_streams_and_masks() -> None:
    areas, places = set(), set()
    for seed in range(40):
        found = pasted(seed)
        assert_together(found)
        mask = found.targets["semantic"].numpy()
        areas.add((int((mask == 1).sum()), int((mask == 2).sum())))
        # green says whose pixels these are: the other's exactly where its class is
        assert np.array_equal(found.inputs["rgb"][1].numpy() == 2, mask > 0)
        places.add(tuple(np.argwhere(mask > 0)[0]))
    assert areas == {(24, 0), (0, 80)}  # one class, whole: bird or tree
    assert len(places) > 20


def test_which_classes_are_pasted() -> None:
    assert {int(pasted(seed, classes=("bird",)).targets["semantic"].max()) for seed in range(10)} == {1}
    assert {int((pasted(seed, classes=("background",)).inputs["rgb"][1] == 2).any()) for seed in range(5)} == {1}
    data = Two()
    with pytest.raises(SpecError, match=r"classes names 'bidr', which is no class of the data; did you mean bird\?"):
        CopyPaste(CopyPasteSpec(share=1, classes=("bidr",)), data, False)
    never = CopyPaste(CopyPasteSpec(share=1, classes=("bird",)), data, False)(data[1], lambda: data[0], generator(0))
    assert never is data[1]  # the other has no bird


def test_pasted_things_grow_are_mirrored_and_may_reach_over_the_image() -> None:
    sizes = [int((pasted(seed, classes=("bird",), scale=(0.5, 2)).targets["semantic"] == 1).sum()) for seed in range(30)]
    assert min(sizes) < 12
    assert max(sizes) > 60
    larger = pasted(0, classes=("tree",), scale=(4, 4))
    assert (larger.targets["semantic"] == 2).all()
    assert larger.size == (24, 28)
    assert_together(larger)
    mirrored = [pasted(seed, mirror=True, classes=("bird",)).targets["semantic"].numpy() for seed in range(10)]
    assert all((mask == 1).sum() == 24 for mask in mirrored)


def test_batches_with_all_of_it_are_functions_of_their_seed() -> None:
    augment = {
        "copy_paste": 0.5,
        "flip": True,
        "crop": (16, 16),
        "crop_class": 0.5,
        "transforms": ["RandomVerticalFlip", {"ColorJitter": {"brightness": 0.5}}, {"RandomAffine": {"degrees": 20}}],
    }
    torch.manual_seed(5)
    before = torch.get_rng_state()
    spec = DataSpec(augment=AugmentSpec.model_validate(augment))
    whole = list(train_loader(Two(), spec, 3, seed=1, steps=6))
    again = list(train_loader(Two(), spec, 3, seed=1, start_step=3, steps=3))
    for one, two in zip(whole[3:], again, strict=True):
        assert all(torch.equal(one["inputs"][stream], two["inputs"][stream]) for stream in one["inputs"])
        assert torch.equal(one["targets"]["semantic"], two["targets"]["semantic"])
    assert torch.equal(torch.get_rng_state(), before)
    floors = [batch["targets"]["semantic"][place] for batch in whole for place in range(3) if batch["names"][place] == "floor"]
    assert any(((mask == 1) | (mask == 2)).any() for mask in floors)


@pytest.mark.parametrize(
    "transform",
    [
        {"RandomPerspective": {"distortion_scale": 0.6, "p": 1}},
        {"RandomAffine": {"degrees": 30, "translate": [0.2, 0.2], "shear": 10, "interpolation": "bilinear"}},
        {"RandomRotation": {"degrees": 45}},
        {"ElasticTransform": {"alpha": 40.0}},
        {"RandomZoomOut": {"p": 1}},
        {"RandomCrop": {"size": 9}},
        {"Pad": {"padding": 3}},
        {"RandomVerticalFlip": {"p": 1}},
        {"RandomApply": {"p": 1, "transforms": [{"RandomAffine": {"degrees": 30}}]}},
    ],
    ids=lambda entry: entry if isinstance(entry, str) else next(iter(entry)),
)
def test_transforms_that_move_pixels_move_all_streams_and_masks(transform: Any) -> None:
    mask = np.random.default_rng(0).integers(0, 4, (3, 4)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    different = 0
    for seed in range(3):
        found = change(painted(mask), seed, transforms=[transform])
        assert_together(found)
        different += found.size != (24, 32) or not torch.equal(found.targets["semantic"], torch.from_numpy(mask))
        # the colour is that of its label, but for mixtures at borders
        red, labels = found.inputs["rgb"][0].numpy(), found.targets["semantic"].numpy()
        right = red[labels != IGNORE] == STEP * labels[labels != IGNORE]
        assert right.mean() > 0.5
    assert different


def test_transforms_that_change_values_leave_all_but_rgb() -> None:
    sample = painted(np.eye(16, dtype=np.uint8))
    for name, given in (
        ("GaussianBlur", {"kernel_size": 5, "sigma": 2.0}),
        ("RandomInvert", {"p": 1}),
        ("RandomErasing", {"p": 1}),
    ):
        found = change(sample, 0, transforms=[{name: given}])
        assert not torch.equal(found.inputs["rgb"], sample.inputs["rgb"]), name
        assert torch.equal(found.inputs["hha"], sample.inputs["hha"])
        assert torch.equal(found.inputs["depth"], sample.inputs["depth"])
        assert torch.equal(found.targets["semantic"], sample.targets["semantic"])


NEEDED: dict[str, dict[str, Any]] = {
    "CenterCrop": {"size": 8},
    "Pad": {"padding": 2},
    "RandomAffine": {"degrees": 5},
    "RandomCrop": {"size": 8},
    "RandomRotation": {"degrees": 5},
    "GaussianBlur": {"kernel_size": 3},
    "RandomAdjustSharpness": {"sharpness_factor": 2},
    "RandomPosterize": {"bits": 3},
    "RandomSolarize": {"threshold": 99.0},
    "Grayscale": {"num_output_channels": 3},
}


@pytest.mark.parametrize("name", [*GEOMETRIC, *PHOTOMETRIC])
def test_every_transform_that_is_offered_works(name: str) -> None:
    found = change(painted(np.ones((24, 32), np.uint8)), 0, transforms=[{name: NEEDED.get(name, {})}])
    assert found.inputs["rgb"].dtype == torch.uint8
    assert (found.targets["semantic"] != 0).all()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"GausianBlur": {"kernel_size": 5}}, r"transforms: GausianBlur is not known; did you mean GaussianBlur"),
        ({"GaussianBlur": {"kernelsize": 5}}, r"GaussianBlur has no parameter 'kernelsize' here; did you mean kernel_size\?"),
        ({"GaussianBlur": {"kernel_size": 4}}, r"transforms: GaussianBlur: .*odd"),
        ({"GaussianBlur": {}}, r"transforms: GaussianBlur: .*kernel_size"),
        ({"RandomAffine": {"degrees": 5, "fill": 3}}, r"RandomAffine has no parameter 'fill' here"),
        (
            {"RandomAffine": {"degrees": 5, "interpolation": "cubist"}},
            r"transforms: RandomAffine has no interpolation .cubist.; there are nearest",
        ),
        ({"CutMix": {}}, r"CutMix cannot be used: it mixes the images of a batch"),
        ({"RandAugment": {}}, r"RandAugment cannot be used: it moves what is on an image and leaves the mask"),
        ({"Resize": {"size": 5}}, r"Resize cannot be used: it resizes masks up to half a pixel"),
        ({"Grayscale": {}}, r"Grayscale makes torch.uint8 with 1 channels of uint8 with 3"),
        (
            {"RandomApply": {"transforms": ["RandomInvert", "RandomVerticalFlip"]}},
            r"move pixels and transforms that change values",
        ),
        ({"RandomApply": {"p": 1}}, r"RandomApply has no transforms; give a list of them, and p"),
    ],
)
def test_transforms_that_cannot_be(entry: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        JointTransform(AugmentSpec.model_validate({"transforms": [entry]})).check(painted(np.ones((24, 32), np.uint8)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_torchvisions(name: str) -> None:
    from torchvision.transforms import v2

    assert hasattr(v2, name)
    with pytest.raises(SpecError, match=rf"data.augment.transforms: {name} cannot be used: "):
        NamedTransforms(({name: {}},))


class Bands:
    """One image of any number of bands and any size."""

    name = "bands"

    def __init__(self, height: int, width: int, bands: int = 3) -> None:
        self.labels = {"semantic": LabelSet(("background", "bird", "tree"), voc_colors(3))}
        image = np.random.default_rng(0).integers(0, 255, (height, width, bands), dtype=np.uint8)
        self.sample = Sample.from_arrays("one", {"rgb": image}, {"semantic": np.ones((height, width), np.uint8)})

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self.sample


def loaded(data: Bands, *transforms: Any, **augment: Any) -> Any:
    spec = DataSpec(augment=AugmentSpec.model_validate({"transforms": list(transforms), **augment}))
    return train_loader(
        data, spec, 1, seed=0, steps=3, fill={"rgb": tuple(float(10 + n) for n in range(len(data[0].inputs["rgb"])))}
    )


def test_transforms_are_tried_at_the_size_of_the_training_images() -> None:
    assert [batch["inputs"]["rgb"].shape[-2:] for batch in loaded(Bands(300, 310), {"RandomCrop": {"size": 290}})] == [
        (290, 290)
    ] * 3
    for data, transform, augment, told in (
        (
            Bands(32, 48),
            {"GaussianBlur": {"kernel_size": 101}},
            {},
            r"GaussianBlur \(kernel_size: 101\) .* 32x48 px with 3 channels: ",
        ),
        (Bands(90, 90), {"RandomCrop": {"size": 60}}, {"crop": [20, 20]}, r"RandomCrop \(size: 60\) .* 20x20 px"),
        (Bands(90, 90), {"ElasticTransform": {}}, {"crop": [20, 20]}, r"ElasticTransform cannot change .* 20x20 px"),
        (
            Bands(20, 20),
            {"RandomApply": {"p": 0.01, "transforms": [{"RandomCrop": {"size": 60}}]}},
            {},
            r"RandomApply .* 20x20 px",
        ),
    ):
        with pytest.raises(SpecError, match=r"data.augment.transforms: " + told) as caught:
            loaded(data, transform, **augment)
        assert "\n" not in str(caught.value)


def test_the_first_image_alone_tells_before_anything_else_is_read() -> None:
    augment = AugmentSpec.model_validate({"transforms": [{"RandomGrayscale": {"p": 0.01}}]})
    check_augmentation(Bands(20, 20), augment)
    with pytest.raises(SpecError, match=r"RandomGrayscale \(p: 0.01\) .*20x20 px with 4 channels"):
        check_augmentation(Bands(20, 20, 4), augment)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_fails_in_training_names_the_transform(workers: int) -> None:
    class Uneven(Bands):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Sample:
            return Bands(8, 8).sample if index else self.sample

    spec = DataSpec(augment=AugmentSpec.model_validate({"transforms": [{"RandomCrop": {"size": 30}}]}), workers=workers)
    with pytest.raises(SpecError, match=r"^data.augment.transforms: RandomCrop \(size: 30\) .* 8x8 px") as caught:
        list(train_loader(Uneven(40, 40), spec, 1, seed=0, steps=2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*GEOMETRIC, *PHOTOMETRIC])
def test_four_bands_work_or_are_refused_before_training(name: str) -> None:
    more: dict[str, Any] = {"brightness": 0.5, "saturation": 0.5} if name == "ColorJitter" else dict(NEEDED.get(name, {}))
    given = {name: more}
    if name in (
        "ColorJitter",
        "Grayscale",
        "RandomAdjustSharpness",
        "RandomAutocontrast",
        "RandomGrayscale",
        "RandomPhotometricDistort",
    ):
        with pytest.raises(SpecError, match=rf"data.augment.transforms: {name} .*4 channels"):
            loaded(Bands(40, 40, 4), given)
        return
    for batch in loaded(Bands(40, 40, 4), given):
        outside = batch["targets"]["semantic"][0] == IGNORE
        border = batch["inputs"]["rgb"][0][:, outside].T
        assert torch.equal(border, torch.tensor([[10, 11, 12, 13]], dtype=torch.uint8).expand_as(border))


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_borders_of_the_images_own_pixels_have_their_labels(mode: str) -> None:
    mask = np.random.default_rng(0).integers(0, 4, (12, 16), dtype=np.uint8)
    for transform in ({"Pad": {"padding": 3}}, {"RandomCrop": {"size": [14, 18], "pad_if_needed": True}}):
        ((name, given),) = transform.items()
        found = change(painted(mask), 0, transforms=[{name: {**given, "padding_mode": mode}}])
        assert found.size in ((18, 22), (14, 18))
        assert (found.targets["semantic"] != IGNORE).all()
        assert torch.equal(found.inputs["rgb"][0], STEP * found.targets["semantic"])
        assert_together(found)
    assert_together(change(painted(mask), 0, transforms=[{"RandomCrop": {"size": [14, 18], "pad_if_needed": True}}]))


CONTENT = {"name": "r", "model": {"name": "fcn8s-minivgg"}, "train": {"stages": [8]}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, r"they are a list, such as .*, not 5"),
        ([{"RandomInvert": {}, "RandomCrop": {}}], r"each is one name with parameters, such as"),
        ([5], r"each is one name .*, not 5"),
        ([None], r"each is one name .*, not None"),
        ([{"GaussianBlur": 5}], r"GaussianBlur has its parameters by name, such as \{kernel_size: 5\}, not 5"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_lists_that_are_none(given: Any, message: str, inside: bool) -> None:
    if inside:
        given = [{"RandomApply": {"transforms": given}}]
    where = "data.augment.transforms: " + "RandomApply: " * inside
    with pytest.raises(SpecError, match=where + message) as caught:
        read_recipe({**CONTENT, "data": {"augment": {"transforms": given}}}, "r")
    assert "\n" not in str(caught.value)


def test_short_forms_of_transforms() -> None:
    """A name alone is a list of one, and what holds nothing does nothing."""
    invert: Any = ({"RandomInvert": {}},)
    shorts: Any = ("RandomInvert", ["RandomInvert"], {"RandomInvert": None}, [{"RandomInvert": {}}])
    for given in shorts:
        assert AugmentSpec.model_validate({"transforms": given}).transforms == invert
        held = AugmentSpec.model_validate({"transforms": [{"RandomApply": {"p": 1, "transforms": given}}]})
        sample = painted(np.eye(16, dtype=np.uint8))
        assert torch.equal(JointTransform(held)(sample, generator(0)).inputs["rgb"], 255 - sample.inputs["rgb"])
    empty: Any = {"RandomApply": {"transforms": []}}
    for nothing in ([], [empty], [{"RandomApply": {"transforms": [empty]}}]):
        assert AugmentSpec.model_validate({"transforms": nothing}).transforms == ()


@pytest.mark.parametrize("augment", [{"scale": [2, 0.5]}, {"copy_paste": {"share": 0.5, "scale": [2, 0.5]}}])
def test_ranges_that_fall_are_refused(augment: Any) -> None:
    with pytest.raises(
        SpecError, match=r"scale: .*a range is \[lowest, highest\], and 2 is above 0.5; write \[0.5, 2\]"
    ) as caught:
        read_recipe({**CONTENT, "data": {"augment": augment}}, "r")
    assert "\n" not in str(caught.value)
    assert AugmentSpec.model_validate({"scale": [1.5, 1.5]}).scale == (1.5, 1.5)
