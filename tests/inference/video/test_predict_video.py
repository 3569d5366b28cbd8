"""Videos labelled: as many frames, at the same times, through a kill; what is cut short is told."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.errors import DataError, SpecError
from fullconv.inference.predictor import Predictor
from fullconv.inference.video.frames import CutShortError, ImageSequence, VideoFile
from fullconv.inference.video.predict import VideoPlan, predict_video
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.spec import ImageSpec, ModelSpec
from fullconv.spec.image import PLAIN

CLASSES = LabelSet(("background", "cell"))


def picture(number: int, size: tuple[int, int] = (32, 48)) -> np.ndarray:
    """Return a picture that tells its number: a bright column that moves."""
    image = np.full((*size, 3), 40, np.uint8)
    image[:, number * 2 % size[1]] = (250, 200, 20)
    image[: size[0] // 4] = 120
    return image


def write_video(
    path: Path,
    times: list[int],
    size: tuple[int, int] = (32, 48),
    codec: str = "libx264",
    rate: Fraction = Fraction(1, 2),
) -> Path:
    """Write frames that are shown at so many thousandths of a second; the last one for 2000."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"bf": "0"})  # x264 shows the last frame for 1 / rate
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, (begin, end) in enumerate(zip(times, [*times[1:], times[-1] + 2000], strict=True)):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            frame.pts, frame.time_base, frame.duration = begin, Fraction(1, 1000), end - begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turned_left(path: Path) -> Path:
    """Note in a video's header, as a telephone does, that it is to be shown turned by 90 degrees counterclockwise."""
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 44  # a 3x3 matrix in 16.16 bits; the last column, in 2.30 bits, stays
    turn = struct.pack(">9i", 0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:matrix] + turn + content[matrix + len(turn) :])
    return path


def shown(path: Path) -> tuple[list[float], float, tuple[int, int]]:
    """Return when each frame of a video is shown, how long it is, and the size of its frames."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        duration = float(stream.duration * stream.time_base)
        frames = list(container.decode(stream))
    return [frame.time for frame in frames], duration, (frames[0].height, frames[0].width)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn32s-minivgg", hidden_layers=False), 2)
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    return Predictor(model, {"semantic": CLASSES})


UNEVEN = [0, 40, 80, 200, 240, 500, 540, 1000]


def test_frames_keep_their_times_and_labels_are_theirs(predictor: Predictor, tmp_path: Path) -> None:
    source = write_video(tmp_path / "clip.mp4", UNEVEN)
    found = predict_video(predictor, VideoFile(source), tmp_path / "out" / "clip", VideoPlan(("video", "pngs", "areas")))
    assert (found.frames, found.problem) == (8, None)
    assert [path.name for path in found.written] == ["clip.csv", "clip.mp4", "clip", "clip.json"]
    times, duration, size = shown(tmp_path / "out" / "clip.mp4")
    given, whole, _ = shown(source)
    assert times == pytest.approx(given)
    assert given == pytest.approx([time / 1000 for time in UNEVEN])
    assert duration == pytest.approx(whole, abs=0.002)
    assert size == (32, 48)
    with av.open(str(source)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    rows = list(csv.DictReader((tmp_path / "out" / "clip.csv").read_text().splitlines()))
    for number, frame in enumerate(frames):
        labels = np.asarray(Image.open(tmp_path / "out" / "clip" / f"{number:06d}.png"))
        np.testing.assert_array_equal(labels, predictor.predict(frame).labels)
        assert float(rows[number]["seconds"]) == UNEVEN[number] / 1000
        assert int(rows[number]["cell pixels"]) == (labels == 1).sum()
    assert not list((tmp_path / "out").glob(".*"))
    assert predict_video(predictor, VideoFile(source), tmp_path / "out" / "clip", VideoPlan(("video",))).written == []


def _killed(predictor: Predictor, source: Path, result: Path) -> None:
    def kill(done: int, of: int | None) -> None:
        if done == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    predict_video(predictor, VideoFile(source), result, VideoPlan(), kill)


def test_thirty_seconds_through_a_kill(predictor: Predictor, tmp_path: Path) -> None:
    source = write_video(tmp_path / "clip.mp4", [number * 2000 for number in range(15)])
    result = tmp_path / "out" / "clip"
    child = multiprocessing.get_context("fork").Process(target=_killed, args=(predictor, source, result))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".clip.part"]
    seen: list[int] = []
    found = predict_video(predictor, VideoFile(source), result, VideoPlan(), lambda done, of: seen.append(done))
    assert (found.went_on, seen) == (5, list(range(6, 16)))
    times, duration, _ = shown(result.with_suffix(".mp4"))
    assert times == pytest.approx([number * 2 for number in range(15)])
    assert (duration, shown(source)[1]) == (pytest.approx(30, abs=0.002), pytest.approx(30, abs=0.002))


def test_a_telephones_video_is_laid_upright(predictor: Predictor, tmp_path: Path) -> None:
    upright = VideoFile(write_video(tmp_path / "a.mp4", [0, 40]))
    turned = VideoFile(turned_left(write_video(tmp_path / "b.mp4", [0, 40])))
    for plain, frame in zip(upright.frames(), turned.frames(), strict=True):
        np.testing.assert_array_equal(frame.image, np.rot90(plain.image))
    predict_video(predictor, turned, tmp_path / "out", VideoPlan())
    assert shown(tmp_path / "out.mp4")[2] == (48, 32)


def test_frames_of_odd_size_stay_so(predictor: Predictor, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(picture(number, (33, 47))).save(tmp_path / "in" / f"frame{number + 8}.png")
    found = predict_video(predictor, ImageSequence(tmp_path / "in", 12.5, PLAIN), tmp_path / "out", VideoPlan())
    times, duration, size = shown(tmp_path / "out.mp4")
    assert times == pytest.approx([0, 0.08, 0.16])
    assert (found.frames, found.seconds, duration, size) == (3, 0.24, pytest.approx(0.24), (33, 47))


def test_the_labelled_video_shows_the_classes_colors(tmp_path: Path) -> None:
    from fullconv.drawing import painted
    from fullconv.inference.video.writer import video_writer

    source = VideoFile(write_video(tmp_path / "a.mp4", [0, 40, 80]))
    frames = list(source.frames())
    labels = np.zeros((32, 48), np.uint8)
    labels[16:, 24:] = 1
    with video_writer(tmp_path / "out.mp4", source) as add:
        for frame in frames:
            add(painted(frame.image, labels, CLASSES), frame)
    with av.open(str(tmp_path / "out.mp4")) as container:
        found = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    expected = painted(frames[0].image, labels, CLASSES).astype(int)
    assert np.abs(found[24:28, 32:40] - expected[24:28, 32:40]).max() <= 6  # of a plain place: H.264 loses little there


def test_a_video_that_is_cut_short_is_labelled_to_there(predictor: Predictor, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", list(range(0, 4000, 100)), codec="mpeg4", rate=Fraction(10))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        CutShortError, match=r"a.mkv is cut short or damaged.*: it can be read to [012]\.\d\d s of [34]\.\d\d s, \d+ frames"
    ):
        list(VideoFile(path).frames())
    found = predict_video(predictor, VideoFile(path), tmp_path / "out", VideoPlan(("areas",)))
    assert 5 < found.frames < 32
    assert "cut short" in (found.problem or "")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == found.frames + 1
    assert json.loads((tmp_path / "out.json").read_text())["problem"] == found.problem


def test_what_is_no_video_is_told(predictor: Predictor, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [0, 40, 80])
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"a.mp4: cannot be read as a video .* damaged, cut short"):
        VideoFile(path)
    long = write_video(tmp_path / "long.mp4", list(range(0, 2000, 100)), codec="mpeg4", rate=Fraction(10))
    long.write_bytes(long.read_bytes()[: long.stat().st_size * 6 // 10])
    with pytest.raises(DataError, match=r"long.mp4: nothing in this file can be played; it is cut short"):
        VideoFile(long)
    with pytest.raises(DataError, match=r"none.mp4: no such file"):
        VideoFile(tmp_path / "none.mp4")
    with pytest.raises(SpecError, match="does not say how fast they follow each other; give --fps"):
        ImageSequence(tmp_path, None, PLAIN)
    with pytest.raises(SpecError, match="--fps -1 is no number of images a second"):
        ImageSequence(tmp_path, -1, PLAIN)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in this folder"):
        ImageSequence(tmp_path / "empty", 5, PLAIN)
    for number, size in enumerate([(8, 8), (8, 9)]):
        Image.fromarray(picture(number, size)).save(tmp_path / "empty" / f"{number}.png")
    with pytest.raises(DataError, match=r"1.png: 8×9, but 0.png is 8×8"):
        predict_video(predictor, ImageSequence(tmp_path / "empty", 5, PLAIN), tmp_path / "out", VideoPlan())


def test_models_and_results_that_do_not_fit_are_refused(predictor: Predictor, tmp_path: Path) -> None:
    source = VideoFile(write_video(tmp_path / "a.mp4", [0, 40]))
    four = Predictor(
        build_model(ModelSpec(name="fcn32s-minivgg", channels=4), 2), {"semantic": CLASSES}, image=ImageSpec(bands=(1, 2, 3, 4))
    )
    with pytest.raises(SpecError, match="the model reads images of 4 bands, and a video has three"):
        predict_video(four, source, tmp_path / "out", VideoPlan())
    with pytest.raises(SpecError, match="nothing is to be written"):
        predict_video(predictor, source, tmp_path / "out", VideoPlan(()))
    shutil.copyfile(source.path, tmp_path / "out.mp4")
    with pytest.raises(DataError, match=r"out.mp4 was not written by fullconv and would be overwritten"):
        predict_video(predictor, source, tmp_path / "out", VideoPlan())
    predict_video(predictor, source, tmp_path / "out", VideoPlan(overwrite=True))
    with pytest.raises(DataError, match=r"out.json tells of weights , and now with weights 1; choose another --out"):
        predict_video(predictor, source, tmp_path / "out", VideoPlan(weights="1"))
