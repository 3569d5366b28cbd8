"""Rows, claims and published figures: what is printed, and what comes back from JSON."""

import json
import statistics

import pytest
from rich.console import Console

from fullconv.paper.findings import Claim, Finding, Picture, Row, not_run, paired
from fullconv.paper.published import published


def test_the_published_tables_say_what_the_paper_prints() -> None:
    table = published("T2")
    assert [table.find(f"FCN-{net}", "mean IU")[0] for net in ("32s-fixed", "32s", "16s", "8s")] == [45.4, 59.4, 62.4, 62.7]
    assert [table.find(f"FCN-{net}", "mean IU")[1] for net in ("32s", "16s", "8s", "8s at once")] == [63.6, 65.0, 65.5, 65.4]
    assert published("T1").find("FCN-GoogLeNet", "receptive field px") == (907, None)
    assert not published("bound").verified
    assert published("upsampling").paper == {}


def test_mean_and_spread_over_seeds() -> None:
    values = (40.0, 43.0, 41.5)
    row = Row("FCN-8s", "mean IU", values, "scenes val", "staged")
    assert row.mean == pytest.approx(sum(values) / 3)
    assert row.spread == pytest.approx(statistics.stdev(values)) == pytest.approx(1.5)
    assert Row("a", "b", (3.0,), "", "").spread == 0


def test_a_row_prints_paper_reference_measured_seconds_data_protocol() -> None:
    row = paired("T2", "FCN-16s", "mean IU", (40.0, 41.0), data="scenes val, 100 images", protocol="staged", seconds=61.4)
    assert row.cells() == (
        *("FCN-16s", "mean IU", "62.4", "65", "40.5 ± 0.7", "61"),
        *("scenes val, 100 images", "staged"),
    )
    unpublished = paired("T2", "FCN-4s", "mean IU", (40.0,), data="d", protocol="p")
    assert unpublished.cells()[2:6] == ("–", "–", "40.0", "–")


def test_figures_that_were_not_checked_say_so() -> None:
    row = paired("bound", "down-sampled by 32", "mean IU", (80.0,), data="d", protocol="p")
    assert row.cells(published("bound").verified)[2] == "86.1 (unverified)"


def test_what_cannot_run_says_what_it_needs_and_shows_no_figure_of_its_own() -> None:
    finding = not_run("T2", "no folder VOC2012 in /nowhere", "voc2012")
    assert not finding.complete
    assert len(finding.rows) == 16
    assert all(row.cells()[4] == "not run: no folder VOC2012 in /nowhere" for row in finding.rows)
    assert not_run("upsampling", "weights", "voc2012").rows


def test_what_a_row_repeats_is_left_out() -> None:
    rows = [
        paired("T2", item, quantity, (40.0,), data="scenes val", protocol=protocol, seconds=60)
        for item, protocol in (("FCN-16s", "staged"), ("FCN-8s", "staged"))
        for quantity in ("mean IU", "f.w. IU")
    ]
    shown = Finding(tuple(rows)).cells("T2")
    assert [texts[0] for texts in shown] == ["FCN-16s", "", "FCN-8s", ""]
    assert [texts[5:] for texts in shown] == [("60", "scenes val", "staged"), ("", "", ""), ("60", "", "staged"), ("", "", "")]


def test_markdown_has_a_line_a_row_and_the_verdicts() -> None:
    row = paired("T2", "FCN-8s", "mean IU", (44.0,), data="scenes val", protocol="staged", seconds=60)
    claims = (Claim("a < b", True, "1 and 2"), Claim("b < c", False, "2 and 1"), Claim("c < d", None, "1 and 1"))
    lines = Finding((row,), claims, notes=("A note.",)).markdown("T2").splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|") == 9
    assert lines[2:] == [
        "| FCN-8s | mean IU | 62.7 | 65.5 | 44.0 | 60 | scenes val | staged |",
        *(
            "",
            "- Holds: a < b (1 and 2).",
            "- Does **not** hold: b < c (2 and 1).",
            "- Undecided: c < d (1 and 1).",
            "",
            "A note.",
        ),
    ]


def test_a_finding_survives_json() -> None:
    finding = Finding(
        (Row("a", "b", (1.0, 2.0), "d", "p", 3.0, 4.0, 5.0), Row("c", "d", (), "d", "p", needs="weights")),
        (Claim("x < y", False, "2 and 1"), Claim("y < z", None, "1 and 1")),
        (Picture("p.png", "a picture"),),
        ("a note",),
    )
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))) == finding


def test_the_table_shows_rows_and_verdicts() -> None:
    row = paired("T2", "FCN-8s", "mean IU", (44.0,), data="scenes val", protocol="staged")
    console = Console(width=160, record=True, quiet=False)
    with console.capture() as capture:
        console.print(Finding((row,), (Claim("8s is better", False, "-1.0"),), notes=("few steps",)).table("T2"))
    text = capture.get()
    assert "62.7" in text
    assert "65.5" in text
    assert "44.0" in text
    assert "Does NOT hold: 8s is better (-1.0)" in text
    assert "few steps" in text


def test_a_reason_is_told_once() -> None:
    texts = [cells[4] for cells in not_run("T2", "no VOC in here", "voc2012").cells("T2")]
    assert texts[0] == "not run: no VOC in here"
    assert set(texts[1:]) == {"not run"}
