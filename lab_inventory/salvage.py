"""What is sound in a document that has mistakes, so that the rest of it can still be held against the whole. Pure.

What comes out is not valid: it serves to look for more mistakes and for nothing else.
"""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from lab_inventory.noun import Noun


def salvage(noun: type[Noun], data: Any) -> Any:
    """A ``noun`` with every sound field of ``data``, and something empty where there is none."""
    given = data if isinstance(data, dict) else {}
    fields = {}
    for name, field in noun.model_fields.items():
        if name in given:
            fields[name] = _sound(field.rebuild_annotation(), given[name])
        else:
            fields[name] = (
                _empty(field.annotation) if field.is_required() else field.get_default(call_default_factory=True)
            )
    return noun.model_construct(**fields)


def _sound(kind: Any, value: Any) -> Any:
    """``value`` as a ``kind``; what is sound of it where it is none."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        pass
    kind = _bare(kind)
    if isinstance(kind, type) and issubclass(kind, Noun):
        return salvage(kind, value)
    parts = get_args(kind)
    if get_origin(kind) is tuple and isinstance(value, list):
        # One for each entry, so that places count as they do in the document.
        return tuple(_sound(parts[0], entry) for entry in value)
    if get_origin(kind) is dict and isinstance(value, dict):
        return {key: sound for key, one in value.items() if (sound := _whole(parts[1], one)) is not None}
    # A name that is written wrongly is still the one by which the rest refers to it.
    return value if _empty(kind) == "" and isinstance(value, str) else _empty(kind)


def _whole(kind: Any, value: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return None


def _bare(kind: Any) -> Any:
    """The type itself, without what is asked of it, and without None."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        others = [part for part in get_args(kind) if part is not type(None)]
        return _bare(others[0])
    return kind


def _empty(kind: Any) -> Any:
    """Nothing, as that type has it."""
    if get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind):
        return None
    kind = _bare(kind)
    if get_origin(kind) is tuple:
        return ()
    if get_origin(kind) is dict:
        return {}
    if isinstance(kind, type) and issubclass(kind, Noun):
        return salvage(kind, {})
    return "" if kind is str or get_origin(kind) is Literal else None
