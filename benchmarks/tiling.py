"""Images in parts: memory against its model, work, very large images, and what other ways of tiling change.

    python benchmarks/tiling.py memory
    python benchmarks/tiling.py work
    python benchmarks/tiling.py large NET [SIDE [ROWS [MEMORY]]]
    python benchmarks/tiling.py peers CHECKPOINT IMAGE [PICTURE]

``memory``  bytes that a window is said to take, and by how much the process grew at its peak
``work``    work as a multiple of the whole image's: tiles through the whole net, and stage by stage
``large``   an image of SIDE×SIDE pixels (20000) that is made while it is read, with random weights and 21 classes: seconds a
            megapixel against those of an image of 1 megapixel whole, the process's peak, and windows computed once more. ROWS of
            it (all); MEMORY of the whole process (2GB).
``peers``   the same net on the same image by MONAI's sliding windows (pip install monai), by mmsegmentation's slide rule (written
            from its description: windows with overlap, the last ones moved inward, logits averaged), and by exact tiles

One thread; Linux.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from fullconv.cli.tiling import bytes_of
from fullconv.data.images import read_image
from fullconv.errors import DataError
from fullconv.geometry.tiles import overhead, tiles
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.large import Order, predict_large
from fullconv.inference.tiled.memory import largest_weight, window_bytes
from fullconv.inference.tiled.plan import Cut, cut, cut_within
from fullconv.inference.tiled.stage_plan import plan_stages
from fullconv.labels import VOC
from fullconv.nn.build import build_model

NETS = ("fcn8s-squeezenet1_1", "fcn8s-efficientnet_lite0", "fcn8s-resnet18", "fcn8s-caffe-vgg16")
TILE = 256
"""Half the side of the windows of the ways that are compared, in pixels."""
SPREAD = 3.6
"""Standard deviation of logits, as the model voc-subset has it."""
PANEL = 300
"""Width of a drawing in pixels."""


def made(name: str) -> Predictor:
    """Return a net of random weights and 21 classes whose labels vary, and whose logits spread as those of trained nets do."""
    torch.manual_seed(0)
    model = build_model(name, len(VOC))
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        spread = model.eval()(torch.from_numpy(pixels(0, 0, 256, 256).transpose(2, 0, 1).copy())[None])["semantic"].std()
        for parameter in model.score_parameters():
            parameter *= SPREAD / spread
    return Predictor(model, {"semantic": VOC})


def pixels(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return a window of an image without an end: a texture, turned darker and brighter block by block."""
    y, x = np.arange(top, top + height)[:, None], np.arange(left, left + width)[None, :]
    tone = (y // 512 * 37 + x // 512 * 59) % 128
    return (_texture()[y % 1024, x % 1024] // 2 + tone[..., None]).astype(np.uint8)


def _texture() -> NDArray[np.uint8]:
    if not _kept:
        _kept.append(np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8))
    return _kept[0]


_kept: list[NDArray[np.uint8]] = []


def status(key: str) -> int:
    """Return a number of bytes that the system knows of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) * 1024


def growth(run: Callable[[], object]) -> tuple[int, float]:
    """Return by how many bytes the process grew at its peak, and the seconds of processor time."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak is counted from here
    before, begun = status("VmRSS"), time.process_time()
    run()
    return status("VmHWM") - before, time.process_time() - begun


def memory() -> None:
    """Print said and measured bytes of windows."""
    for name in NETS:
        predictor = made(name)
        for side in (512, 1024):
            predictor.predict(pixels(0, 0, 64, 64))
            said = window_bytes(predictor.model, "semantic", (side, side))
            weight = largest_weight(predictor.model)
            image = pixels(0, 0, side, side)
            grew, _ = growth(lambda predictor=predictor, image=image: predictor.predict(image))
            print(
                f"{name} {side}: said {said / 1e6:.0f} MB, of it {weight / 1e6:.0f} MB a weight; measured {grew / 1e6:.0f} MB",
                flush=True,
            )


def work() -> None:
    """Print the work of both ways on an image of 20000×20000 pixels."""
    size = (20_000, 20_000)
    for name in NETS:
        model = made(name).model
        tiled = [overhead(tiles(model.geometry, size, (side, side)), size) for side in (1024, 2048)]
        staged = []
        for budget in (0.5e9, 1e9, 2e9):
            try:
                staged.append(f"{plan_stages(model, 'semantic', size, int(budget))[1]:.2f}")
            except DataError as error:
                staged.append(str(error)[:40])
        print(
            f"{name}: tiles of 1024 {tiled[0]:.2f}, of 2048 {tiled[1]:.2f}; "
            f"staged in 0.5, 1, 2 GB beside the weights {', '.join(staged)}",
            flush=True,
        )


def large(name: str, side: int = 20_000, rows: int | None = None, limit: str = "2GB") -> None:
    """Predict an image that no memory holds, and print what it took."""
    torch.set_num_threads(1)
    predictor, size = made(name), (rows or side, side)
    folder = Path(tempfile.mkdtemp())
    how = cut_within(predictor, size, bytes_of(limit))
    print(f"{how.about}; {how.way}", flush=True)
    making, done = [0.0], [0.0]

    def read(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        begun = time.process_time()
        found = pixels(top, left, height, width)
        making[0] += time.process_time() - begun
        return found

    def progress(finished: int, of: int) -> None:
        done[0] = time.process_time()
        print(f"{finished} of {of} rows, {done[0] - begun:.0f} s, peak {status('VmHWM') / 1e9:.2f} GB", flush=True)

    order = Order(folder / "labels.png", "semantic", way="benchmark", verify=3, say=print, progress=progress)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    begun, watch = time.process_time(), time.perf_counter()
    found = predict_large(predictor, read, size, lambda: how, order)
    mega, peak, megapixel = size[0] * size[1] / 2**20, status("VmHWM"), pixels(0, 0, 1024, 1024)
    seconds, all_of_it, clock = done[0] - begun - making[0], time.process_time() - begun, time.perf_counter() - watch
    whole = min(growth(lambda: predictor.predict(megapixel))[1] for _ in range(3 if "vgg" not in name else 1))
    print(
        f"{name}: {size[0]}×{size[1]} px in {seconds:.0f} s of a processor to the last band; beside them {making[0]:.0f} s for "
        f"making the pixels and {all_of_it - seconds - making[0]:.0f} s for the PNG and verifying ({clock:.0f} s by the clock). "
        f"{seconds / mega:.2f} s a megapixel, a whole one {whole:.2f}: ratio {seconds / mega / whole:.2f}, work "
        f"{how.overhead:.3f}; peak {peak / 1e9:.2f} GB; {order.path.stat().st_size / 1e6:.1f} MB of PNG, "
        f"{int((found.counts > 0).sum())} classes"
    )
    shutil.rmtree(folder)


def peers(checkpoint: str, image: str, picture: str = "") -> None:
    """Compare ways of tiling with the whole image, and draw where they differ."""
    torch.set_num_threads(1)
    predictor, array = load(checkpoint, "cpu"), read_image(image)
    batch = torch.from_numpy(array.transpose(2, 0, 1).copy())[None]
    predictor.predict(array[:64, :64])

    def net(window: Tensor) -> Tensor:
        with torch.inference_mode():
            return predictor.engine({"rgb": window})["semantic"]

    print(f"{array.shape[0]}×{array.shape[1]} px, {checkpoint}")
    whole: list[Tensor] = []
    grew, seconds = growth(lambda: whole.append(net(batch)))
    print(f"whole: {seconds:.2f} s, {grew / 1e6:.0f} MB")
    panels = [("whole image", None)]
    for name, way in WAYS.items():
        found: list[Tensor] = []
        grew, seconds = growth(lambda way=way, found=found: found.append(way(predictor, net, batch, array)))
        difference, changed = (found[0] - whole[0]).abs(), found[0].argmax(1) != whole[0].argmax(1)
        print(
            f"{name}: largest difference of a logit {difference.max():.2g} (standard deviation {whole[0].std():.2g}), "
            f"{changed.float().mean():.3%} of labels changed, {seconds:.2f} s, {grew / 1e6:.0f} MB",
            flush=True,
        )
        panels.append((name, difference[0].amax(0)))
    if picture:
        _draw(
            array, [panel for panel in panels if panel[0] not in ("MONAI", "exact tiles")], float(whole[0].std()), Path(picture)
        )


def _seen(predictor: Predictor, array: NDArray[np.uint8], how: Cut) -> Tensor:
    """Return the logits of all parts."""
    found = torch.empty(1, predictor.engine.heads["semantic"], *array.shape[:2])

    def read(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        return array[top : top + height, left : left + width]

    def look(top: int, left: int, logits: Tensor) -> None:
        found[0, :, top : top + logits.shape[1], left : left + logits.shape[2]] = logits

    for _ in how.parts(predictor, read, array.shape[:2], look=look):
        pass
    return found


def _staged(predictor: Predictor, net: Callable[[Tensor], Tensor], batch: Tensor, array: NDArray[np.uint8]) -> Tensor:
    how = cut(predictor, array.shape[:2], 100_000_000)
    print(f"in parts: {how.about}")
    return _seen(predictor, array, how)


def _exact(predictor: Predictor, net: Callable[[Tensor], Tensor], batch: Tensor, array: NDArray[np.uint8]) -> Tensor:
    return _seen(predictor, array, cut(predictor, array.shape[:2], 0, tile=2 * TILE))


def _monai(
    predictor: Predictor, net: Callable[[Tensor], Tensor], batch: Tensor, array: NDArray[np.uint8], mode: str = "constant"
) -> Tensor:
    from monai.inferers import SlidingWindowInferer

    return SlidingWindowInferer((TILE * 2, TILE * 2), 1, overlap=0.25, mode=mode)(
        batch.float(), lambda window: net(window).clone()
    )


def _monai_gaussian(predictor: Predictor, net: Callable[[Tensor], Tensor], batch: Tensor, array: NDArray[np.uint8]) -> Tensor:
    return _monai(predictor, net, batch, array, "gaussian")


def _slide(predictor: Predictor, net: Callable[[Tensor], Tensor], batch: Tensor, array: NDArray[np.uint8]) -> Tensor:
    """Windows of 512 px every 341 px, as mmsegmentation's configurations for large images have them; the last moved inward."""
    side, step = 2 * TILE, 341
    height, width = array.shape[:2]
    sums, counts = torch.zeros(1, predictor.engine.heads["semantic"], height, width), torch.zeros(1, 1, height, width)
    for top in _slides(height, side, step):
        for left in _slides(width, side, step):
            place = (..., slice(top, top + side), slice(left, left + side))
            sums[place] += net(batch[place])
            counts[place] += 1
    return sums / counts


WAYS = {
    "stage by stage": _staged,
    "exact tiles": _exact,
    "MONAI": _monai,
    "MONAI, gaussian": _monai_gaussian,
    "slide rule": _slide,
}


def _slides(length: int, side: int, step: int) -> Iterator[int]:
    last = max(length - side, 0)
    yield from range(0, last, step)
    yield last


def _draw(array: NDArray[np.uint8], panels: list[tuple[str, Tensor | None]], scale: float, path: Path) -> None:
    """Draw the image and, for each way, the largest difference of a logit: white none, red one standard deviation and more."""
    height, width = round(array.shape[0] * PANEL / array.shape[1]), PANEL
    sheet = Image.new("RGB", (len(panels) * (width + 4), height + 16), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, difference) in enumerate(panels):
        if difference is None:
            shown = array
        else:
            share = (difference / scale).clamp(0, 1).numpy()[..., None]
            shown = ((1 - share) * 255 + share * np.array([200, 0, 0])).astype(np.uint8)
        sheet.paste(Image.fromarray(shown).resize((width, height), Image.Resampling.BOX), (number * (width + 4), 16))
        draw.text((number * (width + 4) + 2, 2), name, fill="black")
    sheet.quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    command, *given = sys.argv[1:] or ["memory"]
    numbers = [int(each) if each.isdigit() else each for each in given]
    {"memory": memory, "work": work, "large": large, "peers": peers}[command](*numbers)  # type: ignore[operator]  # as above
