"""Ids for what hospitals name: digits by a keyed hash, which stay when studies are added."""

import dataclasses
import hashlib
import hmac
import pathlib
import re
import secrets

from tfrecords import atomic, file_system, regular_file

KEY_FILE = "key"

# 15 digits are exact in every program, spreadsheets among them; of a million studies two would
# share an id with a probability of 1 in 2,000, and organize says so where they do.
_FIRST, _COUNT = 10**14, 9 * 10**14
_ID = re.compile(r"[1-9][0-9]{14}")
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identities:
    """Gives ids; who lacks the key can't find out whose they are.

    Attributes:
        key: 32 bytes.
    """

    key: bytes = dataclasses.field(repr=False)

    def of(self, kind: str, *parts: object) -> int:
        """Returns the id of what the parts identify, of a kind such as "study"."""
        text = repr((kind, *parts)).encode("utf-8", "backslashreplace")
        digest = hmac.digest(self.key, text, hashlib.sha256)
        return _FIRST + int.from_bytes(digest[:16], "big") % _COUNT


def is_id(name: str) -> bool:
    """Returns whether a name could be an id that was given."""
    return bool(_ID.fullmatch(name))


def open_key(private_dir: pathlib.Path) -> Identities:
    """Returns the identities of the key in a directory, made where there is none.

    Raises:
        ValueError: the file holds no key.
    """
    path = private_dir / KEY_FILE
    if not path.exists():
        atomic.create_text(path, secrets.token_hex(32) + "\n")
        file_system.restrict(path, 0o600)
    text = regular_file.read_text(path).strip()
    if not _KEY.fullmatch(text):
        raise ValueError(
            f"{path} holds no key, expected 64 hexadecimal digits: without the old key old studies "
            "get new ids; copy it from a backup, or remove the file"
        )
    return Identities(key=bytes.fromhex(text))
