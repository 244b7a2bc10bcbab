"""Names of arms and models from the options that a study varies: `lora[rank=8,alpha=16]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def combination_name(name: str, varied: Mapping[str, Any]) -> str:
    """Name a combination: `lora[rank=8,alpha=16]`."""
    return (
        f"{name}[{','.join(f'{key}={_format_value(value)}' for key, value in varied.items())}]"
        if varied
        else name
    )


def _format_value(value: Any) -> str:  # noqa: ANN401  (plain data)
    """Format a value in a name; equal numbers look the same."""
    if isinstance(value, list):
        return "+".join(_format_value(item) for item in value)
    if isinstance(value, dict):
        return "+".join(f"{key}:{_format_value(item)}" for key, item in value.items())
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def recover_varied(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Recover the varied options of an arm that was stored without them: the inverse of `combination_name`.

    Only a known option begins a piece of the name, and its known value, formatted, decides where the piece
    ends, so that commas and equals signs within a text divide nothing. A value differs from its text only
    in a study that `--smoke` has shrunk; the text is then read instead.

    Args:
        name: name of the arm.
        options: all options of the arm that a list can vary, with their values.

    Returns:
        Values by option, in the order of the name; empty for an arm without varied options.
    """
    _, bracket, text = name.partition("[")
    return (_separate(text.removesuffix("]"), options) or {}) if bracket else {}


def _separate(text: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Separate `rank=8,alpha=16` into values by option; None if the options cannot make up the text."""
    for key, value in options.items():
        if not text.startswith(f"{key}="):
            continue
        others = {k: v for k, v in options.items() if k != key}
        for end in _ends(text, f"{key}={_format_value(value)}", others):
            piece = text[len(key) + 1 : end]
            first = {key: value if piece == _format_value(value) else _read_value(piece)}
            rest = _separate(text[end + 1 :], others) if end < len(text) else {}
            if rest is not None:
                return first | rest
    return None


def _ends(text: str, exact: str, others: Mapping[str, Any]) -> Iterator[int]:
    """Possible ends of the first piece: first that of its known value, then those before another option."""
    if text == exact or text.startswith(f"{exact},"):
        yield len(exact)
    for end, sign in enumerate(text):
        if sign == "," and any(text.startswith(f"{key}=", end + 1) for key in others):
            yield end
    yield len(text)


def _read_value(text: str) -> int | float | str:
    """Read a number, or else a text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
