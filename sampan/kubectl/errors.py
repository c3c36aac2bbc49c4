"""How kubectl's errors look: ``error: ...`` or ``Error from server (Reason): ...`` on stderr, exit code 1."""

from __future__ import annotations

from sampan.api.errors import APIStatusError
from sampan.base.errors import SampanError


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

    def __init__(self, message: str, command: str) -> None:
        super().__init__(f"{message}\nSee '{command} --help' for usage.")


class SilentError(KubectlError):
    """Everything has been printed already; only the exit code is left."""

    def render(self) -> str:
        return ""


def render_status_error(error: APIStatusError, *, verb: str = "") -> str:
    """Render a server's error: ``Error from server (NotFound): pods "x" not found``.

    Invalid objects and errors without a reason have forms of their own (cmdutil's StandardErrorMessage).
    """
    del verb
    if error.reason == "Unauthorized":
        return f"error: You must be logged in to the server ({error.message})"
    if error.reason == "Invalid":
        message = error.message
        return message if message.startswith("The ") else f"The {_invalid_subject(error)} is invalid: {_tail(message)}"
    if error.reason:
        return f"Error from server ({error.reason}): {error.message}"
    return f"Error from server: {error.message}"


def _invalid_subject(error: APIStatusError) -> str:
    details = error.details or {}
    return f'{details.get("kind", "request")} "{details.get("name", "")}"'


def _tail(message: str) -> str:
    _, separator, rest = message.partition(" is invalid: ")
    if not separator:
        return message
    if rest.startswith("[") and rest.endswith("]"):
        return "\n* " + rest[1:-1].replace(", ", "\n* ") if ", " in rest else rest[1:-1]
    return rest
