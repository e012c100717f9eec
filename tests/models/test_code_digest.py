"""The identity of code follows from what it says, not from where it lies."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest

import mer_models
from mer_models.code_digest import digest_of_sources
from mer_models.registry import MODELS
from mer_models.spec import models

Digest = Callable[[str], str]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Digest]]:
    """A copy of the package under another name, and the digest of one of its modules as its files are then."""
    folder = tmp_path / "copied"
    copytree(Path(mer_models.__path__[0]), folder)
    monkeypatch.syspath_prepend(tmp_path)
    replace_everywhere(folder, "mer_models", "copied")

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "copied"]:
            del sys.modules[name]

    def digest(module: str) -> str:
        forget()
        importlib.invalidate_caches()
        importlib.import_module(module)
        return digest_of_sources([module], {"copied"}, besides="copied.spec")

    yield folder, digest
    forget()


def replace_everywhere(folder: Path, old: str, new: str) -> None:
    for path in folder.rglob("*.py"):
        path.write_text(path.read_text().replace(old, new))


def test_a_module_that_is_moved_and_renamed_is_the_same_code(copied: tuple[Path, Digest]) -> None:
    folder, digest = copied
    before = digest("copied.networks.off_tanet")
    (folder / "blocks").mkdir()
    moved = {"networks/off_tanet_blocks": "residual", "layers": "operators", "losses": "objective"}
    for old, new in moved.items():
        (folder / f"{old}.py").rename(folder / "blocks" / f"{new}.py")
        replace_everywhere(folder, f"copied.{old.replace('/', '.')} import", f"copied.blocks.{new} import")
    assert digest("copied.networks.off_tanet") == before


def test_a_module_that_is_used_by_its_name_may_have_another(copied: tuple[Path, Digest]) -> None:
    folder, digest = copied
    before = digest("copied.networks.atn")
    (folder / "networks" / "caffe.py").rename(folder / "networks" / "resnet10.py")
    replace_everywhere(folder, "caffe.", "resnet10.")
    replace_everywhere(folder, "import caffe", "import resnet10")
    assert digest("copied.networks.atn") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (
            "networks/off_tanet_blocks.py",
            "kernel_size=3, padding=1)",
            "kernel_size=5, padding=2)",
        ),
        ("losses.py", "F.cross_entropy(", "F.nll_loss("),
        ("layers.py", "import torch.nn.functional as F", "import torch.functional as F"),
        ("networks/off_tanet.py", "import Dropout", "import Linear as Dropout"),
    ],
)
def test_another_constant_or_another_function_is_other_code(
    copied: tuple[Path, Digest], file: str, old: str, new: str
) -> None:
    folder, digest = copied
    before = digest("copied.networks.off_tanet")
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    assert digest("copied.networks.off_tanet") != before


def test_remarks_and_the_order_of_imports_are_no_code(copied: tuple[Path, Digest]) -> None:
    folder, digest = copied
    before = digest("copied.train")
    text = (folder / "train.py").read_text()
    lines = [line for line in text.splitlines() if line.startswith("from copied.")]
    (folder / "train.py").write_text(text.replace("\n".join(lines), "# a remark\n" + "\n".join(reversed(lines))))
    assert digest("copied.train") == before


# Each child has imported PyTorch, and of ours one model only.
_EACH_ALONE = """
import json, multiprocessing, torch
from mer_models.spec import models

def digest(name):
    return name, models()[name].code_digest()

with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
    print(json.dumps(dict(pool.map(digest, list(models()), chunksize=1))))
"""


def test_it_does_not_matter_what_was_imported_before() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(mer_models.__path__[0]).parent)}
    done = subprocess.run([sys.executable, "-c", _EACH_ALONE], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    together = {name: models()[name].code_digest() for name in reversed(MODELS)}
    assert json.loads(done.stdout) == together
