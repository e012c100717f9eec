"""What a feature is not, in words: what its definition has that a reader would not expect, and what it lacks where."""

from __future__ import annotations

from mer_data.faces import mtcnn
from mer_data.features import FEATURES
from mer_data.storage.store import Dataset, Store
from orchestrator.precompute.deep_features import AMAN_FILE, AMAN_VARIABLE, RANDOM_WEIGHTS

_OFFTANET = (
    "{name}: frames are reduced before the flow, and the strain is that of Off-TANet's released code, "
    "sqrt(ux² + uy² + (vx + uy)²/2): uy² stands where the tensor has vy², so a rotation of the head counts and a "
    "vertical stretch does not. {name}_standard-sobel has the textbook's."
)
_MEB = (
    "flow_meb_64: the strain is that of MEB's released code, sqrt(uy² + vx² + (ux² + vy²)/2): the axes are exchanged "
    "and the mixed term is split, so a rotation of the head counts."
)
_AMAN = (
    f"aman_maps: the authors' ResNet-18, trained on FER+, is in their repository since 2024-11-22 (folder assets, "
    f"{AMAN_FILE}). Name that file in {AMAN_VARIABLE}; without it the maps come from random weights."
)
_WINDOWS = (
    "{name}: windows are cut around five points of the face. On published maps that came without apex pictures they "
    "are fixed, the same for every clip; the original's detector found points on 270 of the 442 apexes."
)


def note_of_feature(name: str) -> str | None:
    """What is peculiar to the definition of a feature, wherever it is computed; None if there is nothing to say."""
    if name.startswith("flow_offtanet_") and not name.endswith("_standard-sobel"):
        return _OFFTANET.format(name=name)
    if name in ("htnet_mosaic_28", "htnet_corners_28"):
        return _WINDOWS.format(name=name)
    return {"flow_meb_64": _MEB, "aman_maps": _AMAN}.get(name)


def warning_on_dataset(store: Store, dataset: Dataset, name: str) -> str | None:
    """What a feature will lack on this dataset that its paper had, and the remedy; None if nothing.

    An imported feature is as it came, and nothing is said of it.
    """
    have = store.features(dataset.name)
    if name not in FEATURES or (name in have and store.feature(dataset.name, name).source != "computed"):
        return None
    spec = FEATURES[name]
    if spec.params.get("weights") == RANDOM_WEIGHTS:
        return (
            f"{name} comes from a ResNet-18 with RANDOM weights: name the authors' file ({AMAN_FILE}, in their "
            f"repository) in {AMAN_VARIABLE}"
        )
    if dataset.align or not spec.uses_landmarks or all(clip.landmarks is not None for clip in dataset.clips):
        return None
    fixed = f"{name} is cut at fixed landmarks, the same for every clip"
    if dataset.frame_root is None and "apex_28" not in have:
        return f"{fixed}: these maps came without apex pictures, in which a face could be looked for"
    if mtcnn.installed() is None:
        remedy = 'pip install "mer-orchestrator[landmarks]", or import with --landmarks FILE'
        return f"{fixed} without landmarks of its own: no detector of faces is installed ({remedy})"
    return None
