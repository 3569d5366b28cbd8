"""HHA of worlds whose heights and angles are known by hand, of Scenes, and of a real frame beside its published picture."""

import io

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin
from pinhole import rays, turned

from fullconv.data.depth.depth import read_depth
from fullconv.data.depth.hha import ANGLE_RADIUS, hha
from fullconv.data.depth.intrinsics import NYUD, Intrinsics
from fullconv.data.depth.normals import surface_normals
from fullconv.data.scenes.scenes import SEMANTIC, render
from fullconv.errors import DataError

CAMERA = Intrinsics(fx=70, fy=75, cx=30.2, cy=24.6, size=(48, 64))
FLOOR, WALL, CEILING = 38, 128, 218


def plane(normal, distance, camera=CAMERA):
    """Depth float32 (H, W) of the plane ``normal · p = distance`` (camera axes); 0 where a ray misses or grazes it."""
    facing = np.tensordot(normal, rays(camera), 1)
    hit = facing > 0.03
    return np.divide(distance, facing, out=np.zeros(camera.size), where=hit).astype(np.float32)


def nearest(*depths):
    """The depth of what is in front, and which of them it is (-1: none)."""
    all_depths = np.stack([np.where(depth > 0, depth, np.inf) for depth in depths])
    front = all_depths.min(0)
    return np.where(np.isfinite(front), front, 0).astype(np.float32), np.where(np.isfinite(front), all_depths.argmin(0), -1)


def inside(mask, margin=ANGLE_RADIUS):
    """Where the whole window round a pixel lies in the mask."""
    padded = np.pad(mask, margin, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * margin + 1,) * 2)
    return windows.all((2, 3))


@given(pitch=st.floats(0, 40), roll=st.floats(-30, 30), height=st.floats(0.91, 2.5))
def test_a_floor_has_height_0_and_angle_0_from_any_camera(pitch, roll, height):
    depth = plane(turned(pitch, roll)[:, 1], height)
    seen = depth > 0
    assume(seen.sum() > 300)
    found = hha(depth, CAMERA)
    assert (found[seen][:, 1] == 0).all()
    assert (found[seen][:, 2] == FLOOR).all()
    np.testing.assert_allclose(found[seen][:, 0], np.minimum(310 / np.maximum(depth[seen], 1), 255), atol=0.501)


@given(pitch=st.floats(-20, 35), roll=st.floats(-20, 20), height=st.floats(0.95, 1.6), room=st.floats(2.4, 3.0))
def test_a_room_of_known_height_and_angles(pitch, roll, height, room):
    axes = turned(pitch, roll).T  # rows: the world's right, down and ahead
    depth, surface = nearest(
        plane(axes[1], height), plane(-axes[1], room - height), plane(axes[2], 4), plane(axes[0], 2), plane(-axes[0], 2)
    )
    assume((surface == 0).any())
    below = 100 * np.tensordot(axes[1], rays(CAMERA), 1) * depth  # centimetres
    found = hha(depth, CAMERA, gravity=axes[1]).astype(int)
    np.testing.assert_allclose(found[..., 1], np.minimum(100 * height - below, 255), atol=0.51)
    for number, angle in enumerate([FLOOR, CEILING, WALL, WALL, WALL]):
        assert (found[inside(surface == number), 2] == angle).all()


@settings(max_examples=25)
@given(pitch=st.floats(-20, 20), roll=st.floats(-20, 20))
def test_without_a_given_gravity_a_room_looks_the_same(pitch, roll):
    camera = Intrinsics(fx=90, fy=90, cx=79.5, cy=59.5, size=(120, 160))
    axes = turned(pitch, roll).T
    planes = (axes[1], 1.3), (-axes[1], 1.2), (axes[2], 3), (axes[0], 2), (-axes[0], 2)
    depth, surface = nearest(*(plane(normal, distance, camera) for normal, distance in planes))
    angle = hha(depth, camera)[..., 2].astype(int)
    for number, expected in enumerate([FLOOR, CEILING, WALL, WALL, WALL]):
        assert np.abs(angle[inside(surface == number)] - expected).max(initial=0) <= 1


@pytest.mark.parametrize("slope", [10, 30, 45, 60, 89])
def test_a_ramp_shows_its_slope(slope):
    down = np.array([0.0, 1, 0])
    s = np.radians(slope)
    depth = plane(np.array([0, np.cos(s), np.sin(s)]), 1.5)
    found = hha(depth, CAMERA, gravity=down)
    assert (found[depth > 0][:, 2] == FLOOR + slope).all()


@pytest.mark.parametrize(("below", "shown"), [(0.5, 130 - 50), (0.89, 130 - 89), (0.91, 0), (2.0, 0)])
def test_what_lies_less_than_90_cm_below_is_a_table_130_cm_below_is_the_floor(below, shown):
    found = hha(plane(np.array([0, 0.8, 0.6]), below), CAMERA, gravity=(0, 0.8, 0.6))
    assert (found[..., 1] == shown).all()


@pytest.mark.parametrize(("metres", "shown"), [(0.3, 255), (1.0, 255), (1.25, 248), (3.1, 100), (31.0, 10)])
def test_disparity(metres, shown):
    found = hha(np.full(CAMERA.size, metres, np.float32), CAMERA, gravity=(0, 1, 0))
    assert (found[..., 0] == shown).all()


@pytest.mark.parametrize("hole", [0, np.nan, np.inf])
def test_holes_are_as_the_reference_marks_a_depth_of_0(hole):
    depth = plane(np.array([0, 0.8, 0.6]), 1.5)
    whole = hha(depth, CAMERA)
    known = np.ones(CAMERA.size, bool)
    known[5, 5] = known[20:30, 20:30] = False
    found = hha(np.where(known, depth, np.float32(hole)), CAMERA)
    np.testing.assert_array_equal(found[known], whole[known])
    assert found[5, 5].tolist() == [255, 150, FLOOR]  # nearest, at the camera, as what is around it
    assert found[25, 25].tolist() == [255, 150, CEILING]


def test_mirrored_frames_are_mirrored_pictures():
    axes = turned(20, 12).T
    depth, _ = nearest(plane(axes[1], 1.3), plane(axes[2], 3), plane(axes[0], 1))
    plain, mirrored = hha(depth, CAMERA), hha(depth[:, ::-1], CAMERA.mirrored())
    np.testing.assert_array_equal(plain, mirrored[:, ::-1])
    assert (hha(depth[:, ::-1], CAMERA) != plain[:, ::-1]).any()


def test_one_scene_stored_in_three_units_is_one_picture(tmp_path):
    axes = turned(20, 12).T
    depth, _ = nearest(plane(axes[1], 1.3), plane(axes[2], 3), plane(axes[0], 1))
    whole = np.round(depth * 1000).astype(np.float64)
    pictures = []
    for unit, values in {"metres": whole / 1000, "centimetres": whole / 10, "millimetres": whole}.items():
        np.save(tmp_path / "depth.npy", values)
        pictures.append(hha(read_depth(tmp_path / "depth.npy", unit), CAMERA))
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_short_floats_are_computed_with_in_full(dtype):
    depth = plane(turned(20, 12)[:, 1], 1.5).astype(dtype)
    np.testing.assert_array_equal(hha(depth, CAMERA), hha(depth.astype(np.float64), CAMERA))


def test_a_view_resized_has_the_same_heights_and_angles():
    large = CAMERA.scaled((96, 128))
    found = hha(plane(np.array([0, 0.8, 0.6]), 1.5, large), large)
    assert (found[..., 1] == 0).all()
    assert (found[..., 2] == FLOOR).all()
    again = large.scaled(CAMERA.size)
    np.testing.assert_allclose([again.fx, again.fy, again.cx, again.cy], [70, 75, 30.2, 24.6])


@pytest.mark.parametrize("index", range(6))
def test_scenes_have_depth_along_the_axis_and_the_gravity_they_say(index):
    scene = render(seed=0, split="val", index=index, size=(96, 128))
    camera = Intrinsics.from_matrix(scene.intrinsics, (96, 128))
    known = scene.depth > 0
    normals = surface_normals(scene.depth, known, camera, ANGLE_RADIUS)
    floor = inside((scene.semantic == SEMANTIC.names.index("floor")) & known)
    assert floor.any()
    np.testing.assert_allclose(np.tensordot(scene.gravity, normals, 1)[floor], 1, atol=1e-5)
    found = hha(scene.depth, camera, gravity=scene.gravity)[floor]
    assert (found[:, 2] == FLOOR).all()
    assert (found[:, 1] == 0).all()


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (np.ones((3, 48, 64)), r"floating point array \(H, W\) in metres; got float64 \(3, 48, 64\)"),
        (np.ones((48, 64), np.uint16), r"floating point array \(H, W\) in metres; got uint16 \(48, 64\)"),
        (np.zeros((48, 64)), "nothing but holes"),
        (np.full((48, 64), 1500.0), "looks like millimetres taken for metres"),
        (np.ones((24, 32)), r"for images of 48x64 and the depth is 24x32 .* intrinsics\.scaled\(\(24, 32\)\)"),
    ],
)
def test_what_is_no_depth_for_this_camera_is_refused(depth, message):
    with pytest.raises(DataError, match=message):
        hha(depth, CAMERA)


def test_without_a_camera_or_with_a_matrix_it_is_refused():
    for camera in (None, np.eye(3)):
        with pytest.raises(DataError, match=r"needs the camera's Intrinsics\(fx, fy, cx, cy, size\), such as .*NYUD"):
            hha(np.ones((4, 4)), camera)


@pytest.mark.parametrize("gravity", [(0, 9.81, 0), (0, 0, 0), (0, 1), np.full(3, np.nan)])
def test_gravity_is_a_unit_vector(gravity):
    with pytest.raises(DataError, match="gravity must be a unit vector"):
        hha(np.ones(CAMERA.size), CAMERA, gravity)


def test_a_few_pixels_are_too_few_for_gravity_but_not_for_hha():
    depth = np.zeros(CAMERA.size)
    depth[20, 20] = 2
    with pytest.raises(DataError, match="0 are too few"):
        hha(depth, CAMERA)
    assert hha(depth, CAMERA, gravity=(0, 1, 0))[20, 20].tolist() == [155, 142, CEILING]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0, 1, 0, 0), "focal lengths"), ((1, -1, 0, 0), "focal lengths"), ((1, 1, np.nan, 0), "must be finite")],
)
def test_impossible_cameras_are_refused(numbers, message):
    with pytest.raises(DataError, match=message):
        Intrinsics(*numbers, size=(4, 4))


@pytest.mark.parametrize("matrix", [np.eye(2), [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]], np.eye(3).T * 2])
def test_other_matrices_are_refused(matrix):
    with pytest.raises(DataError, match="a camera matrix is"):
        Intrinsics.from_matrix(matrix, (4, 4))


@pytest.mark.realdata
def test_the_published_picture(shared_data):
    folder = shared_data / "nyudv2_sample"
    published = Image.open(folder / "hha.jpg")
    found = hha(read_depth(folder / "depth.npy", "metres"), NYUD)
    # JPEG alone changes ours by 0.87, 0.56, 2.75; so ours goes through the same JPEG before it is compared
    stored = io.BytesIO()
    Image.fromarray(found).save(
        stored, "JPEG", qtables=published.quantization, subsampling=JpegImagePlugin.get_sampling(published)
    )
    truth = np.array(published, int)
    plain, alike = (np.abs(picture.astype(int) - truth) for picture in (found, np.array(Image.open(stored))))
    assert (plain.mean((0, 1)) < [0.87, 0.57, 2.6]).all()
    assert (alike.mean((0, 1)) < [0.32, 0.34, 1.2]).all()
    assert (alike.max((0, 1)) <= [8, 5, 16]).all()


@pytest.mark.realdata
def test_the_same_frame_mirrored_and_in_eight_bits(shared_data):
    published = np.array(Image.open(shared_data / "nyudv2_sample" / "hha.jpg"), int)
    depth = read_depth(shared_data / "nyudv2" / "depths" / "0.png", 1 / 25.5)
    apart = np.abs(hha(depth, NYUD.mirrored())[:, ::-1].astype(int) - published).mean((0, 1))
    assert (apart < [1.2, 0.85, 7.2]).all()  # steps of 4 cm show in the angle
