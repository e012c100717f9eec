"""The formats that can be imported, and the one way from a source into a store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mer_data import schema, sizes
from mer_data.datasets import casme, casme2, casme3, casme_sq, dfme, fourdme, mmew, samm, samm_lv, smic, smic_e
from mer_data.datasets.common import descend
from mer_data.editions import recognise
from mer_data.faces.landmarks import read_landmarks
from mer_data.frames import frame_bytes, list_frames
from mer_data.hashing import digest
from mer_data.imported import ApexRule, Imported, Importer, PartlyRead
from mer_data.layouts import looks_like
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.published import aman, atn, dual_atme, htnet, offtanet
from mer_data.schema import Clip
from mer_data.storage.store import Store

FORMATS: Mapping[str, Importer] = {
    "casme": casme.read,
    "casme2": casme2.read,
    "casme_sq": casme_sq.read,
    "casme3a": casme3.read_a,
    "casme3c": casme3.read_c,
    "samm": samm.read,
    "samm_lv": samm_lv.read,
    "smic": smic.read_hs,
    "smic_vis": smic.read_vis,
    "smic_nir": smic.read_nir,
    "smic_e": smic_e.read_hs,
    "smic_e_vis": smic_e.read_vis,
    "smic_e_nir": smic_e.read_nir,
    "mmew": mmew.read,
    "4dme": fourdme.read,
    "dfme": dfme.read,
    # What other projects extracted: the apex is where they found it.
    "htnet": lambda sources, _: htnet.read(sources),
    "offtanet": lambda sources, _: offtanet.read(sources),
    "dual_atme": lambda sources, _: dual_atme.read(sources),
    "atn": lambda sources, _: atn.read(sources),
    "aman": lambda sources, _: aman.read(sources),
}
# Distributed as whole pictures only. Whoever cut faces out of them has smaller pictures: those are taken as they are.
_NEVER_CROPPED = frozenset({"casme3a", "casme3c", "samm_lv", "smic_e", "smic_e_vis", "smic_e_nir", "dfme"})
_WHOLE_SIDE = 400  # pixels: distributed crops have up to 350, whole pictures 640 or more
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def read_format(
    format_: str, sources: Sequence[Path], apex: ApexRule = "midpoint", *, partial: bool = False
) -> Imported:
    """Read and validate a dataset without writing anything.

    With `partial`, clips that cannot be used are left out, each with a note that names it and says why; else they are
    an error. A source of which nothing can be used is one in any case.

    Raises
    ------
    BadInput
        If the format is unknown, or with all that is wrong with the source; :class:`~mer_data.imported.PartlyRead` if
        some of its clips could be used.
    """
    if format_ not in FORMATS:
        raise BadInput(Problem(format_, "unknown format", did_you_mean(format_, FORMATS)))
    raise_all(Problem(str(path), "no such file or folder") for path in sources if not path.exists())
    # Archives often unpack into a folder of their own name.
    try:
        imported = FORMATS[format_]([descend(path) if path.is_dir() else path for path in sources], apex)
    except PartlyRead as error:
        if not partial or not error.rest.clips:
            raise
        imported = error.rest
    except BadInput as error:
        signs = looks_like(sources)
        # Where something looks like the format that was asked for, its own words are the ones that help.
        if not signs or format_.removesuffix("_vis").removesuffix("_nir") in dict(signs):
            raise
        other, path = signs[0]
        what = f"looks like {other}, not {format_}"
        raise BadInput([Problem(str(path), what, f"import it as {other}"), *error.problems]) from error
    raise_all(schema.find_problems(imported.clips, str(imported.source)))
    content = imported.content or digest([[clip.id, clip.emotion] for clip in imported.clips])[:12]
    rows = imported.rows or len(imported.clips) + imported.left_out
    edition = recognise(format_, imported.clips, rows, imported.left_out, content)
    return replace(imported, edition=edition, raw=imported.raw or _is_raw(format_, imported))


def read_points(sheet: Path, imported: Imported) -> dict[str, tuple[float, ...]]:
    """The landmarks of clips by their ids, from a sheet that fits their onset frames.

    Raises
    ------
    BadInput
        As :func:`~mer_data.faces.landmarks.read_landmarks`.
    """
    return read_landmarks(sheet, imported.clips, lambda clip: _onset_size(clip, imported.frame_root))


def _is_raw(format_: str, imported: Imported) -> bool:
    """Whether the frames of a format that has no cropped tree are whole pictures, by the size of the first."""
    if format_ not in _NEVER_CROPPED or imported.frame_root is None:
        return False
    size = _onset_size(imported.clips[0], imported.frame_root)
    return size is not None and max(size) >= _WHOLE_SIDE


def _onset_size(clip: Clip, root: Path | None) -> tuple[int, int] | None:
    """Width and height of a clip's onset frame, or of its first; None if there is no telling."""
    if root is None or clip.frames is None:
        return None
    with suppress(BadInput, OSError, StopIteration):  # what is wrong with a frame is told when it is used
        frames = list_frames(root / clip.frames, root)
        path = frames[clip.onset] if clip.onset in frames else next(iter(frames.values()))
        return sizes.picture_size(frame_bytes(path))
    return None


def import_dataset(
    format_: str,
    sources: Sequence[Path],
    store: Store,
    name: str,
    apex: ApexRule = "midpoint",
    landmarks: Path | None = None,
    *,
    partial: bool = False,
) -> Imported:
    """Read a dataset and put it into the store under `name`, taking the place of one of that name.

    `landmarks` is a sheet with points of the clips' faces, for :func:`~mer_data.faces.landmarks.read_landmarks`;
    `partial` is that of :func:`read_format`.

    Raises
    ------
    BadInput
        As :func:`read_format`; the store is untouched then.
    """
    if not _PLAIN_NAME.fullmatch(name):
        raise BadInput(Problem(name, "cannot be a dataset's name", "use letters, digits, '_', '-' and '.'"))
    imported = read_format(format_, sources, apex, partial=partial)
    if landmarks is not None:
        marked = read_points(landmarks, imported)
        clips = tuple(replace(clip, landmarks=marked.get(clip.id)) for clip in imported.clips)
        imported = replace(imported, clips=clips)
    with store.replacing(name) as writer:
        root, edition = imported.frame_root, imported.edition
        notes = imported.notes
        writer.clips(imported.clips, format_=format_, frame_root=root, notes=notes, edition=edition, raw=imported.raw)
        for feature in imported.features:
            writer.feature(feature.spec, feature.arrays, imported.clips, feature.origin)
    return imported
