"""Names, ids, keys and versions: what they may look like, and how a task is found by its key."""

from __future__ import annotations

import difflib
import re
from binascii import b2a_base64
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal, NamedTuple

import msgspec

from zopio_trigger.errors import InvalidInput

MAX_LENGTH: Final = 512
"""Characters of a name, id or part of a key."""

MAX_PARTS: Final = 16
"""Parts of a task key."""


def check_name(value: object, what: str) -> str:
    """Return `value` when it can be a name, an id or a key: 1 to 512 characters that can be stored and shown.

    Parameters:
        what: how the error calls it: `"the event's name"`.

    Raises:
        InvalidInput: not a str, empty, too long, or with a control character (U+0000 to U+001F, U+007F to
            U+009F) or half of a surrogate pair.
    """
    if (
        isinstance(value, str)
        and 0 < len(value) <= MAX_LENGTH
        and (value.isprintable() or not _BAD.search(value))
    ):
        return value
    raise InvalidInput(f"{what} {_wrong_with(value)}")


_BAD: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _wrong_with(value: object) -> str:
    if not isinstance(value, str):
        return f"is {type(value).__name__}; it is to be a str"
    if not value:
        return "is empty; it is to have 1 to 512 characters"
    if len(value) > MAX_LENGTH:
        return f"has {len(value):,} characters; at most {MAX_LENGTH} are allowed"
    bad = _BAD.search(value)
    place = bad.start() if bad else 0
    return f"has a character that cannot be stored or shown (U+{ord(value[place]):04X} at position {place})"


# --- jobs


def check_version(value: object, what: str = "the job's version") -> str:
    """Return `value` when it is a job version: three numbers in ASCII digits, such as `1.10.0`.

    Raises:
        InvalidInput: it is something else.

    Source: the constructor of `Job` in `@trigger.dev/sdk` 2.3.19.
    """
    if isinstance(value, str) and len(value) <= MAX_LENGTH and _VERSION.fullmatch(value):
        return value
    shown = repr(value)[:80] if isinstance(value, str) else type(value).__name__
    raise InvalidInput(f"{what} is {shown}; write three numbers, such as 1.0.0")


_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


def version_key(version: str) -> tuple[int, int, int]:
    """What versions compare by: their numbers, so that 1.10.0 comes after 1.9.0.

    Raises:
        InvalidInput: not a version.
    """
    major, minor, patch = check_version(version).split(".")
    return int(major), int(minor), int(patch)


def slugify(text: str, what: str = "the id") -> str:
    """The id of a job or client as the 2.x SDK writes it.

    Lower case, one dash for each run of white space, and of the rest only `[a-z0-9-._~]`.

    Raises:
        InvalidInput: nothing is left, or more than 512 characters are.

    Source: `slugifyId` of `@trigger.dev/sdk` 2.3.19.

    >>> slugify("Send Welcome_Email!")
    'send-welcome_email'
    """
    slug = _NOT_IN_SLUGS.sub("", _JAVASCRIPT_SPACE.sub("-", text.lower()))
    if not slug:
        raise InvalidInput(f"{what} {text[:80]!r} has no letter, digit, dash, dot, underscore or tilde")
    return check_name(slug, what)


_JAVASCRIPT_SPACE: Final = re.compile(
    "[\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+"
)
_NOT_IN_SLUGS: Final = re.compile(r"[^a-z0-9\-._~]")


# --- API keys


class ApiKeyName(NamedTuple):
    """What an API key says about itself. Whether it is one of ours, only the store knows."""

    environment: Literal["dev", "stg", "prod", "prev"]
    is_public: bool


def parse_api_key(key: object) -> ApiKeyName:
    """Read the prefix of an API key: `tr_dev_…` (secret) or `pk_dev_…` (public).

    Raises:
        InvalidInput: not a key; the message shows no more of it than its prefix.

    Source: the format that `@trigger.dev/sdk` 2.3.19 accepts.
    """
    match = _API_KEY.fullmatch(key) if isinstance(key, str) and len(key) <= MAX_LENGTH else None
    if match is None:
        raise InvalidInput("the API key is malformed; keys look like tr_dev_… (secret) or pk_dev_… (public)")
    environment = _ENVIRONMENTS.get(match["environment"])
    if environment is None:
        raise InvalidInput(
            f"the API key begins with {match['kind']}_{match['environment'][:20]}_, which is no environment; "
            f"there are {', '.join(_ENVIRONMENTS)}"
        )
    return ApiKeyName(environment, is_public=match["kind"] == "pk")


_API_KEY: Final = re.compile(r"(?P<kind>tr|pk)_(?P<environment>[a-z]+)_[a-zA-Z0-9]+")
_ENVIRONMENTS: Final[dict[str, Literal["dev", "stg", "prod", "prev"]]] = {
    "dev": "dev",
    "stg": "stg",
    "prod": "prod",
    "prev": "prev",
}


# --- suggestions


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that `word` may be a misspelling of, for "did you mean …?"; None when none is."""
    spellings = {candidate.lower(): candidate for candidate in words}
    guesses = difflib.get_close_matches(word[:64].lower(), spellings, n=1)
    return spellings[guesses[0]] if guesses else None


# --- tasks

TaskKey = str | tuple[str | int, ...]
"""What the user names a task: a str, or a tuple of 1 to 16 str and int. An int means its decimal text."""


def task_hash(parent_hash: str | None, key: TaskKey) -> str:
    """What an execution finds a task by: a hash of its key and its parents' keys, nothing else.

    It does not depend on the run, so finished tasks can be copied to a replay. `"a:b"` and `("a", "b")`
    differ; `"a"` and `("a",)` do not, nor do `("a", 1)` and `("a", "1")`.

    Parameters:
        parent_hash: hash of the enclosing task; None in the body of the job.
        key: see `TaskKey`; each part as `check_name` wants it.

    Returns 43 characters of base64url: SHA-256 over the JSON list `[parent_hash, *parts]`.

    Raises:
        InvalidInput: not a key.
    """
    if type(key) is str:
        return _hash_of(parent_hash, key)
    return _digest((parent_hash, *_parts(key)))


@lru_cache(maxsize=4_096)  # the same few keys come back in every run of a job
def _hash_of(parent_hash: str | None, key: str) -> str:
    return _digest((parent_hash, *_parts(key)))


def _digest(parts: tuple[str | None, ...]) -> str:
    return b2a_base64(sha256(_encode(parts)).digest()).translate(_AS_BASE64URL, b"=\n").decode()


_encode: Final = msgspec.json.Encoder().encode
_AS_BASE64URL: Final = bytes.maketrans(b"+/", b"-_")


def kind_hash(hash: str, kind: str) -> str:
    """The hash of a wait, a value or an event, given that of its key: another than that of a task with this key."""
    return hash if kind == "task" else _hash_of_kind(hash, kind)


@lru_cache(maxsize=4_096)
def _hash_of_kind(hash: str, kind: str) -> str:
    return _digest((hash, None, kind))  # no key of a user has a part that is null


def display_key(key: TaskKey) -> str:
    """A task key as people see it: its parts with ` / ` between them, at most 512 characters.

    >>> display_key(("charge", "order_1", 2))
    'charge / order_1 / 2'

    Raises:
        InvalidInput: not a key.
    """
    if type(key) is str and len(key) <= MAX_LENGTH and key.isprintable():
        return check_name(key, "the task key")
    shown = " / ".join(_parts(key))
    return shown if len(shown) <= MAX_LENGTH else shown[: MAX_LENGTH - 1] + "…"


def _parts(key: object) -> tuple[str, ...]:
    if isinstance(key, str):
        return (check_name(str.__str__(key), "the task key"),)
    if not isinstance(key, tuple):
        raise InvalidInput(
            f"the task key is {type(key).__name__}; it is to be a str, or a tuple of str and int"
        )
    if not 0 < len(key) <= MAX_PARTS:
        raise InvalidInput(f"the task key has {len(key)} parts; it is to have 1 to {MAX_PARTS}")
    parts = tuple([part if type(part) is str else _as_text(part) for part in key])
    together = "".join(parts)  # checking them in one go saves a third of the time of `task_hash`
    if not (all(parts) and len(together) <= MAX_LENGTH and together.isprintable()):
        for part in parts:
            check_name(part, _A_PART)
    return parts


_A_PART: Final = "a part of the task key"


def _as_text(part: object) -> str:
    if isinstance(part, str):
        return str.__str__(part)  # of a subclass of str, which the encoder would refuse
    if not isinstance(part, int) or isinstance(part, bool):
        raise InvalidInput(f"{_A_PART} is {type(part).__name__}; it is to be a str or an int")
    if part.bit_length() > 1_700:  # about 512 digits; str() itself refuses 4,300
        raise InvalidInput(f"{_A_PART} is an integer of more than {MAX_LENGTH} digits")
    return str(int(part))
