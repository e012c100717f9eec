"""The real maps, where they are at hand."""

import csv
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from contract import contents

from mer_data.imported import Imported
from mer_data.published import htnet
from mer_data.schema import Clip
from mer_data.synthetic.htnet import HEADER, MAPS, SHEET, TREE
from mer_data.synthetic.published import LABELS

REAL = Path(os.environ.get("MER_MEGC2019_FLOW") or Path(__file__).parents[3].parent / "shared/data/megc2019_flow")
pytestmark = pytest.mark.skipif(
    not (REAL / "samples.csv").is_file(),
    reason=f"no published maps in {REAL}; set MER_MEGC2019_FLOW to their folder",
)


@pytest.fixture(scope="module")
def real() -> Imported:
    return htnet.read([REAL])


def person(clip: Clip) -> str:
    return clip.subject.partition("/")[2]


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


def linker(pool: Path) -> Callable[[Clip, Path], None]:
    """Copy each map once and then link it: 30,000 files in seconds. Copies where links are impossible."""
    link: Callable[[Path, str], object] = os.link
    shutil.copytree(REAL / "png", pool)

    def put(clip: Clip, folder: Path) -> None:
        nonlocal link
        source, path = pool / f"{person(clip)}_{clip.name}.png", f"{folder}/{person(clip)}_{clip.name} .png"
        try:
            link(source, path)
        except OSError:
            link = shutil.copyfile
            link(source, path)

    return put


def write_tree(root: Path, clips: list[Clip], put: Callable[[Clip, Path], None]) -> Path:
    for held_out in {person(clip) for clip in clips}:
        for clip in clips:
            half = "u_test" if person(clip) == held_out else "u_train"
            folder = root / TREE / held_out / half / str(LABELS[clip.emotion])
            folder.mkdir(parents=True, exist_ok=True)
            put(clip, folder)
    return root / TREE


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)  # thousands of files


def test_real_maps_in_the_flat_form(real: Imported, root: Path) -> None:
    (root / "flat" / MAPS).mkdir(parents=True)
    put = linker(root / "pool")
    with (root / "flat" / SHEET).open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        for clip in real.clips:
            put(clip, root / "flat" / MAPS)
            rows.writerow((clip.dataset, person(clip), clip.name, LABELS[clip.emotion], "", "", ""))
    np.testing.assert_equal(contents(htnet.read([root / "flat"])), contents(real))


def test_real_maps_in_the_tree_form(real: Imported, root: Path) -> None:
    put = linker(root / "pool")
    few = [clip for clip in real.clips if person(clip) in {"sub17", "s03", "s04", "006", "011"}]
    started = time.monotonic()
    tree = write_tree(root / "few", few, put)
    files = len({clip.subject for clip in few}) * len(few)
    whole = (time.monotonic() - started) / files * 68 * 442 < 6  # seconds; a slow disk gets the few only
    read = htnet.read([write_tree(root / "all", list(real.clips), put) if whole else tree])
    if whole:
        np.testing.assert_equal(contents(read), contents(real))
        return
    assert read.clips == tuple(few)
    for clip_id, array in read.features[0].arrays.items():
        np.testing.assert_array_equal(array, real.features[0].arrays[clip_id])
