"""How kubectl's errors look: ``error: ...`` or ``Error from server (Reason): ...`` on stderr, exit code 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from sampan.api.errors import APIStatusError


class KubectlError(SampanError):
    """A failed command. code: the exit code. Text as printed after ``error: ``, unless prefix says otherwise."""

    def __init__(self, message: str, *, code: int = 1, prefix: str = "error: ") -> None:
        super().__init__(message)
        self.code = code
        self.prefix = prefix

    def render(self) -> str:
        return f"{self.prefix}{self}"


class UsageError(KubectlError):
    """Wrong flags or arguments; kubectl adds where to find help."""

    def __init__(self, message: str, command: str, hint: str = "--help' for usage.") -> None:
        super().__init__(f"{message}\nSee '{command} {hint}")


class SilentError(KubectlError):
    """Everything has been printed already; only the exit code is left."""

    def render(self) -> str:
        return ""


def render_status_error(error: APIStatusError, *, verb: str = "") -> str:
    """Render a server's error: ``Error from server (NotFound): pods "x" not found``.

    verb: what kubectl was doing (``when creating "FILE"``), put before the message. Invalid objects and errors without
    a reason have forms of their own (cmdutil's StandardErrorMessage).
    """
    message = f"error {verb}: {error.message}" if verb else error.message
    if error.reason == "Unauthorized":
        return f"error: You must be logged in to the server ({message})"
    if error.reason == "Invalid" and not verb:
        return _invalid(error)
    if error.reason:
        return f"Error from server ({error.reason}): {message}"
    return f"Error from server: {message}"


def _invalid(error: APIStatusError) -> str:
    details = error.details or {}
    causes = details.get("causes") or []
    if not details:
        return f"The request is invalid: {error.message}"
    head = f'The {details.get("kind", "request")} "{details.get("name", "")}" is invalid'
    if not causes:
        return f"{head}: {error.message}"
    texts = [f"{one['field']}: {one['message']}" if one.get("field") else one.get("message", "") for one in causes]
    if len(texts) == 1:
        return f"{head}: {texts[0]}"
    return f"{head}: \n" + "\n".join(f"* {text}" for text in texts)
