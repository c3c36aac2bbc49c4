"""The SQLite file behind the `sqlite` backend: an append-only log of writes, compacted now and then.

One table, ``log(revision, key, expires, value)``; a value of NULL is a deletion. The current state is the newest row of
each key, which memory knows (`sqlite.SQLiteBackend`), so that a write is one append to one B-tree and needs no index.
The only module that speaks SQL. WAL with ``synchronous=FULL``: a commit is on the disk when it returns.

Blocking; `append`, `forget` and `checkpoint` belong to one thread at a time, the readers open connections of their own.
Every `sqlite3.Error` leaves as `StoreUnavailableError`, saying what to do.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from sampan.apiserver.storage.interface import Change, Record, StoreUnavailableError
from sampan.apiserver.storage.local import prefix_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sampan.apiserver.storage.local import Write

_APPLICATION_ID = 0x73616D70
_LAYOUT = 1
_ROWS_A_STATEMENT = 4096
"""Half of what SQLite's limit of 32 766 variables allows; a commit beyond it takes several statements."""

_CACHE_KIB = 1024
"""Page cache of a connection. Memory holds the objects already; SQLite only appends and scans."""

_SCHEMA = """
CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, expires INTEGER NOT NULL, value BLOB);
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 0), compacted INTEGER NOT NULL, revision INTEGER NOT NULL);
INSERT INTO state VALUES (0, 0, 0);
"""


class Row(NamedTuple):
    """A log row without its value. expires: epoch seconds, 0 for never."""

    revision: int
    key: str
    expires: int
    deleted: bool


class LogFile:
    """One open log; its path is locked against other processes until `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1
        self._connection: sqlite3.Connection | None = None

    def open(self) -> tuple[int, int]:
        """Lock and open the file, or create it. Returns (compacted, newest) revision as recorded at a compaction."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_lock()
            # Before SQLite creates it with the umask's mode: it holds Secrets. SQLite gives its WAL the same mode.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            self.close()
            raise StoreUnavailableError(f"cannot open the data store {self.path}: {error.strerror or error}") from error
        try:
            with self._translated():
                return self._open_database()
        except StoreUnavailableError:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            with self._translated():
                self._connection.close()
            self._connection = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def append(self, batch: Sequence[Write]) -> None:
        """Make a batch durable: all of it or nothing."""
        connection = self._writer()
        with self._translated():
            if len(batch) <= _ROWS_A_STATEMENT:
                # One statement in autocommit mode is one transaction, and gives up the interpreter lock just once.
                connection.execute(_insert(len(batch)), _variables(batch))
                return
            with _transaction(connection):
                for begin in range(0, len(batch), _ROWS_A_STATEMENT):
                    part = batch[begin : begin + _ROWS_A_STATEMENT]
                    connection.execute(_insert(len(part)), _variables(part))

    def forget(self, compacted: int, newest: int, revisions: Sequence[int]) -> None:
        """Delete superseded rows, in one transaction; newest is remembered, though its row may go."""
        connection = self._writer()
        with self._translated(), _transaction(connection):
            connection.execute("UPDATE state SET compacted = ?, revision = max(revision, ?)", (compacted, newest))
            connection.executemany("DELETE FROM log WHERE revision = ?", [(revision,) for revision in revisions])

    def rows(self) -> Iterator[Row]:
        """Read the whole log without its values, oldest first."""
        with self._translated(), closing(self._reader()) as connection:
            query = "SELECT revision, key, expires, value IS NULL FROM log ORDER BY revision"
            for revision, key, expires, deleted in connection.execute(query):
                yield Row(revision, key, expires, bool(deleted))

    def fetch(self, keys: Sequence[tuple[str, int]]) -> list[Record]:
        """Read the values of (key, revision) pairs that exist."""
        records = []
        with self._translated(), closing(self._reader()) as connection:
            execute = connection.execute
            for key, revision in keys:
                row = execute("SELECT value FROM log WHERE revision = ?", (revision,)).fetchone()
                if row is None:
                    raise StoreUnavailableError(self._damaged(f"revision {revision} is missing"))
                records.append(Record(key, row[0], revision))
        return records

    def list_at(self, prefix: str, after: str, revision: int) -> list[tuple[str, int]]:
        """Tell (key, revision) of what existed at a revision. Reads the log once: history is for rare questions."""
        query = (
            "SELECT key, max(revision), value IS NULL FROM log "
            "WHERE revision <= ? AND key >= ? AND key > ? AND key < ? GROUP BY key ORDER BY key"
        )
        with self._translated(), closing(self._reader()) as connection:
            rows = connection.execute(query, (revision, prefix, after, prefix_end(prefix)))
            return [(key, newest) for key, newest, deleted in rows if not deleted]

    def changes(self, prefix: str, after: int, until: int) -> list[Change]:
        """Read the changes under prefix with after < revision <= until, in order."""
        query = (
            "SELECT key, revision, value FROM log "
            "WHERE revision > ? AND revision <= ? AND key >= ? AND key < ? ORDER BY revision"
        )
        with self._translated(), closing(self._reader()) as connection:
            return [Change(*row) for row in connection.execute(query, (after, until, prefix, prefix_end(prefix)))]

    def copy_to(self, path: Path) -> None:
        """Write a compact copy of one moment's state to a new file, durably; writers go on meanwhile.

        Raises StoreUnavailableError, also when the file exists.
        """
        try:
            target = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailableError(f"cannot write the copy {path}: {error.strerror or error}") from error
        try:
            with self._translated(), closing(self._connect()) as connection:
                connection.execute("VACUUM INTO ?", (str(path),))
            os.fsync(target)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(target)

    def _take_lock(self) -> None:
        path = self.path.with_name(self.path.name + ".lock")
        self._lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._lock, 32).decode(errors="replace").strip() or "another"
            raise StoreUnavailableError(
                f"the data store {self.path} is in use by process {holder}: stop it, or choose another --data-dir"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _open_database(self) -> tuple[int, int]:
        connection = self._connection = self._connect()
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION_ID:
            raise StoreUnavailableError(f"{self.path} is another program's database: choose another --data-dir")
        if layout > _LAYOUT:
            raise StoreUnavailableError(
                f"{self.path} was written by a newer sampan (layout {layout}): upgrade, or choose another --data-dir"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {16 << 20}")
        if not tables:
            connection.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_LAYOUT};"
                f"{_SCHEMA} COMMIT;"
            )
        row: tuple[int, int] = connection.execute("SELECT compacted, revision FROM state").fetchone()
        return row

    def _connect(self) -> sqlite3.Connection:
        # Transactions are written out (isolation_level None), and the thread of use is this module's business.
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection

    def _writer(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreUnavailableError("the store is closed")
        return self._connection

    def _reader(self) -> sqlite3.Connection:
        self._writer()
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreUnavailableError(self._explain(error)) from error

    def _explain(self, error: sqlite3.Error) -> str:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return f"the disk that holds {self.path} is full: free some space; nothing that was acknowledged is lost"
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA):
            return self._damaged(str(error))
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
            return f"the data store {self.path} cannot be written ({error}): check its owner, mode and file system"
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return f"another program holds the data store {self.path} ({error}): close it"
        return f"the data store {self.path} failed ({error}): check the disk and the system's log"

    def _damaged(self, why: str) -> str:
        return (
            f"the data store {self.path} is damaged ({why}): restore it from a backup, "
            f"or move it away to begin with an empty cluster"
        )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@cache
def _insert(rows: int) -> str:
    return "INSERT INTO log (revision, key, expires, value) VALUES " + ",".join(["(?,?,?,?)"] * rows)  # noqa: S608 - only a count varies


def _variables(batch: Sequence[Write]) -> list[int | str | bytes | None]:
    out: list[int | str | bytes | None] = []
    for write in batch:
        out += (write.revision, write.key, write.expires, write.value)
    return out
