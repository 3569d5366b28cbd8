"""The page in a real browser, against a real service: what it shows and saves is what ``fullconv predict`` writes."""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from tests.serve.page.conftest import check_access

from fullconv.cli import main
from fullconv.data.scenes.scenes import render
from fullconv.inference.load import load
from fullconv.nn.assemble import build_on_meta
from fullconv.nn.backbones import BACKBONES
from fullconv.serve.app import PAGE
from fullconv.spec import ModelSpec

SIZE = 48, 64
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "scene.png"
    Image.fromarray(render(0, "test", 3, SIZE).image).save(path)
    return path


def open_photo(page: Page, photo: Path) -> None:
    page.set_input_files("#file", photo)
    expect(page.locator("#legend li").first).to_be_visible()


def drop(page: Page, name: str, content: bytes, kind: str = "drop") -> None:
    """Let a file fall onto the page, as from the desktop; or paste it."""
    page.evaluate(
        """([kind, name, content]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0)), data = new DataTransfer();
            data.items.add(new File([bytes], name, { type: 'image/png' }));
            const how = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
            const event = kind === 'drop' ? new DragEvent(kind, how) : new ClipboardEvent(kind, how);
            document.getElementById('stage').dispatchEvent(event);
        }""",
        [kind, name, base64.b64encode(content).decode()],
    )


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as found:
        page.locator(button).click()
    return found.value.path().read_bytes()


def on_screen(page: Page, x: int, y: int) -> tuple[float, float]:
    """Return where the middle of a pixel of the image lies, from the sizes alone: the image fills the stage one way."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    scale = min(box["width"] / SIZE[1], box["height"] / SIZE[0])
    left, top = (box["width"] - SIZE[1] * scale) / 2, (box["height"] - SIZE[0] * scale) / 2
    return box["x"] + left + (x + 0.5) * scale, box["y"] + top + (y + 0.5) * scale


def shown(page: Page, x: int, y: int) -> np.ndarray:
    """Return the colour of a pixel of the image on the screen."""
    with Image.open(io.BytesIO(page.screenshot())) as screen:
        return np.asarray(screen.convert("RGB"))[tuple(int(part) for part in reversed(on_screen(page, x, y)))].astype(int)


def test_drop_overlay_toggle_hover_download(service: str, visit: Visit, photo: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert main(["predict", str(checkpoint), str(photo), "--out", str(tmp_path)]) == 0
    predictor = load(checkpoint)
    found, names = predictor.predict(str(photo), probabilities=True), predictor.labels["semantic"].names
    image, labels = np.asarray(Image.open(photo)), np.asarray(Image.open(tmp_path / "scene.png"))
    page = visit(service)
    drop(page, photo.name, photo.read_bytes())
    legend = page.locator("#legend li")
    present = np.unique(labels)
    expect(legend).to_have_count(len(present))
    for label in present:
        expect(page.locator("#legend")).to_contain_text(f"{names[label]}")
        expect(page.locator("#legend")).to_contain_text(f"{(labels == label).sum():,} px")

    # a pixel whose neighbours are of its class: the browser smooths the image when it is drawn larger
    y, x = next((y, x) for y in range(2, 46) for x in range(2, 62) if len(np.unique(labels[y - 2 : y + 3, x - 2 : x + 3])) == 1)
    page.mouse.move(*on_screen(page, x, y))
    sure = found.confidence()[y, x]
    expect(page.locator("#readout")).to_have_text(f"x {x}, y {y} · {names[labels[y, x]]}, {sure:.0%} sure".replace("%", " %"))
    page.mouse.wheel(0, -400)  # the pixel under the pointer stays there
    page.mouse.move(*on_screen(page, x, y), steps=2)
    expect(page.locator("#readout")).to_contain_text(f"x {x}, y {y} · ")
    page.locator("#zoom-fit").click()

    box = page.locator(f'#legend input[data-label="{labels[y, x]}"]')
    if not box.is_checked():  # what is left over is not drawn at first
        box.check()
    color = np.array(predictor.labels["semantic"].colors[labels[y, x]])
    np.testing.assert_allclose(shown(page, x, y), 0.55 * color + 0.45 * image[y, x], atol=12)
    box.uncheck()
    np.testing.assert_allclose(shown(page, x, y), image[y, x], atol=12)

    page.locator("#save-box summary").click()
    assert saved(page, "#save-labels") == (tmp_path / "scene.png").read_bytes()
    page.locator("#all").click()
    page.check("input[value=classes]")
    with Image.open(io.BytesIO(saved(page, "#save-view"))) as view:
        np.testing.assert_array_equal(np.asarray(view.convert("RGB")), predictor.labels["semantic"].colorize(labels))
    page.select_option("#polygons", "coco")
    told = json.loads(saved(page, "#save-json"))
    assert {entry["name"]: entry["pixels"] for entry in told["classes"] if entry["pixels"]} == {
        names[label]: int((labels == label).sum()) for label in present
    }
    assert told["polygons"]["annotations"]
    page.check("input[value=overlay]")
    page.select_option("#other", "image")  # classes on the left of the line, the image alone on the right
    for share, wanted in ((100, 0.55 * color + 0.45 * image[y, x]), (0, image[y, x])):
        page.locator("#swipe").fill(str(share))
        np.testing.assert_allclose(shown(page, x, y), wanted, atol=12)
    page.select_option("#other", label="again")  # the same model, so nothing differs: dark everywhere
    page.check("input[value=differences]")
    with Image.open(io.BytesIO(saved(page, "#save-view"))) as view:
        np.testing.assert_allclose(np.asarray(view.convert("RGB")), image * (1 - 110 / 255), atol=2)


def test_one_request_for_each_file_then_the_keyboard_alone(service: str, visit: Visit, photo: Path) -> None:
    page = visit("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(service)
    expect(page.locator("#status")).to_have_text("Ready.")
    own = [address.removeprefix(service) for address in asked]
    assert [name for name in own if not name.startswith(("v1/", "data:"))] == ["", "page/style.css", "page/app.js"]
    with page.expect_file_chooser() as chooser:
        reach(page, "choose")
        page.keyboard.press("Enter")
    chooser.value.set_files(photo)
    expect(page.locator("#legend li").first).to_be_visible()
    reach(page, "canvas")
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator("#readout")).to_contain_text(re.compile(r"x \d+, y \d+ · \w+"))
    expect(page.locator("#status")).to_contain_text("sure")  # read out when the cross rests
    page.keyboard.press("o")
    expect(page.locator("#outlines")).to_be_checked()
    reach(page, "correct-box")
    page.keyboard.press("Enter")
    reach(page, "correct")
    page.keyboard.press("Enter")
    before = page.locator("#legend").inner_text()
    page.locator("#paint").press("End")  # no ground truth
    page.locator("#canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator("#legend")).to_contain_text("no ground truth")
    page.keyboard.press("Control+z")
    expect(page.locator("#legend")).to_have_text(before, use_inner_text=True)


def reach(page: Page, wanted: str) -> None:
    """Press Tab until something has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id || document.activeElement.parentElement?.id") == wanted:
            return
    raise AssertionError(f"Tab does not lead to {wanted}")


def test_nothing_keeps_people_out(service: str, visit: Visit, photo: Path) -> None:
    """axe-core in light and dark, while correcting and in the explorer; and the width of a telephone."""
    page = visit(service, 393, 727, has_touch=True, is_mobile=True)
    open_photo(page, photo)
    for summary in ("#correct-box summary", "#save-box summary", "#correct"):
        page.locator(summary).tap()
    check_access(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 393
    small = page.locator("button:visible, summary:visible").evaluate_all(
        "all => all.filter((one) => one.getBoundingClientRect().height < 24).map((one) => one.textContent)"
    )
    assert small == []
    page.locator("#theme").tap()
    page.locator("[data-room=explorer]").tap()
    expect(page.locator("#layers tbody tr").first).to_be_visible()
    expect(page.locator("#place")).to_contain_text("depends on")
    check_access(page)


def test_explorer_shows_the_geometry(service: str, visit: Visit, photo: Path) -> None:
    page = visit(service)
    open_photo(page, photo)
    page.locator("[data-room=explorer]").click()
    page.select_option("#net", "")
    page.select_option("#backbone", "minivgg")
    page.select_option("#net-stride", "16")
    expect(page.locator("#status")).to_contain_text("fcn16s-minivgg")
    geometry = build_on_meta(ModelSpec(name="fcn16s-minivgg"), {"semantic": 2}).geometry
    page.locator("#layers button", has_text="pool3").click()
    page.mouse.click(*on_screen(page, 20, 12))
    layer = next(index for index, layer in enumerate(geometry.layers) if layer.name.endswith("pool3"))
    place = geometry.place(layer)
    assert place is not None
    row, column = (round((at - float(place.offset)) / int(place.stride)) for at in (12, 20))
    rows, columns = (geometry.depends_on(layer, (at, at), axis, SIZE[axis]) for axis, at in enumerate((row, column)))
    height, width = geometry.sizes(SIZE)[layer]
    assert rows is not None
    assert columns is not None
    expect(page.locator("#place")).to_contain_text(
        f"Row {row}, column {column} of pool3 (a map of {height} × {width}) lies at y {row * 8 + 3.5}, x {column * 8 + 3.5}. "
        f"It depends on rows {rows[0]} to {rows[1]} and columns {columns[0]} to {columns[1]}"
    )
    expect(page.locator("#skips p")).to_have_count(2)
    expect(page.locator("#skips p").nth(1)).to_contain_text("skip at stride 16")


def test_the_services_sentence_a_pasted_image_and_the_camera(service: str, visit: Visit, photo: Path) -> None:
    page = visit(service)
    expect(page.locator("#status")).to_have_text("Ready.")
    drop(page, "damaged.png", b"no image")
    with httpx.Client() as client:
        told = client.post(f"{service}v1/segment", content=b"no image", headers={"content-type": "application/octet-stream"})
    assert told.status_code == 415
    expect(page.locator("#problem")).to_have_text(told.json()["detail"])
    drop(page, "pasted.png", photo.read_bytes(), "paste")
    expect(page.locator("#legend li").first).to_be_visible()
    expect(page.locator("#problem")).to_be_empty()
    page.locator("#camera").click()
    page.locator("#shoot").click()
    expect(page.locator("#status")).to_contain_text("camera-3.png")
    expect(page.locator("#legend li").first).to_be_visible()


def test_the_files_are_small_and_nothing_comes_from_elsewhere() -> None:
    assert sum(path.stat().st_size for path in PAGE.iterdir()) < 200_000
    assert not any(re.search(r"https?://", path.read_text("utf-8")) for path in PAGE.iterdir())


def test_backbones_of_the_explorer_are_all_there_are() -> None:
    menu = re.search(r'<select id="backbone">(.*?)</select>', (PAGE / "index.html").read_text("utf-8"))
    assert menu is not None
    assert re.findall(r"<option[^>]*>([^<]+)", menu[1]) == [name for name in BACKBONES if name in BACKBONES.shipped]
