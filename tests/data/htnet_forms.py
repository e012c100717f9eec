"""Licence-free twins of the published flow maps in each of their forms, and what is said of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mer_data.imported import Imported
from mer_data.problems import BadInput
from mer_data.published import htnet

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

LABELS = {"negative": 0, "positive": 1, "surprise": 2}
FLAT = "STSNet_whole_norm_u_v_os"
TREE = "three_norm_u_v_os"
SHEET = "combined_3_class2_for_optical_flow.csv"
SHEET_HEADER = ("dataset", "sub", "filename_o", "label", "apex", "imagename", "sub_filename")
SAMPLES_HEADER = ("dataset", "subject", "clip", "label", "file")


@dataclass(frozen=True)
class Twin:
    """One made-up clip: its annotation and its PNG file's bytes."""

    dataset: str
    subject: str
    clip: str
    emotion: str
    png: bytes

    @property
    def id(self) -> str:
        return f"{self.dataset}/{self.subject}/{self.clip}"

    @property
    def label(self) -> str:
        return str(LABELS[self.emotion])

    def file(self, space: str = " ") -> str:
        return f"{self.subject}_{self.clip}{space}.png"


def stretched(channel: Floats) -> Bytes:
    """One channel stretched to exactly 0..255."""
    low, high = channel.min(), channel.max()
    scaled: Floats = np.rint((channel - low) / (high - low) * 255)
    return scaled.astype(np.uint8)


def flow_map(rng: np.random.Generator) -> Bytes:
    """Random blobs [3, 28, 28] in the order u, v, strain: flow of both signs, a bright spot of strain."""
    y, x = np.mgrid[:28, :28]

    def blob(width: float) -> Floats:
        cy, cx = rng.uniform(6, 22, 2)
        bump: Floats = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2))
        return bump

    u, v = (blob(5) - blob(5) + rng.normal(0, 0.02, (28, 28)) for _ in range(2))
    return np.stack([stretched(u), stretched(v), stretched(blob(2) + 0.01 * rng.random((28, 28)))])


def encode(rgb: npt.NDArray[np.integer[Any]]) -> bytes:
    """An array [3, H, W] (the file's red, green, blue) or [H, W] (grey) as a PNG file's bytes."""
    image = rgb if rgb.ndim == 2 else np.ascontiguousarray(rgb[::-1].transpose(1, 2, 0))
    return bytes(cv2.imencode(".png", image)[1])


def make_twins(subjects: int = 4, clips: int = 3, seed: int = 0) -> list[Twin]:
    """`subjects` people of each dataset, in the order an import promises."""
    rng = np.random.default_rng(seed)
    twins = []
    for dataset in ("casme2", "smic", "samm"):
        for number in range(1, subjects + 1):
            subject = {"casme2": f"sub{number:02d}", "smic": f"s{number:02d}", "samm": f"{number + 5:03d}"}[dataset]
            names = {
                "casme2": ("EP02_01f", "EP03_02", "EP19_05f"),
                "smic": (f"{subject}_ne_01", f"{subject}_po_01", f"{subject}_sur_01"),
                "samm": (f"{subject}_1_10", f"{subject}_1_2", f"{subject}_5_9"),
            }[dataset]
            for name in names[:clips]:
                twins.append(Twin(dataset, subject, name, rng.choice(list(LABELS)), encode(flow_map(rng))))
    return twins


def csv_text(header: Iterable[str], rows: Iterable[Iterable[str]], newline: str = "\n") -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator=newline).writerows([header, *rows])
    return out.getvalue()


def sheet_text(twins: Iterable[Twin], newline: str = "\n") -> str:
    rows = [(t.dataset, t.subject, t.clip, t.label, "", f"{t.subject}_{t.clip}.jpg", "") for t in twins]
    return csv_text(SHEET_HEADER, rows, newline)


def write_flat(root: Path, twins: list[Twin], space: str = " ") -> tuple[Path, Path]:
    """The flat folder and its sheet under `root`."""
    folder = root / FLAT
    folder.mkdir(parents=True)
    for twin in twins:
        (folder / twin.file(space)).write_bytes(twin.png)
    sheet = root / SHEET
    sheet.write_text(sheet_text(reversed(twins)))  # a sheet may be in any order
    return folder, sheet


Put = Callable[[Path, Twin], None]


def _write(path: Path, twin: Twin) -> None:
    path.write_bytes(twin.png)


def write_tree(root: Path, twins: list[Twin], put: Put = _write, space: str = " ") -> Path:
    """The tree of folds: every subject's folder holds all clips."""
    tree = root / TREE
    for held_out in dict.fromkeys(twin.subject for twin in twins):
        for twin in twins:
            half = "u_test" if twin.subject == held_out else "u_train"
            folder = tree / held_out / half / twin.label
            folder.mkdir(parents=True, exist_ok=True)
            put(folder / twin.file(space), twin)
    return tree


def write_samples(root: Path, twins: list[Twin]) -> Path:
    """The samples.csv form; SAMM subjects are written as a spreadsheet writes them, without zeros."""
    (root / "png").mkdir(parents=True)
    rows = []
    for twin in twins:
        (root / "png" / twin.file("")).write_bytes(twin.png)
        subject = str(int(twin.subject)) if twin.dataset == "samm" else twin.subject
        rows.append((twin.dataset, subject, twin.clip, twin.label, f"png/{twin.file('')}"))
    (root / "samples.csv").write_text(csv_text(SAMPLES_HEADER, rows))
    return root


FORMS: Mapping[str, Callable[[Path, list[Twin]], object]] = {
    "flat": write_flat,
    "tree": write_tree,
    "samples": write_samples,
}


# Trees grow with the square of the subjects, so most tests take half a dozen.
TWINS = make_twins(subjects=2)


def problems_of(*sources: Path) -> tuple[str, ...]:
    with pytest.raises(BadInput) as caught:
        htnet.read(sources)
    for problem in caught.value.problems:
        assert problem.where
        assert problem.remedy
    return tuple(str(problem) for problem in caught.value.problems)


def the_problem(*sources: Path) -> str:
    problems = problems_of(*sources)
    assert len(problems) == 1, problems
    return problems[0]


def assert_same(one: Imported, other: Imported) -> None:
    assert one.clips == other.clips
    assert one.notes == other.notes
    (feature,), (other_feature,) = one.features, other.features
    assert feature.spec.key() == other_feature.spec.key()
    assert feature.origin == other_feature.origin
    assert list(feature.arrays) == list(other_feature.arrays)
    for clip_id, array in feature.arrays.items():
        np.testing.assert_array_equal(array, other_feature.arrays[clip_id])
