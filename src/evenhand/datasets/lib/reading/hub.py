"""Errors of the hub, with advice; recognized by names of classes, because the package loads late."""

from __future__ import annotations

import os
from typing import Any

from evenhand.errors import nearest

#: Default address of the hub.
_ENDPOINT = "https://huggingface.co"
_LOG_IN = "run `hf auth login` or set HF_TOKEN"


def hub_page(name: str, *, dataset: bool = False) -> str:
    """Build the address of a model or a dataset on the hub."""
    root = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _ENDPOINT
    return f"{root}/{'datasets/' if dataset else ''}{name}"


def hub_is_unavailable(error: Exception) -> bool:
    """Return True when the hub is unavailable for now, so that files of an earlier download may be used."""
    status = _status(error)
    return not _class_names(error) & _REFUSALS and (status is None or status == 429 or status >= 500)


def hub_reason(error: Exception, name: str, revision: str | None = None, *, dataset: bool = False) -> str:
    """Explain why a model or a dataset cannot be downloaded from the hub.

    Args:
        error: error of huggingface_hub, or of its transport.
        name: the hub id.
        revision: branch, tag or commit that was asked for.
        dataset: True for a dataset, False for a model.

    Returns:
        A clause with advice; empty where the hub did not answer.
    """
    names, status = _class_names(error), _status(error)
    # The most specific class comes first: a `GatedRepoError` is also a `RepositoryNotFoundError`.
    if "GatedRepoError" in names:
        return _gated_reason(hub_page(name, dataset=dataset), status)
    if status == 401 and _is_about_token(error):
        return f"the hub rejects your token as invalid (401); create a new one there, then {_LOG_IN}"
    what = "dataset" if dataset else "model"
    if "RevisionNotFoundError" in names:
        return _revision_reason(name, revision, what)
    private = f"the {what} does not exist on the hub, or it is private: check the name, or {_LOG_IN}"
    reasons = {
        "DisabledRepoError": f"the hub has disabled this {what}",
        "RepositoryNotFoundError": private,
    }
    if kind := next((kind for kind in reasons if kind in names), None):
        return reasons[kind]
    by_status = {
        401: f"the hub does not let you read it (401): {_LOG_IN}",
        403: f"the hub does not let your token read it (403): {_LOG_IN} with one that may",
        429: "the hub limits the rate of requests (429); try again later, or log in for a higher limit",
    }
    if status is not None and status >= 500:
        return f"the hub has a server error ({status}); try again later"
    return by_status.get(status or 0, "")


def _gated_reason(where: str, status: int | None) -> str:
    """Explain how to get access to a gated model or dataset."""
    if status == 403:
        return (
            "it is gated, and the account of your token does not have access (yet): accept its terms at "
            f"{where}, or wait until its owner has answered"
        )
    return f"it is gated: its owner grants access on request; accept its terms at {where}, then {_LOG_IN}"


def _revision_reason(name: str, revision: str | None, what: str) -> str:
    """State that a revision does not exist, with the branches and tags that do."""
    from huggingface_hub import HfApi  # noqa: PLC0415

    reason = f"the {what} exists there, but no branch, tag or commit '{revision or 'main'}' of it"
    try:
        refs = HfApi().list_repo_refs(name, repo_type=what)
    except Exception:
        # The errors of transports share no base class; the reason stands without the list.
        return reason
    known = [ref.name for ref in (*refs.tags, *refs.branches)]
    return f"{reason}; {nearest(revision or 'main', known).removesuffix('.')}"


#: Errors by which the hub refuses a request.
_REFUSALS = {"RepositoryNotFoundError", "RevisionNotFoundError", "DisabledRepoError", "HFValidationError"}


def _class_names(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _status(error: Exception) -> int | None:
    """Return the HTTP status of the hub's answer; None without an answer."""
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status is not None else None


def _is_about_token(error: Exception) -> bool:
    """Return True when an answer of 401 rejects the token, not the request."""
    message = f"{getattr(error, 'server_message', '') or ''} {error}".casefold()
    if any(words in message for words in ("invalid user token", "invalid token", "invalid credentials")):
        return True
    # For a private repository the hub sends an error code in the headers; for an invalid token it does not.
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        from huggingface_hub import get_token  # noqa: PLC0415
    except ImportError:
        return False
    return not headers.get("X-Error-Code") and get_token() is not None
