"""Leave one subject out with STSTNet, start to end: `mer run` against the script of its authors, as whole processes.

The script is written after the authors' PyTorch port: it reads the pictures of a fold one by one, makes a DataLoader
over them, trains the three streams side by side with Adam, and tests the held-out subject after every epoch; PyTorch
may use all cores. `mer run` does the same 68 folds with the same epochs from its store, and prints a table of scores.

Give the number of epochs (30 if not given). Both take turns, twice; the faster time of each counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUBJECTS, PER_SUBJECT, ROUNDS = 68, 6, 2
ROOT = Path(__file__).resolve().parents[2]


def prepare(folder: Path) -> None:
    """The same clips as a store, and as a picture per clip in folders of subject and class."""
    import cv2
    from blobs import blob_clips, write_blobs

    from mer_data.storage.store import Store

    store = Store(folder / "store")
    clips = blob_clips(SUBJECTS, PER_SUBJECT)
    write_blobs(store, "blobs", clips)
    classes = sorted({clip.emotion for clip in clips})
    import numpy as np

    random = np.random.default_rng(0)
    for clip in clips:
        where = folder / "pictures" / clip.subject.replace("/", "_") / str(classes.index(clip.emotion))
        where.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(where / f"{clip.name}.png"), random.integers(0, 256, (28, 28, 3), np.uint8))


def as_the_authors(pictures: Path, epochs: int) -> None:
    """All folds, one after the other."""
    import cv2
    import numpy as np
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from mer_models.networks.ststnet import ThreeStreams

    def tensors(of: list[Path]) -> TensorDataset:
        clips, labels = [], []
        for path in sorted((path for subject in of for path in subject.glob("*/*.png")), key=lambda p: p.parent.name):
            clips.append(cv2.imread(str(path)))
            labels.append(int(path.parent.name))
        maps = torch.Tensor(np.array(clips)).permute(0, 3, 1, 2).contiguous()
        return TensorDataset(maps, torch.tensor(labels))

    subjects = sorted(pictures.iterdir())
    for held_out in subjects:
        network = ThreeStreams(3)
        optimizer, loss_of = torch.optim.Adam(network.parameters(), lr=5e-5), torch.nn.CrossEntropyLoss()
        train = DataLoader(tensors([one for one in subjects if one != held_out]), batch_size=256)
        test = DataLoader(tensors([held_out]), batch_size=256)
        for _ in range(epochs):
            network.train()
            for clips, labels in train:
                optimizer.zero_grad()
                logits = network(clips)
                loss_of(logits, labels).backward()
                optimizer.step()
                logits.max(1)[1].eq(labels).sum().item()
            network.eval()
            with torch.no_grad():
                for clips, labels in test:
                    network(clips).max(1)[1].eq(labels).sum().item()


def seconds(command: list[str], folder: Path) -> float:
    """Wall time of a process."""
    paths = f"{ROOT}:{ROOT / 'tests'}"
    environment = {**os.environ, "PYTHONPATH": paths, "MER_STORE": str(folder / "store")}
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - start


def main() -> None:
    """Print both times and their ratio."""
    if "--authors" in sys.argv:
        as_the_authors(Path(sys.argv[-2]), int(sys.argv[-1]))
        return
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    sys.path.insert(0, str(ROOT / "tests"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        recipe = {"ststnet": {"epochs": epochs, "keep_every": epochs}}
        told = {"name": "loso", "datasets": ["blobs"], "models": ["ststnet"], "recipes": recipe}
        (folder / "loso.yaml").write_text(json.dumps(told))
        theirs, ours = [], []
        for turn in range(ROUNDS):
            script = [sys.executable, __file__, "--authors", str(folder / "pictures"), str(epochs)]
            theirs.append(seconds(script, folder))
            mer = str(Path(sys.executable).with_name("mer"))
            ours.append(seconds([mer, "run", str(folder / "loso.yaml"), "--out", str(folder / f"out{turn}")], folder))
        print(f"{SUBJECTS} folds of ststnet, {epochs} epochs each: the authors' script {min(theirs):.1f} s, "
              f"mer run {min(ours):.1f} s; ratio {min(theirs) / min(ours):.2f}x")  # fmt: skip


if __name__ == "__main__":
    main()
