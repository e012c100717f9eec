"""What a GPU makes of many small folds: equality first, then speeds, as `gpu-report.json` and a page to send.

First `pytest -m gpu`, where pytest is installed. Then, with nothing but PyTorch and NumPy beside this checkout, each
network is trained on random clips of a large fold: operator by operator, recorded, in packs of 8 and 32 recorded folds,
in four processes at once, and as 8 folds fused into one network (vmap, recorded; a speed only). What is left when the
minutes are over is named as not measured.

    python tests/benchmarks/gpu_report.py [--minutes 8] [--device cuda] [--networks NAME ...] [--to FOLDER]
"""

from __future__ import annotations

import argparse
import html
import importlib
import json
import multiprocessing
import pkgutil
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import mer_models.networks  # noqa: E402
from mer_models.gpu_ways import Speed, differing_fold, measure_ways, start_and_epoch  # noqa: E402
from mer_models.pack import PackedFold, train_pack  # noqa: E402
from mer_models.recorded import GraphLane, Lane  # noqa: E402
from mer_models.spec import REGISTRY, FoldArrays, ModelSpec, Outcome  # noqa: E402

# The order in which they are measured: what is used most first, what takes longest last.
FIRST = ["ststnet", "ststnet_table", "off_apexnet", "dual_inception", "rcn_a", "off_tanet", "htnet_fixed"]
LAST = ["atn", "aman", "micro_attention", "micro_attention_caffe", "macnn", "htnet"]
TRAINED, TESTED, CLASSES = 436, 6, 3
WAYS = ("plain", "recorded", "pack of 8", "pack of 32", "4 processes", "8 fused")


def networks() -> list[str]:
    for module in pkgutil.iter_modules(mer_models.networks.__path__):
        importlib.import_module(f"mer_models.networks.{module.name}")
    names = [name for name, spec in REGISTRY.items() if spec.build is not None]
    return sorted(names, key=lambda name: (name in LAST, name not in FIRST, name))


def seconds_of_an_epoch(train: Callable[[int], object]) -> float:
    """Of a training, without what comes before and after its epochs."""
    epoch = start_and_epoch(train)[1]
    if not epoch:
        raise RuntimeError("too short to be timed")
    return epoch


def of_pack(spec: ModelSpec, fold: FoldArrays, size: int, lane: Callable[[], Lane]) -> float:
    def train(epochs: int) -> None:
        recipe = replace(spec.recipe, epochs=epochs, keep_every=epochs)
        folds = [PackedFold(spec, fold, recipe, seed) for seed in range(size)]
        for end in train_pack(folds, lambda *_: None, lane):
            if not isinstance(end.result, Outcome):
                raise end.result or MemoryError(f"the GPU does not hold {size} folds")

    return seconds_of_an_epoch(train) / size


def of_process(name: str, trained: int, device: str) -> float:
    networks()
    spec = REGISTRY[name]
    fold = differing_fold(spec.inputs, trained, TESTED, CLASSES)

    def train(epochs: int) -> object:
        return spec.fit(spec, fold, replace(spec.recipe, epochs=epochs, keep_every=epochs), 0, device)

    train(1)
    return seconds_of_an_epoch(train)


def of_processes(name: str, trained: int, device: str, number: int = 4) -> float:
    with multiprocessing.get_context("spawn").Pool(number) as pool:
        return max(pool.starmap(of_process, [(name, trained, device)] * number)) / number


def of_fused(spec: ModelSpec, fold: FoldArrays, lane: Lane, number: int = 8) -> float:
    """Steps of several networks as one, each with clips of its own; forward, backward and Adam."""
    from torch.func import functional_call, stack_module_state, vmap

    with lane.own():
        made = [spec.build(CLASSES).to(lane.device) for _ in range(number)]  # type: ignore[misc]
        parameters, buffers = stack_module_state(made)
        optimizer = torch.optim.Adam(list(parameters.values()), lr=1e-4, capturable=lane.device == "cuda")
        batch = min(spec.recipe.batch_size, len(fold.labels))
        steps = max(len(fold.labels) // batch, 1)
        clips = [torch.as_tensor(x[:batch]).float().to(lane.device) for x in fold.train]
        clips = [x.expand(number, *x.shape).contiguous() for x in clips]
        labels = torch.as_tensor(fold.labels[:batch]).to(lane.device).expand(number, batch).contiguous()

        def loss(parameters: Any, buffers: Any, labels: torch.Tensor, *clips: torch.Tensor) -> torch.Tensor:
            logits = functional_call(made[0], (parameters, buffers), clips)
            return torch.nn.functional.cross_entropy(logits, labels)

        def epoch() -> None:
            for _ in range(steps):
                optimizer.zero_grad()
                vmap(loss, randomness="different")(parameters, buffers, labels, *clips).sum().backward()
                optimizer.step()

        epoch()
        play = lane.record(epoch)

        def train(epochs: int) -> None:
            for _ in range(epochs):
                play()
            if lane.device == "cuda":
                torch.cuda.synchronize()

        return seconds_of_an_epoch(train) / number


def measured(name: str, device: str, lane: Callable[[], Lane], trained: int) -> dict[str, Any]:
    """Fold-epochs in a second by way, or in words why not; what a fold takes; how far logits are apart."""
    spec, row = REGISTRY[name], dict[str, Any](network=name, batch=REGISTRY[name].recipe.batch_size)
    fold = differing_fold(spec.inputs, trained, TESTED, CLASSES)
    ways = measure_ways(spec, fold, spec.recipe, device, lane)
    for way, found in (("plain", ways["plain"]), ("recorded", ways.get("graph", "not tried"))):
        timed = isinstance(found, Speed) and found.epoch > 0
        row[way] = (
            round(1 / found.epoch, 1) if timed else "too short to be timed" if isinstance(found, Speed) else found
        )
    row["gaps"] = {way: found.gap for way, found in ways.items() if isinstance(found, Speed)}
    row["seconds to start"] = {way: round(found.start, 3) for way, found in ways.items() if isinstance(found, Speed)}
    if device == "cuda":
        row["GiB of a recorded fold"] = round(torch.cuda.max_memory_reserved() / 4 / 2**30, 3)
    others: dict[str, Callable[[], float]] = {
        "pack of 8": lambda: of_pack(spec, fold, 8, lane),
        "pack of 32": lambda: of_pack(spec, fold, 32, lane),
        "4 processes": lambda: of_processes(name, trained, device),
        "8 fused": lambda: of_fused(spec, fold, lane()),
    }
    for way, measure in others.items():
        try:
            row[way] = round(1 / measure(), 1)
        except Exception as error:  # a way that does not work is a finding
            row[way] = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return row


def in_its_process(name: str, device: str, trained: int, minutes: float) -> dict[str, Any]:
    """A failed recording spoils its process, so each network has one of its own."""
    command = [sys.executable, __file__, "--one", name, "--device", device, "--trained", str(trained)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=60 * minutes, check=False)
    except subprocess.TimeoutExpired:
        return {"network": name, "plain": "not measured: the minutes were over"}
    lines = run.stdout.strip().splitlines()
    if run.returncode or not lines:
        return {"network": name, "plain": f"its process ended with {run.returncode}: {run.stderr.strip()[-200:]}"}
    row: dict[str, Any] = json.loads(lines[-1])
    return row


def tests(seconds: float) -> str:
    """The last line of `pytest -m gpu`."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(ROOT / "tests")]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return f"not finished within {seconds:.0f} s"
    if "No module named pytest" in run.stderr:
        return "pytest is not installed"
    return next((line for line in reversed(run.stdout.splitlines()) if line.strip()), run.stderr[-300:])


def page(report: dict[str, Any]) -> str:
    """All of it as one page."""
    head = ["network", "batch", *WAYS, "logits of recorded and plain ones"]
    rows = [
        [str(row.get(key, "")) for key in head[:-1]] + [str(row.get("gaps", {}).get("graph", ""))]
        for row in report["networks"]
    ]
    cells = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    told = "".join(f"<p>{html.escape(f'{key}: {report[key]}')}</p>" for key in ("device", "torch", "tests", "seconds"))
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    style = "body{font:15px sans-serif;margin:2em}td,th{padding:.2em .6em;border-bottom:1px solid #ccc;text-align:left}"
    return (
        f'<!doctype html><meta charset="utf-8"><title>GPU report</title><style>{style}</style><h1>Folds on a GPU</h1>'
        f"{told}<p>Epochs of folds in a second, of {TRAINED} clips each; words where there is no figure.</p>"
        f"<table><tr>{titles}</tr>{cells}</table>\n"
    )


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--device", default="cuda", help="cpu only shows that this script works")
    parser.add_argument("--networks", nargs="*")
    parser.add_argument("--trained", type=int, default=TRAINED)
    parser.add_argument("--to", type=Path, default=Path())
    parser.add_argument("--one", help=argparse.SUPPRESS)
    wanted = parser.parse_args(given)
    lane: Callable[[], Lane] = GraphLane
    if wanted.device == "cpu":
        sys.path.insert(0, str(ROOT / "tests"))
        lane = importlib.import_module("tape").Plain
    elif not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU here; `--device cpu --trained 12` shows that this script works")
    if wanted.one:
        networks()
        print(json.dumps(measured(wanted.one, wanted.device, lane, wanted.trained)))
        return
    begin = time.monotonic()
    name = torch.cuda.get_device_name() if wanted.device == "cuda" else f"cpu {platform.machine()}, which is no GPU"
    report: dict[str, Any] = {"device": name, "torch": torch.__version__, "python": platform.python_version()}
    report["tests"] = tests(60 * wanted.minutes / 3) if wanted.device == "cuda" else "not run"
    report["networks"] = []
    for one in wanted.networks or networks():
        left = wanted.minutes - (time.monotonic() - begin) / 60
        row = in_its_process(one, wanted.device, wanted.trained, left) if left > 0.2 else {
            "network": one, "plain": "not measured: the minutes were over"}  # fmt: skip
        report["networks"].append(row)
        print(json.dumps(row), flush=True)
    report["seconds"] = round(time.monotonic() - begin)
    wanted.to.mkdir(parents=True, exist_ok=True)
    (wanted.to / "gpu-report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (wanted.to / "gpu-report.html").write_text(page(report), encoding="utf-8")
    print(f"written: {wanted.to / 'gpu-report.html'} and gpu-report.json, {report['seconds']} s")


if __name__ == "__main__":
    main()
