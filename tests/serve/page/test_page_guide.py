"""The guide's loop, as its page has it: train, serve, ask, correct in the page, train again from the model."""

import contextlib
import re
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from tests.serve.page.conftest import serving

from fullconv.cli import main
from fullconv.data import open_dataset
from fullconv.data.scenes.scenes import Scenes
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.spec.recipe import load_recipe

GUIDE = Path(__file__).parents[3] / "docs" / "page.md"
(BLOCK,) = re.findall(r"## From a model to a better one.*?```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
COMMANDS = [shlex.split(line, comments=True) for line in BLOCK.splitlines()]
TINY = ["--model.name", "fcn32s-minivgg", "--train.batch_size", "2", "--train.optimizer.learning_rate", "1e-3"]
TINY += ["--train.stages", "[{stride: 32, steps: 1}]", "--data.augment.crop", "[32, 32]", "--data.workers", "0"]
"""Put to the guide's trainings, which take minutes otherwise."""
HEIGHT, WIDTH = 48, 64


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    scenes = Scenes("train", 4, (HEIGHT, WIDTH))
    palette = scenes.labels["semantic"]
    for index in range(4):
        sample = scenes[index]
        for folder, picture in (
            ("images", Image.fromarray(sample.picture)),
            ("masks", palette.to_image(sample.targets["semantic"].numpy())),
        ):
            path = tmp_path / "photos" / folder / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    (tmp_path / "photos" / "classes.txt").write_text("\n".join(palette.names))
    Image.fromarray(scenes[1].picture).save(tmp_path / "new.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_train_serve_ask_correct_train_again(photos: Path, visit: Callable[..., Page]) -> None:
    assert [command[:2] for command in COMMANDS] == [
        *(["fullconv", verb] for verb in ("init", "train", "serve")),
        ["curl", "-T"],
        *(["fullconv", verb] for verb in ("init", "train")),
    ]
    init, train, serve, curl, init_again, train_again = COMMANDS
    assert main(init[1:]) == 0
    assert main([*train[1:], "--model.weights", "null", *TINY]) == 0
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(serving(run=Path(serve[2])))
        with httpx.Client() as client:
            image = Path(curl[curl.index("-T") + 1]).read_bytes()
            answer = client.post(address + curl[curl.index("POST") + 1].split("/", 3)[3], content=image)
        Path(curl[curl.index("-o") + 1]).write_bytes(answer.raise_for_status().content)
        predicted = np.asarray(Image.open("labels.png"))
        expected = correct_in_the_page(visit(address), predicted, Path("new.jpg"))
    with zipfile.ZipFile("corrections.zip") as packed:
        assert sorted(packed.namelist()) == ["classes.txt", "images/new.jpg", "masks/new.png"]
        assert packed.testzip() is None
        assert packed.read("images/new.jpg") == Path("new.jpg").read_bytes()
        with packed.open("masks/new.png") as file, Image.open(file) as mask:
            assert mask.mode == "P"
            np.testing.assert_array_equal(np.asarray(mask), expected)
            names = load_checkpoint("run/model.safetensors").labels["semantic"]
            assert mask.getpalette() == names.palette
    assert main(init_again[1:]) == 0
    data = load_recipe("corrections.yaml").data
    found = open_dataset(data, data.train)
    truth = found[0].targets["semantic"].numpy()
    learned = np.array([*map(names.names.index, found.labels["semantic"].names), *[255] * (256 - len(found.labels["semantic"]))])
    np.testing.assert_array_equal(learned[truth], expected)
    assert main([*train_again[1:], *TINY]) == 0
    assert Path("better/model.safetensors").is_file()


def correct_in_the_page(page: Page, labels: np.ndarray, photo: Path) -> np.ndarray:
    """Correct with each tool, download, and return what the mask must be then, computed here."""

    def at(x: int, y: int) -> tuple[float, float]:
        box = page.locator("#canvas").bounding_box()  # anew, as the page scrolls to what is clicked
        assert box is not None
        scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
        left, top = box["x"] + (box["width"] - WIDTH * scale) / 2, box["y"] + (box["height"] - HEIGHT * scale) / 2
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    page.set_input_files("#file", photo)
    expect(page.locator("#legend li").first).to_be_visible()
    page.locator("#correct-box summary").click()
    page.locator("#correct").click()
    wanted = labels.copy()
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]

    page.select_option("#paint", "2")
    page.check("input[value=polygon]")
    corners = [(10, 5), (50, 9), (44, 40), (12, 30)]
    for corner in corners:
        page.mouse.click(*at(*corner))
    page.locator("#close-polygon").click()
    wanted[inside(rows, columns, corners)] = 2

    page.select_option("#paint", "1")
    page.check("input[value=brush]")
    page.locator("#brush").fill("70")
    radius = 0.7**2 * WIDTH / 8
    page.mouse.click(*at(30, 20))
    wanted[(rows - 20) ** 2 + (columns - 30) ** 2 <= radius**2] = 1

    page.select_option("#paint", "255")  # what was brushed, as a region, has no ground truth
    page.check("input[value=region]")
    page.mouse.click(*at(30, 20))
    wanted[(rows - 20) ** 2 + (columns - 30) ** 2 <= radius**2] = 255
    page.select_option("#paint", "0")
    page.mouse.click(*at(30, 20))
    page.locator("#undo").click()
    with page.expect_download() as found:
        page.locator("#save-zip").click()
    found.value.save_as("corrections.zip")
    return wanted


def inside(rows: np.ndarray, columns: np.ndarray, corners: list[tuple[int, int]]) -> np.ndarray:
    """Return which pixels lie inside a convex polygon, those on its left and upper sides too, by the signs of cross products."""
    found = np.ones(rows.shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        found &= (x1 - x0) * (rows - y0) - (y1 - y0) * (columns - x0) >= 0
    return found
