"""A small dataset without faces or frames: its feature tells the class by the place of a blob, with noise."""

from dataclasses import replace

import numpy as np

from mer_data.editions import Edition
from mer_data.features import FEATURES
from mer_data.schema import Clip
from mer_data.storage.store import Store
from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.plan import Plan

SPEC = replace(FEATURES["flow_uvs_28"], params={"origin": "test"})


def blob_clips(subjects: int = 6, per_subject: int = 4) -> list[Clip]:
    """Clips of two source datasets, with the three classes in turn."""
    emotions = ("negative", "positive", "surprise", "negative")
    clips = []
    for subject in range(subjects):
        dataset, person = ("casme2", f"sub{subject:02d}") if subject % 2 == 0 else ("samm", f"{subject:03d}")
        clips += [
            Clip(dataset, f"{dataset}/{person}", f"clip{index}", emotions[(subject + index) % len(emotions)])
            for index in range(per_subject)
        ]
    return clips


def write_blobs(store: Store, name: str, clips: list[Clip], seed: int = 0, edition: Edition | None = None) -> None:
    """A dataset whose `flow_uvs_28` tells the class by the place of a blob, with noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:28, :28]
    centres = {"negative": (8, 8), "positive": (20, 8), "surprise": (14, 20)}
    arrays = {}
    for clip in clips:
        row, column = centres[clip.emotion]
        blob = 160 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18)
        arrays[clip.id] = np.clip(blob + random.uniform(0, 90, (3, 28, 28)), 0, 255).astype(np.uint8)
    with store.replacing(name) as writer:
        writer.clips(clips, format_="test", frame_root=None, edition=edition)
        writer.feature(SPEC, arrays, clips, "test")


def with_cohort(plan: Plan, cohort: Cohort) -> Plan:
    """The same plan, whose clips have other classes."""
    return replace(plan, datasets={"blobs": replace(plan.datasets["blobs"], cohort=cohort)})
