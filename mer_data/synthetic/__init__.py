"""Licence-free twins of the datasets: the same layout on disk, drawn faces, and motion that is known.

A twin is for tests, demonstrations and trials of the machinery. Scores on it say nothing about real faces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.synthetic.aman import make_aman
from mer_data.synthetic.atn import make_atn
from mer_data.synthetic.casme import make_casme
from mer_data.synthetic.casme2 import make_casme2
from mer_data.synthetic.casme3 import make_casme3a, make_casme3c
from mer_data.synthetic.casme_sq import make_casme_sq
from mer_data.synthetic.casting import ClipTruth
from mer_data.synthetic.dataset_twin import DatasetTwin
from mer_data.synthetic.dfme import make_dfme
from mer_data.synthetic.dual_atme import make_dual_atme
from mer_data.synthetic.fourdme import make_fourdme
from mer_data.synthetic.htnet import make_htnet
from mer_data.synthetic.megc2019 import make_megc2019
from mer_data.synthetic.mmew import make_mmew
from mer_data.synthetic.offtanet import make_offtanet
from mer_data.synthetic.samm import make_samm
from mer_data.synthetic.samm_lv import make_samm_lv
from mer_data.synthetic.smic import make_smic, make_smic_nir, make_smic_vis
from mer_data.synthetic.smic_e import make_smic_e, make_smic_e_nir, make_smic_e_vis
from mer_data.synthetic.twin import TRUTH, Progress, planted_flow, read_truth

__all__ = (
    "COMPOSITE_TWINS", "PROJECT_TWINS", "TRUTH", "TWINS",
    "ClipTruth", "Progress", "draw", "make_casme2", "planted_flow", "read_truth", "refuse_undrawable",
)  # fmt: skip

# By format.
TWINS: Mapping[str, DatasetTwin] = {
    twin.profile.dataset: twin
    for twin in (
        make_casme, make_casme2, make_casme_sq, make_casme3a, make_casme3c, make_samm, make_samm_lv,
        make_smic, make_smic_vis, make_smic_nir, make_smic_e, make_smic_e_vis, make_smic_e_nir,
        make_mmew, make_fourdme, make_dfme,
    )
}  # fmt: skip

# The same for what other projects hand on: clips of several datasets, named as the published lists name them. Each is a
# MakeTwin, as those above are when they are called.
PROJECT_TWINS: Mapping[str, Callable[..., None]] = {
    "offtanet": make_offtanet,
    "atn": make_atn,
    "htnet": make_htnet,
    "dual_atme": make_dual_atme,
    "aman": make_aman,
}

# A function (dest, *, seed, size=..., length=..., progress=None) for each published list: below dest, a twin for each
# of its datasets, each with an importer of its own.
COMPOSITE_TWINS: Mapping[str, Callable[..., None]] = {"megc2019": make_megc2019}


def draw(
    format_: str,
    dest: Path,
    *,
    subjects: int | None = None,
    clips: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    raw: bool = False,
    scale: float = 1.0,
) -> None:
    """Draw a synthetic dataset in the layout of a format.

    Parameters
    ----------
    format_
        A key of :data:`TWINS`, :data:`PROJECT_TWINS` or :data:`COMPOSITE_TWINS`.
    dest
        A folder that does not exist or is empty.
    subjects, clips
        How many; as many as the real dataset has if None.
    seed
        Another seed draws other faces, motions and intervals.
    progress
        Called with the clips done and the clips in all.
    raw, scale
        Whether to draw whole pictures, and by how much smaller than the published ones; see :mod:`~.synthetic.raw`.

    Raises
    ------
    BadInput
        As :func:`refuse_undrawable`, or if `dest` holds files, or the numbers make no dataset.
    """
    refuse_undrawable(format_, subjects, clips, raw=raw)
    wanted: dict[str, Any] = {
        name: count for name, count in (("subjects", subjects), ("clips", clips)) if count is not None
    }
    wanted |= {"raw": True, "scale": scale} if raw else {}
    _makers()[format_](dest, **wanted, seed=seed, progress=progress)


def refuse_undrawable(format_: str, subjects: int | None, clips: int | None, *, raw: bool = False) -> None:
    """Refuse what :func:`draw` cannot draw, whatever the folder.

    Raises
    ------
    BadInput
        If there is no twin of that format, none in whole pictures, or its clips cannot be chosen but were.
    """
    if format_ not in _makers():
        raise BadInput(Problem(format_, "no synthetic dataset of this format", did_you_mean(format_, _makers())))
    if raw and (format_ not in TWINS or TWINS[format_].raw is None):
        known = ", ".join(name for name, twin in TWINS.items() if twin.raw is not None)
        raise BadInput(Problem(format_, "has no synthetic twin in whole pictures", f"those that have: {known}"))
    if format_ in COMPOSITE_TWINS and (subjects, clips) != (None, None):
        what = "its clips are those of the published list"
        raise BadInput(Problem(format_, what, "leave --subjects and --clips out"))


def _makers() -> dict[str, Callable[..., None]]:
    return {**TWINS, **PROJECT_TWINS, **COMPOSITE_TWINS}
