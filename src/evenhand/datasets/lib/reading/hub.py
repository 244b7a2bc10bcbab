"""Why the hub gives nothing, in words that say what to do; by names of errors, whose package loads late."""

from __future__ import annotations

import os
from typing import Any

#: Where the hub is when nobody says otherwise.
_ENDPOINT = "https://huggingface.co"
_LOG_IN = "run `hf auth login` or set HF_TOKEN"


def hub_page(name: str, *, dataset: bool = False) -> str:
    """Address of a model or a dataset on the hub."""
    root = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _ENDPOINT
    return f"{root}/{'datasets/' if dataset else ''}{name}"


def hub_is_silent(error: Exception) -> bool:
    """Whether the hub cannot be asked now, so that what was downloaded earlier may serve."""
    status = _status(error)
    return not _names(error) & _REFUSALS and (status is None or status == 429 or status >= 500)


def hub_reason(error: Exception, name: str, *, dataset: bool = False) -> str:
    """Say why a model or a dataset cannot be had from the hub.

    Args:
        error: of huggingface_hub, or of what it reads the network with.
        name: the hub id.
        dataset: whether it is one.

    Returns:
        A part of a sentence, with what to do about it; empty where the hub did not answer.
    """
    names, status = _names(error), _status(error)
    # Of several kinds of error the first one is the most special: a gated repository is also one not found.
    if "GatedRepoError" in names:
        return _gated(hub_page(name, dataset=dataset), status)
    if status == 401 and _is_about_token(error):
        return f"the hub says that your token is not valid (401); make a new one there, then {_LOG_IN}"
    what = "dataset" if dataset else "model"
    private = f"the hub has no such {what}, or it is private: check the name, or {_LOG_IN}"
    said = {
        "RevisionNotFoundError": "it has no such revision",
        "DisabledRepoError": f"the hub has disabled this {what}",
        "RepositoryNotFoundError": private,
    }
    if kind := next((kind for kind in said if kind in names), None):
        return said[kind]
    by_status = {
        401: f"the hub does not let you read it (401): {_LOG_IN}",
        403: f"the hub does not let your token read it (403): {_LOG_IN} with one that may",
        429: "the hub limits how often it may be asked (429); try again later, or log in to be let ask more",
    }
    if status is not None and status >= 500:
        return f"the hub is out of order at the moment ({status}); try again later"
    return by_status.get(status or 0, "")


def _gated(where: str, status: int | None) -> str:
    """What to do about a model or data set whose owner chooses who may read it."""
    if status == 403:
        return (
            "it is gated, and the account of your token is not let in (yet): accept its terms at "
            f"{where}, or wait until its owner has answered"
        )
    return (
        "it is gated: its owner lets in only who has asked; ask on its page and log in: accept its terms at "
        f"{where}, then {_LOG_IN}"
    )


#: Errors by which the hub answers no.
_REFUSALS = {"RepositoryNotFoundError", "RevisionNotFoundError", "DisabledRepoError", "HFValidationError"}


def _names(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _status(error: Exception) -> int | None:
    """The number that the hub answered with, if it did."""
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status is not None else None


def _is_about_token(error: Exception) -> bool:
    """Whether an answer of 401 is about the token that was sent, not about what was asked for."""
    said = f"{getattr(error, 'server_message', '') or ''} {error}".casefold()
    if any(words in said for words in ("invalid user token", "invalid token", "invalid credentials")):
        return True
    # Of what it does not show to others the hub says which kind of thing it is; of a wrong token it does not.
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        from huggingface_hub import get_token  # noqa: PLC0415
    except ImportError:
        return False
    return not headers.get("X-Error-Code") and get_token() is not None
