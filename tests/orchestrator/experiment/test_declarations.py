"""What a plan asks of models: the same whether it is remembered or the model is asked, with what that costs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mer_models.complexity import complexity
from mer_models.registry import MODELS
from mer_models.spec import models
from orchestrator.experiment.declarations import Declaration

COUNTED = ("majority", "ststnet", "htnet_fixed")
ASKED = f"""
import json, sys
from pydantic import TypeAdapter
from mer_models.registry import MODELS
from orchestrator.experiment.declarations import Declaration, code_digest, costs, declaration
adapter = TypeAdapter(Declaration)
told = {{name: [adapter.dump_python(declaration(name), mode="json"), code_digest(name)] for name in MODELS}}
told["costs"] = [dict(costs(name, 5)) for name in {COUNTED!r}]
print(json.dumps([told, "torch" in sys.modules]))
"""


def ask(cache: Path) -> Any:
    """Ask in a new process: what is declared, and whether PyTorch was imported."""
    environment = {**os.environ, "MER_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", ASKED], env=environment, capture_output=True, check=True)
    return json.loads(done.stdout)


def truth() -> dict[str, Any]:
    """What the models themselves say, as JSON."""
    adapter, told = TypeAdapter(Declaration), dict[str, Any]()
    for name in MODELS:
        spec = models()[name]
        declared = Declaration(
            spec.inputs, spec.instead, spec.recipe, spec.space, spec.gpu_share, is_network=spec.build is not None
        )
        told[name] = [adapter.dump_python(declared, mode="json"), spec.code_digest()]
    told["costs"] = [vars(complexity(models()[name], 5)) for name in COUNTED]
    found: dict[str, Any] = json.loads(json.dumps(told))
    return found


def test_what_is_remembered_is_what_the_models_say(tmp_path: Path) -> None:
    assert ask(tmp_path) == [truth(), True], "the first time every model is asked"
    assert ask(tmp_path) == [truth(), False], "then none is, and PyTorch is not imported"
