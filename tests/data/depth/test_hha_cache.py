"""HHA pictures that are kept in a folder, and the data sets that give them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import open_dataset
from fullconv.data.depth.hha import hha
from fullconv.data.depth.hha_cache import KeptHHA
from fullconv.data.depth.intrinsics import NYUD, Intrinsics
from fullconv.data.scenes.scenes import Scenes
from fullconv.errors import DataError
from fullconv.spec import DataSpec

SIZE = 40, 56


def room() -> np.ndarray:
    """A floor 1.2 m below the camera up to a wall 4 m ahead."""
    camera = NYUD.scaled(SIZE)
    down = (np.arange(SIZE[0]) - camera.cy) / camera.fy
    floor = np.where(down > 0, 1.2 / np.maximum(down, 1e-6), np.inf)
    return np.repeat(np.minimum(floor, 4)[:, None], SIZE[1], 1).astype(np.float32)


def test_a_picture_is_encoded_once(tmp_path: Path) -> None:
    kept, camera, asked = KeptHHA(tmp_path / "hha"), NYUD.scaled(SIZE), []

    def depth() -> np.ndarray:
        asked.append(1)
        return room()

    first, second = (kept.image("img_5001", depth, camera, SIZE) for _ in range(2))
    np.testing.assert_array_equal(first, hha(room(), camera))
    np.testing.assert_array_equal(first, second)
    assert len(asked) == 1
    assert [path.name for path in (tmp_path / "hha").iterdir()] == ["img_5001.png"]
    np.testing.assert_array_equal(KeptHHA(None).image("img_5001", depth, camera, SIZE), first)
    assert len(asked) == 2


def test_an_image_of_another_camera_or_depth_is_made_again_and_one_that_says_nothing_is_taken(tmp_path: Path) -> None:
    kept, wide = KeptHHA(tmp_path), Intrinsics(30, 30, 28, 20, SIZE)
    first = kept.image("a", room, NYUD.scaled(SIZE), SIZE, "1")
    np.testing.assert_array_equal(kept.image("a", room, wide, SIZE, "1"), hha(room(), wide))
    np.testing.assert_array_equal(kept.image("a", lambda: room() * 2, wide, SIZE, "1"), hha(room(), wide))
    np.testing.assert_array_equal(kept.image("a", lambda: room() * 2, wide, SIZE, "2"), hha(room() * 2, wide))
    Image.fromarray(first).save(tmp_path / "a.png")
    np.testing.assert_array_equal(kept.image("a", room, wide, SIZE, "2"), first)


def test_kept_pictures_that_do_not_fit(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    with pytest.raises(
        DataError, match=r"a.png has 6x8 pixels and the frame 40x56 .*delete it, or name another folder as data.hha"
    ):
        KeptHHA(tmp_path).image("a", room, NYUD.scaled(SIZE), SIZE)
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"b.png: cannot be read"):
        KeptHHA(tmp_path).image("b", room, NYUD.scaled(SIZE), SIZE)
    with pytest.raises(DataError, match=r"c: a depth map of 40x56 with nothing but holes"):
        KeptHHA(tmp_path).image("c", lambda: np.zeros(SIZE, np.float32), NYUD.scaled(SIZE), SIZE)
    assert not (tmp_path / "c.png").exists()


def test_scenes_bring_depth_and_hha() -> None:
    scenes = Scenes("val", count=2, size=(48, 64), streams=("hha", "rgb", "depth"))
    sample, scene = scenes[1], scenes.scene(1)
    assert list(sample.inputs) == ["hha", "rgb", "depth"]
    np.testing.assert_array_equal(sample.inputs["depth"].numpy()[0], scene.depth)
    expected = hha(scene.depth, Intrinsics.from_matrix(scene.intrinsics, (48, 64)), scene.gravity)
    np.testing.assert_array_equal(sample.inputs["hha"].numpy().transpose(1, 2, 0), expected)
    with pytest.raises(DataError, match=r"scenes have no stream 'infrared'; they have rgb, depth, hha"):
        Scenes("val", streams=("infrared",))


def test_scenes_are_opened_with_the_streams_of_the_spec() -> None:
    spec = DataSpec(count=1, size=(32, 32), streams=("rgb", "hha"))
    assert list(open_dataset(spec, "train")[0].inputs) == ["rgb", "hha"]


@pytest.mark.realdata
def test_nyudv2_gives_hha_at_half_size(shared_data: Path, tmp_path: Path) -> None:
    spec = DataSpec(name="nyudv2", root=shared_data / "nyudv2", val_count=1, streams=("rgb", "hha"), scale=0.5, hha=tmp_path)
    sample = open_dataset(spec, "test")[0]
    assert sample.inputs["hha"].shape == sample.inputs["rgb"].shape == (3, 240, 320)
    with Image.open(tmp_path / f"img_{sample.name}.png") as kept:
        assert kept.size == (640, 480)
    assert 60 < sample.inputs["hha"][2].float().mean() < 200  # degrees + 38
