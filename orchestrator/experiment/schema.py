"""The JSON Schema of experiment files: everything that is accepted, with the words that can be proposed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import TypeAdapter

from mer_data.composites import LISTS
from mer_data.labels import SCHEMES
from mer_data.schema import ALIGNMENT_NAMES, ApexChoice
from mer_models.spec import Recipe
from orchestrator.experiment.config import Experiment

_Schema = dict[str, Any]
# YAML reads 1e-4 as a text, and so a number may be one.
_NUMBER = {"type": "string", "pattern": r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"}
_LISTS_OR_ONE = ("datasets", "models", "seeds", "plugins", "union", "align", "apex", "jitter")


def experiment_schema(models: Sequence[str]) -> _Schema:
    """The schema of an experiment file (JSON Schema, draft 2020-12).

    Parameters
    ----------
    models
        The registered models, to be proposed; other names are not refused, since a file of the user's may register
        them.

    Returns
    -------
    A JSON document. What it refuses, ``mer run`` refuses too; what needs the store to be judged, it lets pass.
    """
    schema: _Schema = Experiment.model_json_schema()
    definitions: _Schema = schema["$defs"]
    recipe = _recipe_fields()
    own = schema["properties"]
    own["models"]["items"] = _proposed([*models, "all"])
    changes = {"type": "object", "additionalProperties": False, **recipe}
    own["recipes"] = {"type": "object", **_by_model([*models, "all"], changes)}
    choice = definitions["DatasetChoice"]["properties"]
    choice["classes"] |= _proposed([*SCHEMES, "native"])
    choice["clip_list"] = {"enum": [*LISTS, None], "default": None}
    own["datasets"]["items"] = {"anyOf": [{"$ref": "#/$defs/DatasetChoice"}, choice["name"]]}
    search = definitions["Search"]["properties"]
    search["groups"] = {"anyOf": [{"type": "integer", "minimum": 2}, {"const": "subjects"}], "default": 5}
    search["space"] = {"type": "object", **_by_model(models, _space(recipe["properties"]))}
    annotation = definitions["Annotation"]["properties"]
    for properties in (own, choice):
        aligned = {"type": "array", "items": {"enum": list(ALIGNMENT_NAMES)}}
        properties["align"] = {"anyOf": [aligned, {"type": "null"}], "default": None}
    annotation["apex"]["items"] = {"enum": list(get_args(ApexChoice))}
    for properties in (own, choice, annotation):
        for name in set(_LISTS_OR_ONE) & set(properties):
            properties[name] = _list_or_one(properties[name])
    _describe(own, schema.pop("description", None))
    for name in ("DatasetChoice", "Search", "Annotation"):
        _describe(definitions[name]["properties"], definitions[name].pop("description", None))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_with_numbers_as_texts(schema)}


def _recipe_fields() -> _Schema:
    properties = TypeAdapter(Recipe).json_schema()["properties"]
    for field in properties.values():
        field.pop("default", None)  # what is not given is as published, not as the class has it
    _describe(properties, Recipe.__doc__)
    return {"properties": properties}


def _space(fields: Mapping[str, Any]) -> _Schema:
    """What a search may vary: per field of a recipe a list of values, or a range of numbers."""
    number = {"type": "number"}
    bounds = {"low": number, "high": number, "log": {"type": "boolean"}}
    of_numbers = {"type": "object", "additionalProperties": False, "properties": bounds, "required": ["low", "high"]}
    properties: _Schema = {}
    for name, field in fields.items():
        values = {"type": "array", "minItems": 1, "items": field}
        is_number = field.get("type") in ("number", "integer")
        properties[name] = {"anyOf": [values, of_numbers]} if is_number else values
    properties.pop("keep_every")  # a search chooses among the epochs that are kept
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _by_model(models: Sequence[str], value: _Schema) -> _Schema:
    return {"properties": dict.fromkeys(models, value), "additionalProperties": value}


def _proposed(words: Sequence[str]) -> _Schema:
    """A text for which an editor proposes words; others are accepted."""
    return {"anyOf": [{"enum": list(words)}, {"type": "string"}]}


def _list_or_one(schema: _Schema) -> _Schema:
    """The schema of a list of distinct things, one of which stands for a list of it."""
    kept: _Schema = {key: schema[key] for key in ("default", "title") if key in schema}
    lists = [option for option in schema.get("anyOf", [schema]) if "items" in option]
    options = [{"type": "array", "uniqueItems": True, **_without(option, kept)} for option in lists]
    return {**kept, "anyOf": [*options, *(option["items"] for option in lists), *_null(schema)]}


def _null(schema: _Schema) -> list[_Schema]:
    return [option for option in schema.get("anyOf", []) if option.get("type") == "null"]


def _without(schema: _Schema, keys: Mapping[str, Any]) -> _Schema:
    return {key: value for key, value in schema.items() if key not in keys}


def _describe(properties: _Schema, docstring: str | None) -> None:
    """Give each property what the attributes section of a docstring says of it; several names may share a text."""
    section = (docstring or "").split("----------\n", 1)[-1]
    entries = re.split(r"\n\s*(?=[a-z_, ]+\n\s{4,})", "\n" + section)
    for entry in entries:
        names, _, text = entry.strip().partition("\n")
        for name in names.split(", "):
            if name in properties and text:
                properties[name] = {**properties[name], "description": " ".join(text.split())}


def _with_numbers_as_texts(schema: Any) -> Any:
    """The same schema that takes a number also as a text."""
    if isinstance(schema, list):
        return [_with_numbers_as_texts(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("number", "integer"):
        told = {key: schema[key] for key in ("description", "default", "title") if key in schema}
        return {**told, "anyOf": [_without(schema, told), _NUMBER]}
    return {key: value if key == "default" else _with_numbers_as_texts(value) for key, value in schema.items()}
