"""The twin of HTNet's data: sheet, flat folder, tree of folds and apex crops of :mod:`mer_data.imports.htnet`.

The maps are those of the planted motion.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from mer_data.files import write_json
from mer_data.problems import BadInput, Problem
from mer_data.synthetic import motion
from mer_data.synthetic.casting import ClipTruth
from mer_data.synthetic.coloured import coloured, png
from mer_data.synthetic.published import CLIPS, SUBJECTS, picture, plan_published
from mer_data.synthetic.twin import TRUTH, Progress, _appearing, _write

SHEET = "combined_3_class2_for_optical_flow.csv"
HEADER = ("dataset", "sub", "filename_o", "label", "apex", "imagename", "sub_filename")
MAPS, TREE, APEXES = "STSNet_whole_norm_u_v_os", "three_norm_u_v_os", "combined_datasets_whole"
LABELS = {"negative": 0, "positive": 1, "surprise": 2}
_MAP, _CROP = 28, 224


def make_htnet(
    dest: Path,
    *,
    subjects: int = SUBJECTS,
    clips: int = CLIPS,
    seed: int = 0,
    size: tuple[int, int] = (56, 56),
    length: tuple[int, int] = (10, 16),
    progress: Progress | None = None,
) -> None:
    """Write a twin of HTNet's data: the sheet, ``datasets`` with maps, folds and apex crops, and ``truth.json``.

    Planted: a blank before ``.png``, label folders that are absent where nobody has the label, SMIC's clips spelled
    ``s1_ne_01`` in the names of the crops alone, and columns without a value.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    subjects, clips
        How many of the published list's; every subject has at least one clip.
    seed
        Another seed draws other faces and motions.
    size
        Width and height at which the flow is worked out before it is reduced to 28×28; apex crops have 224×224.
    length
        The least and the greatest distance from onset to offset in frames, for the truth: no file here tells it.
    progress
        Called with the clips done and the clips in all.

    Raises
    ------
    BadInput
        If `dest` is in use, or the published list has not as many subjects or clips.
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise BadInput(Problem(str(dest), "exists and is not empty", "name a new folder"))
    planned = [replace(t, width=_CROP, height=_CROP) for t in plan_published(subjects, clips, seed, size, length)]
    with _appearing(dest) as folder:
        write_json(folder / TRUTH, {"format": "htnet", "seed": seed, "clips": [asdict(truth) for truth in planned]})
        _write_sheet(folder / SHEET, planned)
        maps: dict[str, bytes] = {}
        for done, truth in enumerate(planned, start=1):
            maps[truth.id] = png(coloured(motion.flow(truth.bumps, truth.drift, *size), _MAP))
            _write(folder / "datasets" / APEXES / crop_name(truth), picture(truth, seed, 1.0))
            if progress:
                progress(done, len(planned))
        _write_maps(folder / "datasets", planned, maps)


def crop_name(truth: ClipTruth) -> str:
    """Write the name of a clip's apex crop: ``s01_s1_ne_01.jpg``, the subject padded and the clip not."""
    clip = f"s{truth.name[1:].lstrip('0')}" if truth.dataset == "smic" else truth.name
    return f"{truth.subject}_{clip}.jpg"


def _write_sheet(path: Path, planned: Sequence[ClipTruth]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for truth in planned:
            label = LABELS[truth.emotion]
            writer.writerow((truth.dataset, truth.subject, truth.name, label, "", crop_name(truth), ""))


def _write_maps(datasets: Path, planned: Sequence[ClipTruth], maps: Mapping[str, bytes]) -> None:
    """Write the flat folder, and all maps once more for each subject held out."""
    held_out = dict.fromkeys(truth.subject for truth in planned)
    (datasets / MAPS).mkdir()
    for truth in planned:
        name, data = f"{truth.subject}_{truth.name} .png", maps[truth.id]
        (datasets / MAPS / name).write_bytes(data)
        for subject in held_out:
            half = "u_test" if truth.subject == subject else "u_train"
            folder = datasets / TREE / subject / half / str(LABELS[truth.emotion])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
