"""The twin of HTNet's data: sheet, flat folder, tree of folds and apex crops of :mod:`mer_data.published.htnet`.

The maps are those of the planted motion.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from mer_data.synthetic import motion
from mer_data.synthetic.casting import ClipTruth, of_one_size
from mer_data.synthetic.coloured import coloured, png
from mer_data.synthetic.published import CLIPS, LABELS, SUBJECTS, picture, plan_published
from mer_data.synthetic.twin import Progress, counted, new_twin, write_image

SHEET = "combined_3_class2_for_optical_flow.csv"
HEADER = ("dataset", "sub", "filename_o", "label", "apex", "imagename", "sub_filename")
MAPS, TREE, APEXES = "STSNet_whole_norm_u_v_os", "three_norm_u_v_os", "combined_datasets_whole"
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
    ``s1_ne_01`` in the names of the crops alone, and columns without a value. Flow is worked out at `size` and reduced
    to 28×28; apex crops have 224×224. No file tells an interval.

    Subjects and clips are chosen from the published list; otherwise see :class:`~.twin.MakeTwin`.
    """
    planned = of_one_size(plan_published(subjects, clips, seed, size, length), (_CROP, _CROP))
    with new_twin(dest, "htnet", planned, seed) as folder:
        _write_sheet(folder / SHEET, planned)
        maps: dict[str, bytes] = {}
        for truth in counted(planned, progress):
            maps[truth.id] = png(coloured(motion.flow(truth.bumps, truth.drift, *size), _MAP))
            write_image(folder / "datasets" / APEXES / crop_name(truth), picture(truth, seed, 1.0))
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
