from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from noisyclean.data.decode import PixelMapping
from noisyclean.report.curves import learning_curves
from noisyclean.report.flags import flag_table
from noisyclean.report.html import render_page
from noisyclean.report.plots import loss_histogram, transition_heat_map
from noisyclean.report.verdict import summarise, verdict_sentence
from noisyclean.types import NoiseEstimate
from tests.conftest import Shapes
from tests.report.test_flags import P, make_stats, make_table

NASTY = "<script>alert(1)</script>$x$&"


def page_with(name: str) -> str:
    table = make_table({"note": [name] * 4})
    table = dataclasses.replace(
        table, classes=(name, "cat"), image_path_N=np.asarray([f"{i}{name}.png" for i in range(4)], dtype=object)
    )
    stats = make_stats()
    plan = {
        "preset": "quick",
        "seed": 0,
        "way": "train",
        "backbone": "net",
        "device": "cpu",
        "prepare": {"size_px": 32},
    }
    summary = summarise(table, stats, num_quarantined=1, inputs={}, notes=(), plan=plan, stages={})
    flagged = flag_table(table, stats)
    return render_page(
        title=f"Audit of {name}",
        identity="id",
        summary=summary,
        flagged=flagged,
        files=["/nowhere.png"] * len(flagged),
        stats=stats,
        loss_N=P,
        mapping=PixelMapping(size_px=96),
    )


class Tags(HTMLParser):
    """Counts tags and collects what they load."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_names_from_outside_are_escaped_everywhere() -> None:
    tags = Tags()
    tags.feed(page_with(NASTY))
    assert tags.names.count("script") == 1


def test_the_page_loads_nothing() -> None:
    tags = Tags()
    text = page_with("dog")
    tags.feed(text)
    assert all(url.startswith(("data:", "#")) for url in tags.loaded)
    assert "default-src 'none'" in text
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons\.org|matplotlib\.org)", text)


def test_the_same_numbers_give_the_same_figures() -> None:
    flagged = P > 0.5
    assert loss_histogram(P, flagged) == loss_histogram(P, flagged)
    matrix = np.asarray([[0.8, 0.2], [0.1, 0.9]])
    assert transition_heat_map(matrix, ("a", "b")) == transition_heat_map(matrix, ("a", "b"))


@pytest.mark.parametrize("num_classes", [2, 15, 60])
def test_heat_maps_of_any_number_of_classes(num_classes: int) -> None:
    matrix = np.full((num_classes, num_classes), 1 / num_classes)
    assert transition_heat_map(matrix, tuple(f"class {i}" for i in range(num_classes))).startswith("<svg")


def test_figures_survive_equal_losses_and_clean_labels() -> None:
    assert loss_histogram(np.zeros(5), np.zeros(5, dtype=bool)).startswith("<svg")
    assert transition_heat_map(np.eye(3), ("a", "b", "c")).startswith("<svg")


@pytest.mark.parametrize(("num_epochs", "is_dotted"), [(0, False), (1, True), (40, False)])
def test_a_curve_of_few_points_has_dots(num_epochs: int, is_dotted: bool) -> None:
    svg = learning_curves({"dividemix": [{"loss": 1.0 / (epoch + 1)} for epoch in range(num_epochs)]})
    assert ("loss" in svg) == (num_epochs > 0)
    (curve,) = re.findall(r'<g id="line2d_\d+">(?:(?!</g>).)*?stroke-width: 1.4(?:(?!<g id).)*', svg, re.DOTALL) or [""]
    assert ("<use" in curve) == is_dotted


def test_a_clean_set_is_said_to_look_clean() -> None:
    stats = make_stats()
    noise = NoiseEstimate(rate=0.01, low=0.0, high=0.02, transition_CC=np.eye(2))
    clean = dataclasses.replace(stats, noise=noise, flagged_N=np.zeros(4, dtype=bool))
    assert verdict_sentence(4, clean).startswith("Your labels look clean")
    assert "nothing was flagged" in verdict_sentence(4, clean)
    assert "50.0% of the labels are wrong" in verdict_sentence(4, stats)


def test_the_report_of_a_run_shows_a_thumbnail_for_every_card(audited: tuple[Shapes, Path]) -> None:
    _, run = audited
    text = (run / "report.html").read_text(encoding="utf-8")
    num_flagged = json.loads((run / "summary.json").read_text(encoding="utf-8"))["num_flagged"]
    assert text.count('<article class="card"') == num_flagged
    assert text.count("data:image/jpeg;base64,") == num_flagged


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is not installed")
def test_a_browser_shows_the_page_and_keeps_verdicts(audited: tuple[Shapes, Path], tmp_path: Path) -> None:
    """The script is run for real: a key judges the focused card, and the progress line tells it."""
    _, run = audited
    probe = (
        "<script>window.addEventListener('load', () => {"
        "document.querySelector('.card').dispatchEvent(new KeyboardEvent('keydown', {key: 'r', bubbles: true}));"
        "document.querySelectorAll('.card')[1].querySelector('[data-word=keep]').click();"
        "});</script></body>"
    )
    page = tmp_path / "page.html"
    text = (run / "report.html").read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", probe), encoding="utf-8")
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--virtual-time-budget=2000",
    ]
    command += [
        "--disable-background-networking",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    pressed = re.findall(r'data-word="(\w+)" aria-pressed="true"', done.stdout)
    assert pressed == ["relabel", "keep"]
    assert re.search(r"2 of \d+ judged", done.stdout)


def test_frames_are_html_free(audited: tuple[Shapes, Path]) -> None:
    _, run = audited
    frame = pd.read_csv(run / "flagged.csv", encoding="utf-8-sig", dtype=str, keep_default_na=False)
    assert not frame["reason"].str.contains("<").any()


def test_none_flagged_is_said_in_so_many_words() -> None:
    stats = make_stats()
    quiet = dataclasses.replace(
        stats, flagged_N=np.zeros(4, bool), issue_N=np.full(4, ""), noise=dataclasses.replace(stats.noise, rate=0.2)
    )
    assert verdict_sentence(4, quiet).endswith("; none is flagged.")


def test_of_classes_nobody_recognises_nothing_is_claimed() -> None:
    stats = make_stats()
    unknown = dataclasses.replace(
        stats, flagged_N=np.zeros(4, bool), issue_N=np.where(stats.flagged_N, "not-recognisable", "")
    )
    sentence = verdict_sentence(4, unknown)
    assert sentence.startswith("Nothing can be told")
    assert "are wrong" not in sentence
