"""An SQLite file of one process: opened without locks of its own, its errors in one sentence."""

import contextlib
import dataclasses
import pathlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

_CACHE_KIB = 16_384

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Lazy(Generic[Item]):
    """Tasks that are fetched when they are asked for, by their index."""

    count: int
    fetch: Callable[[int], Item]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        return self.fetch(index)


@contextlib.contextmanager
def explained(path: pathlib.Path) -> Iterator[None]:
    """Says in one sentence what is wrong with a file, wherever in the block that is noticed.

    Raises:
        ValueError: it is damaged, or the disk is full.
    """
    try:
        yield
    except sqlite3.DatabaseError as err:
        raise ValueError(
            f"{path} can't be read or written ({err}): make room, or remove it and run again, then "
            "all is read anew"
        ) from err


class Database:
    """An open file; the caller keeps others out of its directory, and works in `explained`."""

    def __init__(self, path: pathlib.Path | None, schema: str) -> None:
        """Opens or makes the file.

        Args:
            path: the SQLite file; None is memory alone.
            schema: statements that are run first; they make a table `facts` of name and value.
        """
        # No locks of SQLite's own: not every shared file system has them, and the directory's
        # lock keeps others out.
        address = f"{path.resolve().as_uri()}?vfs=unix-none" if path else ":memory:"
        self._connection = sqlite3.connect(address, uri=True, isolation_level=None)
        for setting in (
            "locking_mode = EXCLUSIVE",  # before all else: it does without shared memory
            f"cache_size = -{_CACHE_KIB}",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            f"temp_store = {'FILE' if path else 'MEMORY'}",
        ):
            self.execute(f"PRAGMA {setting}")
        self._connection.executescript(schema)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def execute(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Runs a statement."""
        return self._connection.execute(query, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written in the block stays whole, or not at all."""
        self.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self.execute("COMMIT")

    def fact(self, name: str) -> str | None:
        """Returns what was noted under a name."""
        row = self.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def note(self, name: str, value: str) -> None:
        """Notes something that stays."""
        self.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def count(self, table: str, where: str = "1") -> int:
        """Returns how many rows a table has."""
        return int(self.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0])
