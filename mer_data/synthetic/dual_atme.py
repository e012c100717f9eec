"""The twin of Dual-ATME's data: lists and pictures of :mod:`mer_data.published.dual_atme`, coloured our own way.

The pictures are those of the planted motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mer_data.synthetic import motion
from mer_data.synthetic.casting import ClipTruth
from mer_data.synthetic.coloured import coloured, png, puzzled
from mer_data.synthetic.published import CLIPS, LABELS, SUBJECTS, plan_published
from mer_data.synthetic.twin import Progress, counted, new_twin

LISTS = "data/MEGC2019/v_cde_flow"
HOME = "/home/somebody/Dual-ATME"  # where the lists say that all is
# Clips that the published lists give each other's class.
EXCHANGED = {"samm/006/006_5_9": "negative", "samm/006/006_5_11": "surprise"}
_CODES = {"casme2": 0, "samm": 1, "smic": 2}
_STEMS = {"casme2": "img{}", "smic": "image{:06}", "samm": "{subject}_{:05}"}


def make_dual_atme(
    dest: Path,
    *,
    subjects: int = SUBJECTS,
    clips: int = CLIPS,
    seed: int = 0,
    size: tuple[int, int] = (56, 56),
    length: tuple[int, int] = (10, 16),
    progress: Progress | None = None,
) -> None:
    """Write a twin of Dual-ATME's data: the lists, both pictures of every clip, and ``truth.json``.

    Planted: absolute paths of another computer, the apex before the onset in the names, underscores in frame names,
    databases numbered unlike elsewhere, and the two exchanged labels, if those clips are among the chosen. The
    pictures are squares of half the shorter side of `size`, at which the flow is worked out.

    Subjects and clips are chosen from the published list; otherwise see :class:`~.twin.MakeTwin`.
    """
    planned = plan_published(subjects, clips, seed, size, length)
    with new_twin(dest, "dual_atme", planned, seed) as folder:
        _write_lists(folder / LISTS, planned)
        for truth in counted(planned, progress):
            flow = motion.flow(truth.bumps, truth.drift, *size)
            for kind, shown in (("flow", flow), ("flow_puzzle", puzzled(flow))):
                path = folder / picture_path(truth, kind)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(coloured(shown, min(size) // 2)))


def picture_path(truth: ClipTruth, kind: str) -> str:
    """Write the path of a clip's picture below the root; `kind` is ``flow`` or ``flow_puzzle``."""
    stem = _STEMS[truth.dataset]
    apex, onset = (stem.format(number, subject=truth.subject) for number in (truth.apex, truth.onset))
    return f"data/MEGC2019/{truth.dataset}/{kind}/{truth.subject}_{truth.name}_{apex}-{onset}_{kind}.png"


def _write_lists(lists: Path, planned: Sequence[ClipTruth]) -> None:
    lists.mkdir(parents=True)
    subjects = dict.fromkeys(truth.subject for truth in planned)
    (lists / "subName.txt").write_text("".join(f"{subject}\n" for subject in subjects))
    lines = {}
    for truth in planned:
        label = LABELS[EXCHANGED.get(truth.id, truth.emotion)]
        lines[truth.id] = f"{HOME}/{picture_path(truth, 'flow')} {label} {_CODES[truth.dataset]}\n"
    for subject in subjects:
        test = [lines[truth.id] for truth in planned if truth.subject == subject]
        train = [lines[truth.id] for truth in planned if truth.subject != subject]
        (lists / f"{subject}_test.txt").write_text("".join(test))
        (lists / f"{subject}_train.txt").write_text("".join(train))
