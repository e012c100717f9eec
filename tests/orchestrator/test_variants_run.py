"""Whole pictures from the command line to a table: variants in it, in the files and in MLflow; bad faces end it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest

from mer_data.frames import list_frames
from mer_data.storage.store import Store
from orchestrator.cli import commands as cli
from orchestrator.experiment.plan import Plan

EXPERIMENT = """\
name: faces
store: {store}
datasets: samm
models: [ststnet]
align: [similarity, none]
annotation: {{jitter: [0, 2]}}
recipes: {{ststnet: {{epochs: 1}}}}
"""


def mer(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(one) for one in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    tree, store = folder / "SAMM", folder / "store"
    assert mer("data", "make", "samm", tree, "--subjects", 3, "--clips", 6, "--raw", "--scale", 0.2) == 0
    marked = ("--landmarks", tree / "landmarks.csv")
    assert mer("data", "import", "samm", tree, "--store", store, "--name", "samm", *marked) == 0
    (folder / "faces.yaml").write_text(EXPERIMENT.format(store=store))
    return folder


@pytest.mark.slow
def test_variants_are_rows_of_one_table_and_told_everywhere(
    ray_session: None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out"
    assert mer("run", folder / "faces.yaml", "--out", out) == 0
    table, said = capsys.readouterr()
    names = ["samm", "samm@align-none", "samm@jitter-2"]
    assert "samm: whole pictures: faces aligned by similarity, one transform per clip (points of 6 of 6 clips" in said
    assert "samm@align-none: whole pictures, NOT aligned: features contain the background" in said
    assert "samm and its variants" in table
    for name in names:
        assert re.search(rf"{name} +ststnet", table), table
    plan = Plan.load(out / "plan.json")
    assert list(plan.datasets) == names
    assert plan.datasets["samm"].cohort.prepared == {"samm@align-similarity": "align similarity"}
    aligned = {d["align"]["name"] if "align" in d else "none" for d in plan.definitions.values()}
    assert aligned == {"similarity", "none"}
    assert len({job.id for job in plan.jobs}) == len(plan.jobs)
    with (out / "leaderboard.csv").open() as file:
        told = {row["dataset"]: row["frames"] for row in csv.DictReader(file)}
    assert told["samm"] == "align similarity"
    assert told["samm@jitter-2"].startswith("align similarity, onset and apex moved by up to 2 frames")
    assert mer("track", "sync", out) == 0  # a busy machine may have let it pass
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    runs = mlflow.search_runs(search_all_experiments=True)
    assert set(runs["params.frames"].dropna()) == set(told.values())
    assert mer("capsule", out, folder / "faces.mer") == 0
    assert mer("verify", folder / "faces.mer") == 0, capsys.readouterr()


@pytest.mark.slow
def test_a_face_that_is_not_found_ends_it_and_the_remedy_helps(
    ray_session: None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree, store = folder / "SAMM", folder / "unmarked"
    assert mer("data", "import", "samm", tree, "--store", store, "--name", "samm") == 0
    known = Store(store).dataset("samm")
    onset = list_frames(known.frame_root / known.clips[0].frames)[known.clips[0].onset]
    before = onset.read_bytes()
    try:
        height, width = cv2.imread(str(onset)).shape[:2]
        cv2.imwrite(str(onset), np.full((height, width), 90, np.uint8))
        capsys.readouterr()
        experiment = (folder / "faces.yaml", "--set", f"store={store}", "--set", "align=similarity")
        assert mer("features", *experiment) == 2
        said = capsys.readouterr().err
        assert f"clip {known.clips[0].id}, " in said
        assert "mark its five points in a sheet and import with --landmarks FILE" in said
        assert not list(Store(store).root.rglob(".*.tmp"))
        assert not list(Store(store).root.rglob("manifest.json"))
        marked = ("--landmarks", tree / "landmarks.csv")
        assert mer("data", "import", "samm", tree, "--store", store, "--name", "samm", *marked) == 0
        assert mer("features", *experiment) == 0
    finally:
        onset.write_bytes(before)


def test_what_has_no_twin_in_whole_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mer("data", "make", "mmew", tmp_path / "x", "--raw") == 2
    said = capsys.readouterr().err
    assert "has no synthetic twin in whole pictures (those that have: casme2, casme3a, casme3c, samm, samm_lv" in said
