"""Facts against independent counts; in one process and in several; sound folders of any make are left in peace."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from planted import LABELS, SIZE, Folder, mask, photograph, to_palette
from rich.console import Console

from fullconv.data.folder.folder import open_folder
from fullconv.data.folder.guess import guess_spec
from fullconv.data.mask_runs import Runs, inner
from fullconv.data.sample import SEMANTIC
from fullconv.doctor import examine, facts
from fullconv.doctor.sources import open_sources, read_target
from fullconv.errors import DataError, SpecError
from fullconv.labelmap import code_of_color
from fullconv.spec import DataSpec

CODES = hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 4))


@given(CODES)
def test_runs_count_like_unique(codes: np.ndarray) -> None:
    runs = Runs.of(codes)
    values, counts = np.unique(codes, return_counts=True)
    assert runs.codes.tolist() == values.tolist()
    assert runs.pixels.tolist() == counts.tolist()
    assert runs.edges == int((codes[:, 1:] != codes[:, :-1]).sum())


@given(CODES)
def test_blended_runs_and_inner_pixels_are_those_of_a_loop(codes: np.ndarray) -> None:
    blends = 0
    for row in codes.tolist():
        lengths: list[list[int]] = []
        for code in row:
            if lengths and lengths[-1][0] == code:
                lengths[-1][1] += 1
            else:
                lengths.append([code, 1])
        for (a, _), (code, length), (c, _) in zip(lengths, lengths[1:], lengths[2:], strict=False):
            blends += length <= 2 and min(a, c) < code < max(a, c)
    assert Runs.of(codes).blends() == blends
    alike = [
        codes[y, x]
        for y in range(1, codes.shape[0] - 1)
        for x in range(1, codes.shape[1] - 1)
        if codes[y - 1, x] == codes[y + 1, x] == codes[y, x - 1] == codes[y, x + 1] == codes[y, x]
    ]
    assert inner(codes).tolist() == alike


def test_colours_blend_in_every_channel() -> None:
    def blends(*colors: tuple[int, int, int]) -> int:
        return Runs.of(np.array([[code_of_color(color) for color in colors]])).blends()

    assert blends((0, 0, 0), (100, 0, 50), (200, 0, 90)) == 1
    assert blends((0, 0, 0), (100, 1, 50), (200, 0, 90)) == 0


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sides=st.tuples(st.integers(24, 70), st.integers(24, 70)),
    values=st.lists(st.integers(0, 254), min_size=2, max_size=5, unique=True),
    stored=st.sampled_from(["grey", "palette", "colours", "RGB of grey"]),
    suffix=st.sampled_from([".jpg", ".png", ".bmp"]),
    seed=st.integers(0, 10**6),
)
def test_sound_folders_are_left_in_peace(
    tmp_path_factory: pytest.TempPathFactory, sides: tuple[int, int], values: list[int], stored: str, suffix: str, seed: int
) -> None:
    root = tmp_path_factory.mktemp("sound")
    rng = np.random.default_rng(seed)
    table = rng.permutation(256)[:255, None].repeat(3, 1).astype(np.uint8)
    table = np.vstack([table, np.full((1, 3), 7, np.uint8)]) ^ np.arange(3, dtype=np.uint8)
    for number in range(6):
        labels = np.full(sides, values[0], np.uint8)
        for place, value in enumerate(values):  # bands, each wider than what smoothing leaves
            labels[:, place * sides[1] // len(values) :] = value
        image = {
            "grey": Image.fromarray(labels),
            "palette": to_palette(labels),
            "colours": Image.fromarray(table[labels]),
            "RGB of grey": Image.fromarray(labels).convert("RGB"),
        }[stored]
        for kind, picture, ending in (("images", photograph(seed + number, sides), suffix), ("masks", image, ".png")):
            path = root / kind / ("train" if number < 4 else "val") / f"{number}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    named = {f"class {v}": {"color": table[v].tolist()} if stored == "colours" else v for v in values}
    found = examine(DataSpec(name="folder", root=root, labels=named))
    assert found.of("error") + found.of("warning") == []


def test_the_survey_counts_by_class(folder: Folder) -> None:
    found = folder.examine(labels={"ground": 0, "thing": "1, 2", "sea": 4, "void": "ignore"})
    survey = found.surveys[0]
    truth = np.stack([mask(number) for number in range(10)])
    assert survey.pixels == {value: int((truth == value).sum()) for value in (0, 1, 2, 255)}
    assert survey.missing == ["sea"]
    thing = int(np.isin(truth, (1, 2)).sum())
    assert survey.classes()["thing"] == {"pixels": thing, "masks": 10}
    console = Console(width=120)
    with console.capture() as capture:
        console.print(found.classes())
    rows = [line.replace("│", " ").split() for line in capture.get().splitlines()]
    assert ["thing", "1,", "2", f"{thing:,}", f"{100 * thing / truth.size:.2f}", "10"] in [row[:6] for row in rows]


def test_masks_are_counted_where_any_value_of_a_class_occurs(folder: Folder) -> None:
    for number in range(14):
        Image.fromarray(np.full(SIZE, number % 3, np.uint8)).save(folder.mask(number))
    survey = folder.examine(labels={"even": [0, 2], "odd": 1}).surveys[0]
    assert survey.classes()["even"]["masks"] == 7


def test_several_processes_find_what_one_finds(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mask(3).write_bytes(b"x")
    sources = open_sources(folder.spec())
    alone = facts.scan(sources)
    monkeypatch.setattr(facts, "ALONE", 0)
    monkeypatch.setattr(facts, "CHUNK", 3)
    monkeypatch.setattr(facts, "_cores", lambda: 2)
    steps: list[tuple[int, int]] = []
    together = facts.scan(sources, lambda done, of: steps.append((done, of)))
    assert [(a.name, a.mask) for a in together] == [(a.name, a.mask) for a in alone]
    assert all((a.image.thumbnail == b.image.thumbnail).all() for a, b in zip(together, alone, strict=True))  # type: ignore[union-attr]
    assert steps[-1] == (14, 14)


def test_a_folder_without_a_recipe_is_guessed(folder: Folder) -> None:
    (folder.root / "classes.txt").write_text("ground\nhouse\ncar\n")
    folder.mask(0).write_bytes(b"x")
    folder.image(1).unlink()
    folder.mask(2).unlink()
    spec = guess_spec(folder.root)
    assert spec.labels == LABELS
    assert open_folder(spec, "val")[0].targets[SEMANTIC].unique().tolist() == [0, 1, 2, 255]
    assert sorted(f.kind for f in examine(spec).of("error")) == ["images without mask", "unreadable masks"]


def test_specks_are_no_classes_of_a_guess(folder: Folder) -> None:
    for number in range(14):
        sharp = Image.fromarray(np.where(mask(number) == 1, 255, 0).astype(np.uint8))
        sharp.resize((640, 480), Image.Resampling.NEAREST).resize((64, 48), Image.Resampling.BOX).resize(
            (66, 50), Image.Resampling.BILINEAR
        ).save(folder.mask(number))
        photograph(number, (50, 66)).save(folder.image(number))
    spec = guess_spec(folder.root)
    assert spec.labels == {"background": "0-127", "foreground": "128-255"}
    found = examine(spec)
    assert [(f.level, f.kind, f.count) for f in found.of("error") + found.of("warning")] == [("warning", "smooth borders", 14)]


def test_what_a_target_may_be(folder: Folder, tmp_path: Path) -> None:
    assert read_target("voc2012", tmp_path) == DataSpec(name="voc2012", root=tmp_path)
    assert read_target("scenes-fcn8s-minivgg", None).count == 1000
    assert read_target(str(folder.root), None).root == folder.root
    with pytest.raises(
        SpecError, match=r"nothing is no data set \(scenes, voc2011, voc2012, .*kvasir\), no folder and no recipe"
    ):
        read_target("nothing", None)
    with pytest.raises(SpecError, match="is a folder itself; --root"):
        read_target(str(folder.root), tmp_path)
    with pytest.raises(DataError, match="no folder is given"):
        examine(DataSpec(name="folder", labels=LABELS))
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(SpecError, match="is not YAML"):
        read_target(str(tmp_path / "bad.yaml"), None)


def test_rendered_scenes_are_sound() -> None:
    found = examine(DataSpec(name="scenes", count=12, val_count=6, size=(48, 64)))
    assert found.of("error") + found.of("warning") == []
    assert found.pairs == {"train": 12, "val": 6}


@pytest.mark.realdata
def test_voc_is_sound(shared_data: Path) -> None:
    found = examine(DataSpec(name="voc2012", root=shared_data / "VOCdevkit"))
    assert [finding.what for finding in found.of("error") + found.of("warning")] == []
    assert found.pairs == {"train": 440, "val": 445}
    assert found.surveys[0].missing == ["aeroplane", "bicycle", "motorbike", "train"]
