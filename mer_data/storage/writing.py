"""Writing the parts of one dataset into a folder of the store: clip table, imported features, manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mer_data.editions import Edition
from mer_data.faces.alignment import NONE, AlignSpec
from mer_data.features.spec import FeatureSpec
from mer_data.files import write_sealed
from mer_data.hashing import digest, digest_bytes
from mer_data.schema import Clip, to_table
from mer_data.storage.arrow_files import write_arrays, write_table
from mer_data.storage.shards import Shard


class DatasetWriter:
    """Writes the parts of one dataset into a folder that nobody reads yet; see :meth:`Store.replacing`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    def clips(
        self,
        clips: Sequence[Clip],
        *,
        format_: str,
        frame_root: Path | None,
        notes: Sequence[str] = (),
        edition: Edition | None = None,
        raw: bool = False,
        align: AlignSpec = NONE,
        made_from: str = "",
    ) -> None:
        """Write the clip table; `notes` are the importer's remarks, kept with the dataset as all else is."""
        write_table(self._folder / "clips.arrow", to_table(clips))
        root = str(frame_root.resolve()) if frame_root else None
        info: dict[str, Any] = {"name": self._name, "format": format_, "frame_root": root, "notes": list(notes)}
        info["edition"] = asdict(edition) if edition else None
        info |= {"raw": raw, **({"align": align.name} if align else {})}
        info |= {"made_from": made_from} if made_from else {}
        write_sealed(self._folder / "dataset.json", info)

    def feature(
        self, spec: FeatureSpec, arrays: Mapping[str, npt.NDArray[Any]], clips: Sequence[Clip], origin: str
    ) -> None:
        """Write a feature that another project extracted: an array per clip id, for every clip."""
        folder = self._folder / "features" / spec.name
        shards = []
        for subject in sorted({clip.subject for clip in clips}):
            ids = [clip.id for clip in clips if clip.subject == subject]
            sums = [digest_bytes(_checked(arrays[clip_id], spec).data) for clip_id in ids]
            key = digest([ids, sums])
            shards.append(Shard(subject, key, len(ids)))
            # Read twice rather than held: a subject's arrays may be larger than memory.
            rows = ((clip_id, _checked(arrays[clip_id], spec)) for clip_id in ids)
            write_arrays(folder / shards[-1].file, rows, {"key": key})
        write_manifest(folder, spec, shards, f"imported: {origin}")


def write_manifest(folder: Path, spec: FeatureSpec, shards: Iterable[Shard], source: str) -> None:
    """Declare of which shards a feature in a folder consists."""
    shards = sorted(shards, key=lambda shard: shard.subject)
    manifest = {
        "definition": spec.describe(),
        "source": source,
        "key": digest([spec.key(), source, [[shard.subject, shard.key] for shard in shards]]),
        "shards": [{"subject": shard.subject, "key": shard.key, "clips": shard.clips} for shard in shards],
    }
    write_sealed(folder / "manifest.json", manifest)


def _checked(array: npt.NDArray[Any], spec: FeatureSpec) -> npt.NDArray[Any]:
    if array.shape != spec.shape or array.dtype != spec.dtype:
        raise ValueError(f"{spec.name}: an array of shape {array.shape} {array.dtype}, not {spec.shape} {spec.dtype}")
    return np.ascontiguousarray(array)
