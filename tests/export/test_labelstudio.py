"""To Label Studio and back; exports are written here as Label Studio's own converter writes them."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from noisyclean.base.files import read_json, write_json
from tests.export.conftest import NAMES, Desk

Answers = list[dict[str, str]]


def regions(answer: dict[str, str]) -> list[dict[str, Any]]:
    """What one annotator clicked."""
    kinds = {"reviewed_label": "choices", "verdict": "choices", "comment": "textarea"}
    values = {"choices": "choices", "textarea": "text"}
    return [
        {"from_name": name, "to_name": "image", "type": kinds[name], "value": {values[kinds[name]]: [answer[name]]}}
        for name in kinds
        if name in answer
    ]


def as_json(tasks: list[dict[str, Any]], answers: Answers, path: Path) -> None:
    """The full form."""
    for number, (task, answer) in enumerate(zip(tasks, answers, strict=False)):
        done = {"id": number, "completed_by": {"id": 1, "email": "ann@x.org"}, "was_cancelled": "skip" in answer}
        task["annotations"] = [done | {"updated_at": "2026-01-01T00:00:00Z", "result": regions(answer)}]
    path.write_text(json.dumps([{"id": number, **task} for number, task in enumerate(tasks)]), encoding="utf-8")


def flat(tasks: list[dict[str, Any]], answers: Answers) -> list[dict[str, Any]]:
    """Data and answers side by side."""
    own = {"annotator": 1, "annotation_id": 7, "lead_time": 1.5, "updated_at": "2026-01-01"}
    pairs = zip(tasks, answers, strict=False)
    return [
        {"id": number, **task["data"], **{k: v for k, v in answer.items() if k != "skip"}, **own}
        for number, (task, answer) in enumerate(pairs)
    ]


def as_json_min(tasks: list[dict[str, Any]], answers: Answers, path: Path) -> None:
    """The short form."""
    path.write_text(json.dumps(flat(tasks, answers)), encoding="utf-8")


def as_csv(tasks: list[dict[str, Any]], answers: Answers, path: Path) -> None:
    """The table; a control that nobody used has no column."""
    rows = flat(tasks, answers)
    for row in rows:
        row["comment"] = json.dumps({"text": [row["comment"]]}) if "comment" in row else ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


def test_tasks_and_interface_are_what_label_studio_imports(desk: Desk) -> None:
    done = desk.export("labelstudio")
    assert done.exit_code == 0, done.stderr
    assert done.json["path"] == str(desk.run / "labelstudio")
    assert done.json["num_images"] == len(desk.flagged) > 5
    assert "next: noisyclean review" in done.stderr
    tasks = json.loads((desk.run / "labelstudio" / "tasks.json").read_text(encoding="utf-8"))
    interface = ElementTree.fromstring((desk.run / "labelstudio" / "config.xml").read_text(encoding="utf-8"))
    controls = {tag.get("name"): [choice.get("value") for choice in tag] for tag in interface.iter("Choices")}
    assert controls == {"reviewed_label": sorted(NAMES.values()), "verdict": ["unsure", "bad"]}
    for task, row in zip(tasks, desk.flagged, strict=True):
        assert task["data"]["image_path"] == row["image_path"]
        address = urlsplit(task["data"]["image"])
        assert address.path == "/data/local-files/"
        assert (desk.images.parent / parse_qs(address.query)["d"][0]).is_file()
        (prediction,) = task["predictions"]
        (region,) = prediction["result"]
        assert region["value"]["choices"] == [row["suggested_label"]]
        assert region["from_name"] in controls
        assert interface.find(f".//Image[@name='{region['to_name']}']") is not None
        assert prediction["score"] == pytest.approx(float(row["p_suggested"]))
    assert str(desk.images.resolve()) in (desk.run / "labelstudio" / "README.txt").read_text()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there, and quoting differs")
def test_images_reached_by_a_link_and_a_run_with_a_space_in_its_name(desk: Desk) -> None:
    link, run = desk.root / "far" / "linked", desk.run.rename(desk.root / "my run")
    link.parent.mkdir()
    link.symlink_to(desk.images)
    identity = read_json(run / "run.json")
    identity["describe"]["images"] = str(link)
    write_json(run / "run.json", identity)
    done = desk.cli("export", run, "--to", "labelstudio")
    assert done.exit_code == 0, done.stderr
    for task in json.loads((run / "labelstudio" / "tasks.json").read_text(encoding="utf-8")):
        below = parse_qs(urlsplit(task["data"]["image"]).query)["d"][0]
        assert ".." not in below
        assert (desk.images.resolve().parent / below).is_file()
    readme = (run / "labelstudio" / "README.txt").read_text(encoding="utf-8")
    assert f"noisyclean review '{run}' EXPORT.json --out labels.cleaned.csv" in readme


@pytest.mark.parametrize("write", [as_json, as_json_min, as_csv])
def test_there_and_back(desk: Desk, write: Any) -> None:
    desk.export("labelstudio")
    tasks = json.loads((desk.run / "labelstudio" / "tasks.json").read_text(encoding="utf-8"))
    rows = desk.flagged
    other = next(name for name in NAMES.values() if name not in (rows[2]["given_label"], rows[2]["suggested_label"]))
    answers = [
        {"reviewed_label": rows[0]["suggested_label"]},
        {"reviewed_label": rows[1]["given_label"], "comment": "=sure"},
        {"reviewed_label": other},
        {"reviewed_label": rows[3]["suggested_label"], "verdict": "bad"},
        {"verdict": "unsure"},
    ]
    write(tasks, answers, desk.root / f"project-1.{'csv' if write is as_csv else 'json'}")
    done = desk.review(desk.root / f"project-1.{'csv' if write is as_csv else 'json'}")
    assert done.exit_code == 0, done.stderr
    assert desk.changed() == {
        rows[0]["image_path"]: (rows[0]["given_label"], rows[0]["suggested_label"]),
        rows[2]["image_path"]: (rows[2]["given_label"], other),
    }
    counts = {name: done.json[f"num_{name}"] for name in ("kept", "relabelled", "unsure", "bad", "verdicts")}
    assert counts == {"kept": 1, "relabelled": 2, "unsure": 1, "bad": 1, "verdicts": 5}
    trail = (desk.run / "verdicts.log.csv").read_text(encoding="utf-8-sig")
    assert "labelstudio/ann@x.org" in trail if write is as_json else "labelstudio/1" in trail
    assert ",'=sure," in trail


def test_a_skipped_task_is_unsure_and_an_untouched_one_is_nothing(desk: Desk) -> None:
    desk.export("labelstudio")
    tasks = json.loads((desk.run / "labelstudio" / "tasks.json").read_text(encoding="utf-8"))
    as_json(tasks, [{"skip": "yes", "reviewed_label": desk.flagged[0]["suggested_label"]}], desk.root / "x.json")
    done = desk.review(desk.root / "x.json")
    assert (done.json["num_verdicts"], done.json["num_unsure"], done.json["num_changed"]) == (1, 1, 0)


def test_annotators_of_one_export_are_reviewers_and_the_latest_answer_counts(desk: Desk) -> None:
    desk.export("labelstudio")
    (task, *_) = json.loads((desk.run / "labelstudio" / "tasks.json").read_text(encoding="utf-8"))
    row = desk.flagged[0]

    def answer(who: int, label: str, day: int) -> dict[str, Any]:
        made = {"completed_by": who, "updated_at": f"2026-01-0{day}", "was_cancelled": False}
        return made | {"result": regions({"reviewed_label": label})}

    task["annotations"] = [answer(1, row["given_label"], 3), answer(1, row["suggested_label"], 1)]
    (desk.root / "one.json").write_text(json.dumps([task]))
    assert desk.review(desk.root / "one.json").json["num_kept"] == 1
    task["annotations"].append(answer(2, row["suggested_label"], 1))
    (desk.root / "two.json").write_text(json.dumps([task]))
    done = desk.review(desk.root / "two.json")
    assert (done.json["num_reviewers"], done.json["num_conflict"]) == (2, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ('{"tasks": 3}', "is no list of tasks"),
        ('[{"data": {"image": "x"}, "annotations": [{"result": []}]}]', "task 1 has no image_path"),
    ],
)
def test_other_json_is_refused(desk: Desk, text: str, said: str) -> None:
    (desk.root / "x.json").write_text(text)
    done = desk.review(desk.root / "x.json")
    assert done.exit_code == 3
    assert said in done.stderr


def test_the_tasks_themselves_hold_no_verdict(desk: Desk) -> None:
    desk.export("labelstudio")
    done = desk.review(desk.run / "labelstudio" / "tasks.json")
    assert done.exit_code == 0
    assert "no row has a verdict" in done.stderr
