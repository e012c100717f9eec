"""What aligned flow of whole pictures costs: decoding, finding the face, warping, flow; processor time on one core.

    python tests/benchmarks/bench_alignment.py [CLIPS]

Pictures have the published size of SAMM, 2040 x 1088. The last lines are for those who wonder whether the face should
be looked for in a picture that the decoder itself makes smaller: the frame has to be decoded whole in any case, and
making it smaller then costs less.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mer_data.faces.aligner import make_aligner, warp
from mer_data.faces.alignment import ALIGNMENTS
from mer_data.faces.finder import find_face
from mer_data.features import FEATURES
from mer_data.features.spec import ClipFrames
from mer_data.formats import read_format
from mer_data.frames import decode, frame_bytes, list_frames
from mer_data.synthetic import TWINS

SPEC = FEATURES["flow_uvs_28"]
spent: defaultdict[str, float] = defaultdict(float)


def timed(name: str, do: Callable[[], Any]) -> Any:
    start = time.process_time()
    result = do()
    spent[name] += time.process_time() - start
    return result


def measure(tree: Path) -> None:
    imported = read_format("samm", [tree])
    similarity, clips = ALIGNMENTS["similarity"], imported.clips
    found = 0
    for number, clip in enumerate([clips[0], *clips]):  # the first one twice: it pays for what is compiled
        if number == 1:
            spent.clear()
            found = 0
        files = list_frames(imported.frame_root / clip.frames)
        read = [frame_bytes(files[at]) for at in (clip.onset, clip.apex)]
        onset, apex = timed("decoding", lambda read=read: [decode(data, "") for data in read])
        face = timed("finding the face", lambda onset=onset: find_face(onset))
        found += face is not None
        points = (
            np.float32([(900, 400), (1070, 400), (985, 480), (920, 560), (1050, 560)]) if face is None else face.points
        )
        aligner = make_aligner(similarity, onset, points.ravel().tolist(), "")
        frames = timed("warping", lambda pair=(onset, apex), to=aligner: [to.apply(frame) for frame in pair])
        timed("flow and maps", lambda frames=frames: SPEC.compute(ClipFrames(frames)))
    total = sum(spent.values())
    print(f"{len(clips)} clips of {onset.shape[1]}x{onset.shape[0]}, faces found in {found}")
    for name, seconds in spent.items():
        print(f"  {name:18} {1000 * seconds / len(clips):7.1f} ms per clip  {100 * seconds / total:5.1f} %")
    print(f"  {SPEC.name} with {similarity.name}: {len(clips) / total:.1f} clips per second and core")
    found_share = spent["finding the face"] / total
    print(f"  with points from a sheet: {len(clips) / (total * (1 - found_share)):.1f}")
    print("other ways")
    data, flags = frame_bytes(files[clip.onset]), cv2.IMREAD_REDUCED_COLOR_4
    buffer = np.frombuffer(data, np.uint8)
    for name, do in (
        ("decoded whole", lambda: decode(data, "")),
        ("decoded at a quarter", lambda: cv2.imdecode(buffer, flags)),
        ("reduced by area", lambda: cv2.resize(onset, (340, 181), interpolation=cv2.INTER_AREA)),
        ("warped whole", lambda: warp(onset, aligner.affine, similarity.size)),
        ("flow of whole frames", lambda: SPEC.compute(ClipFrames([onset, apex]))),
    ):
        start = time.process_time()
        times = 1 if "flow" in name else 10
        for _ in range(times):
            do()
        print(f"  {name:22} {1000 * (time.process_time() - start) / times:8.1f} ms")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "SAMM"
        TWINS["samm"](tree, subjects=8, clips=int(sys.argv[1]) if len(sys.argv) > 1 else 16, length=(4, 5), raw=True)
        measure(tree)
