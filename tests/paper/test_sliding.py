"""Dense against sliding: both compute the same, the ratios are those of the figures, and small grids run end to end."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from fullconv.nn.convolutionalize import convolutionalize
from fullconv.paper import sliding as module
from fullconv.paper.experiment import Context
from fullconv.paper.sliding import Passes, Timing, claims, cut_windows, papers_speed_up, rows, sliding, small_difference


def timing(grid: int, at_once: tuple[float, float], windows: tuple[float, float]) -> Timing:
    return Timing(grid, Passes(*at_once), Passes(*windows), 3)


def test_both_compute_the_same() -> None:
    assert small_difference() < 1e-5
    # by a loop of single windows too, in float64
    torch.manual_seed(1)
    narrow = module._narrow().double().eval()
    image = torch.randn(1, 3, 227 + 32, 227 + 64, dtype=torch.float64)
    with torch.inference_mode():
        scores = convolutionalize(narrow, (227, 227))(image)[0]
        assert scores.shape == (5, 2, 3)
        for y in range(2):
            for x in range(3):
                window = image[:, :, 32 * y : 32 * y + 227, 32 * x : 32 * x + 227]
                torch.testing.assert_close(scores[:, y, x], narrow(window)[0])


def test_windows_are_cut_row_by_row() -> None:
    image = torch.arange(3 * 7 * 7.0).view(1, 3, 7, 7)
    windows = cut_windows(image, 3, 2)
    assert windows.shape == (9, 3, 3, 3)
    assert torch.equal(windows[5], image[0, :, 2:5, 4:7])  # row 1, column 2


def test_both_ways_give_the_same_gradients() -> None:
    torch.manual_seed(2)
    narrow = module._narrow().double().eval()
    dense = convolutionalize(narrow, (227, 227))
    image = torch.randn(1, 3, 259, 259, dtype=torch.float64)
    module._both(dense, [image])
    module._both(narrow, cut_windows(image, 227, 32).split(3))
    for one, other in zip(dense.parameters(), narrow.parameters(), strict=True):
        torch.testing.assert_close(one.grad.flatten(), other.grad.flatten())


def test_the_papers_ratios_by_hand() -> None:
    # PAPER: 1.2 ms and 2.4 ms a window, 22 ms and 37 ms for 100 of them at once
    assert papers_speed_up() == pytest.approx((120 / 22, 360 / 59))


def test_rows_and_claims_against_figures_by_hand() -> None:
    timings = [timing(1, (0.01, 0.04), (0.008, 0.03)), timing(10, (0.1, 0.5), (0.62, 2.0))]
    found = {(row.item, row.quantity): row for row in rows(timings)}
    expected = {
        ("one window", "forward ms"): (6.2, 1.2),
        ("one window", "forward + backward ms"): (20.0, 3.6),
        ("10x10 grid at once", "forward ms"): (100, 22),
        ("10x10 grid at once", "forward + backward ms"): (500, 59),
        ("10x10 windows", "forward ms"): (620, None),
        ("10x10 speed-up", "forward ×"): (6.2, 120 / 22),
        ("10x10 speed-up", "forward + backward ×"): (4.0, 360 / 59),
        ("1x1 speed-up", "forward ×"): (0.8, None),
    }
    for key, (measured, paper) in expected.items():
        assert found[key].mean == pytest.approx(measured), key
        assert found[key].paper == (paper if paper is None else pytest.approx(paper)), key
    assert [claim.holds for claim in claims(timings, 1e-6)] == [True, True, False, True]
    assert "0.8× at 1×1, 6.2× at 10×10" in claims(timings, 1e-6)[3].evidence
    shrinking = [timing(1, (1, 2), (9, 9)), timing(10, (1, 2), (4, 9))]
    assert [claim.holds for claim in claims(shrinking, 1e-3)] == [False, False, False, False]


def test_small_grids_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKBONE", "narrow-alexnet")  # whole, it takes half a minute on a busy core
    monkeypatch.setattr(module, "GRIDS", {1: 1, 2: 1})
    finding = sliding(Context(tmp_path, "claims", console=Console(file=io.StringIO())))
    assert finding.complete
    assert len(finding.rows) == 2 + 2 * 6
    assert all(row.mean > 0 for row in finding.rows)
    assert finding.claims[0].holds
    assert "this process had" in finding.notes[0]
    with Image.open(tmp_path / "claims" / finding.pictures[0].file) as image:
        image.load()
        assert min(image.size) >= 400
