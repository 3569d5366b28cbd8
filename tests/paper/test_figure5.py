"""Figure 5 with a few steps: curves and rows from the runs' logs, verdicts; the plan is test_protocol's."""

import csv

import pytest
from in_small import BUDGET, Small, assert_trained_as_planned
from made_scores import net

from fullconv.paper import figure5
from fullconv.paper.findings import Finding, Row
from fullconv.paper.suite import run_experiment


def test_rows_are_what_the_logs_say(small: Small) -> None:
    found = run_experiment("F5", small, 10 * BUDGET)
    assert_trained_as_planned(small, "F5", 10 * BUDGET)
    for share, images in ((1.0, 4), (0.5, 8), (0.25, 16)):
        run = small.run_folder(f"F5-scenes-p{share:g}")
        with (run / "metrics.csv").open(encoding="utf-8") as file:
            log = list(csv.DictReader(file))
        losses = [float(row["loss"]) for row in log if row["loss"] and int(row["step"]) > 0.8 * 9]
        assert found.row(f"p = {share:g}", "loss, nats").measured == pytest.approx((sum(losses) / len(losses),))
        speed = [float(row["images_per_second"]) for row in log if row["images_per_second"]][-1]
        assert found.row(f"p = {share:g}", "a step, ms").measured == pytest.approx((1000 * images / speed,))
        row = found.row(f"p = {share:g}", "mean IU")
        assert row.protocol == f"FCN-32s, 9 steps of {images} images"
    assert (small.out / "F5" / "curves.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("quarter", "milliseconds", "holds"),
    [
        ((30.5, 30.7), 20.0, [True, True]),  # 0.6 points more
        ((33.0, 35.0), 20.0, [False, True]),
        ((29.0, 35.0), 20.0, [None, True]),  # 2 points more, of seeds that are six apart
        ((10.0, 12.0), 9.0, [True, False]),
    ],
)
def test_the_verdicts_follow_from_the_numbers(quarter: tuple[float, ...], milliseconds: float, holds: list[bool | None]) -> None:
    scores = {1.0: net(30.0, 30.0), 0.5: net(30.0, 30.0), 0.25: net(*quarter)}
    times = {1.0: 10.0, 0.5: 15.0, 0.25: milliseconds}
    rows = [Row(figure5.item(share), "a step, ms", (value,), "", "") for share, value in times.items()]
    assert [claim.holds for claim in figure5._claims(Finding(tuple(rows)), scores)] == holds
