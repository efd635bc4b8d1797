"""Are these metrics a result of these params? dvc.lock has the params and the hashes of the run that made them."""

import hashlib
from collections.abc import Mapping
from typing import Any

PARAMS, METRICS, LAST_STAGE = "params.yaml", "metrics.json", "evaluate"


def is_result(metrics: bytes, params: Mapping[str, Any], lock: Mapping[str, Any]) -> bool:
    """Whether metrics.json is the output of a run of `params`.

    Every stage from `evaluate` back to `prepare` must have run with these params, on the outputs of those before it.

    Args:
        params: params.yaml, nested.
        lock: dvc.lock.
    """
    stages = lock.get("stages") or {}
    outs = {out["path"]: (name, out.get("md5")) for name, stage in stages.items() for out in stage.get("outs", ())}
    if outs.get(METRICS) != (LAST_STAGE, hashlib.md5(metrics, usedforsecurity=False).hexdigest()):
        return False
    todo, done = [LAST_STAGE], set()
    while todo:
        name = todo.pop()
        done.add(name)
        stage = stages[name]
        if any(lookup(params, key) != value for key, value in stage.get("params", {}).get(PARAMS, {}).items()):
            return False
        for dependency in stage.get("deps", ()):
            producer, digest = outs.get(dependency["path"], (None, None))
            if producer is None:
                continue
            if digest != dependency.get("md5"):
                return False
            todo += [producer] if producer not in done else []
    return True


def lookup(nested: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; None if there is none."""
    value: Any = nested
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys -> values that are no mappings."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return found
