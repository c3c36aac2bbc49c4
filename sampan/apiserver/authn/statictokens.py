"""Static tokens from a file in kube-apiserver's format: ``token,user,uid,"group1,group2"`` a line."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from sampan.apiserver.authn.user import User
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from pathlib import Path


class TokenFileError(SampanError):
    """The token file cannot be used; the message names line and cure."""


class StaticTokens:
    """Tokens that never end, read once."""

    def __init__(self, users: dict[str, User]) -> None:
        self._users = users

    @classmethod
    def load(cls, path: Path) -> StaticTokens:
        """Read the file; raises TokenFileError."""
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise TokenFileError(f"cannot read the token file {path}: {error}") from error
        users: dict[str, User] = {}
        for number, row in enumerate(csv.reader(text.splitlines(), skipinitialspace=True), start=1):
            if not row or row[0].startswith("#"):
                continue
            if len(row) < 3 or not row[0]:
                raise TokenFileError(f'{path} line {number}: expected token,user,uid[,"group1,group2"]')
            groups = [group for group in row[3].split(",") if group] if len(row) > 3 else []
            users[row[0]] = User(row[1], uid=row[2], groups=groups).authenticated()
        return cls(users)

    def authenticate(self, token: str) -> User | None:
        return self._users.get(token)
