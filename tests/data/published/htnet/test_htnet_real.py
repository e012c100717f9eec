"""The real maps, where they are at hand."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from htnet_forms import (
    LABELS,
    Twin,
    assert_same,
    write_flat,
    write_tree,
)

from mer_data.imported import Imported
from mer_data.published import htnet

REAL = Path(os.environ.get("MER_MEGC2019_FLOW") or Path(__file__).parents[4].parent / "shared/data/megc2019_flow")


needs_real = pytest.mark.skipif(
    not (REAL / "samples.csv").is_file(),
    reason=f"no published maps in {REAL}; set MER_MEGC2019_FLOW to their folder",
)


@pytest.fixture(scope="module")
def real() -> Imported:
    return htnet.read([REAL])


@pytest.fixture(scope="module")
def real_twins(real: Imported) -> list[Twin]:
    """The real annotations with the real files' bytes, to be written in the other forms."""
    return [
        Twin(
            clip.dataset,
            clip.subject.partition("/")[2],
            clip.name,
            clip.emotion,
            (REAL / "png" / f"{clip.subject.partition('/')[2]}_{clip.name}.png").read_bytes(),
        )
        for clip in real.clips
    ]


@needs_real
def test_real_maps(real: Imported) -> None:
    assert real.notes == ()
    assert len({clip.subject for clip in real.clips}) == 68
    assert Counter(clip.emotion for clip in real.clips) == {"negative": 250, "positive": 109, "surprise": 83}
    assert Counter(clip.dataset for clip in real.clips) == {"casme2": 145, "smic": 164, "samm": 133}
    published = np.load(REAL / "flow_u_v_os_uint8.npz")
    ids = [
        f"{dataset}/{subject}/{clip}"
        for dataset, subject, clip in zip(*(published[key] for key in ("dataset", "subject", "clip")), strict=True)
    ]
    assert [clip.id for clip in real.clips] == ids
    assert [LABELS[clip.emotion] for clip in real.clips] == published["labels"].tolist()
    arrays = np.stack([real.features[0].arrays[clip_id] for clip_id in ids])
    np.testing.assert_array_equal(arrays, published["images"].transpose(0, 3, 1, 2))


@needs_real
def test_real_maps_in_the_flat_form(real: Imported, real_twins: list[Twin], tmp_path: Path) -> None:
    write_flat(tmp_path, real_twins)
    assert_same(real, htnet.read([tmp_path]))


def linker(pool: Path) -> Callable[[Path, Twin], None]:
    """Write each map once and then link it: 30,000 files in seconds. Copies where links are impossible."""
    link: Callable[[str, str], object] = os.link

    def put(path: Path, twin: Twin) -> None:
        nonlocal link
        source = pool / twin.file()
        if not source.exists():
            source.write_bytes(twin.png)
        try:
            link(str(source), str(path))
        except OSError:
            link = shutil.copyfile
            link(str(source), str(path))

    pool.mkdir()
    return put


@needs_real
def test_real_maps_in_the_tree_form(real: Imported, real_twins: list[Twin], tmp_path: Path) -> None:
    put = linker(tmp_path / "pool")
    few = [twin for twin in real_twins if twin.subject in {"sub17", "s03", "s04", "006", "011"}]
    started = time.monotonic()
    tree = write_tree(tmp_path / "few", few, put)
    files = len({twin.subject for twin in few}) * len(few)
    whole = (time.monotonic() - started) / files * 68 * 442 < 6  # seconds; a slow disk gets the few only
    tree = write_tree(tmp_path / "all", real_twins, put) if whole else tree
    read = htnet.read([tree])
    if whole:
        assert_same(real, read)
        return
    ids = {twin.id for twin in few}
    assert read.clips == tuple(clip for clip in real.clips if clip.id in ids)
    for clip_id, array in read.features[0].arrays.items():
        np.testing.assert_array_equal(array, real.features[0].arrays[clip_id])
