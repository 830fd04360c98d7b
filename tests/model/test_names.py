"""Names, versions, slugs, API keys and the hash by which a task is found."""

from __future__ import annotations

import base64
import enum
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.names import (
    MAX_PARTS,
    ApiKeyName,
    TaskKey,
    check_name,
    check_version,
    display_key,
    nearest,
    parse_api_key,
    slugify,
    task_hash,
    version_key,
)

PARTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)


class TestNames:
    @pytest.mark.parametrize(
        "name", ["a", "user.created", "x" * 512, "ğüşiöç 🚀", "a b", "soft\u00adhyphen", "\u2028"]
    )
    def test_are_any_text_that_can_be_shown(self, name: str) -> None:
        assert check_name(name, "the name") == name

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("", "the name is empty"),
            ("x" * 513, "has 513 characters; at most 512"),
            ("a\0b", "U+0000 at position 1"),
            ("a\n", "U+000A at position 1"),
            ("\x7f", "U+007F at position 0"),
            ("é\x9f", "U+009F at position 1"),
            ("ab\ud800", "U+D800 at position 2"),
            (b"a", "the name is bytes; it is to be a str"),
            (None, "the name is NoneType"),
        ],
    )
    def test_are_refused_with_the_reason(self, name: object, words: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            check_name(name, "the name")

        assert words in str(refusal.value)


class TestVersions:
    def test_compare_as_numbers(self) -> None:
        versions = ["1.10.0", "1.9.0", "0.99.99", "10.0.0", "1.9.1"]

        assert sorted(versions, key=version_key) == ["0.99.99", "1.9.0", "1.9.1", "1.10.0", "10.0.0"]

    @pytest.mark.parametrize(
        "version",
        [
            "1.0",
            "1.0.0.0",
            "v1.0.0",
            "1.0.0\n",
            "1.0.0-rc1",
            "\u0661.0.0",
            "1.0.²",
            "",
            "-1.0.0",
            "1" * 600,
            1.0,
        ],
    )
    def test_are_three_numbers_in_ascii_digits(self, version: object) -> None:
        with pytest.raises(InvalidInput, match=r"write three numbers, such as 1\.0\.0"):
            check_version(version)

    def test_a_version_stays_as_written(self) -> None:
        assert check_version("1.02.3") == "1.02.3"


class TestSlugs:
    @pytest.mark.parametrize(
        ("text", "slug"),
        [
            ("Send Welcome_Email!", "send-welcome_email"),
            ("a  \t\n b", "a-b"),
            ("a\ufeff\u00a0b", "a-b"),
            ("A.b~c-d", "a.b~c-d"),
            ("Grüße/1", "gre1"),
            (" x ", "-x-"),
        ],
    )
    def test_are_those_of_the_official_sdk(self, text: str, slug: str) -> None:
        assert slugify(text) == slug

    @pytest.mark.parametrize(
        ("text", "words"), [("!!!", "has no letter"), ("", "has no letter"), ("x" * 513, "513")]
    )
    def test_something_usable_must_be_left(self, text: str, words: str) -> None:
        with pytest.raises(InvalidInput, match=words):
            slugify(text, "the job's id")


class TestApiKeys:
    @pytest.mark.parametrize("environment", ["dev", "stg", "prod", "prev"])
    def test_say_their_environment_and_whether_they_are_public(self, environment: str) -> None:
        assert parse_api_key(f"tr_{environment}_Ab1") == (environment, False)
        assert parse_api_key(f"pk_{environment}_Ab1") == (environment, True)

    def test_are_read_into_names(self) -> None:
        assert parse_api_key("pk_dev_x") == ApiKeyName(environment="dev", is_public=True)

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "tr_dev_",
            "tr_DEV_secret1",
            "tr_dev_secret 1",
            "tr_dev_secret\n",
            "sk_dev_secret",
            "tr_dev_" + "s" * 600,
        ],
    )
    def test_malformed_ones_are_refused_without_being_shown(self, key: object) -> None:
        with pytest.raises(InvalidInput, match="is malformed") as refusal:
            parse_api_key(key)

        assert "secret" not in str(refusal.value).replace("(secret)", "")

    def test_an_unknown_environment_is_named(self) -> None:
        with pytest.raises(InvalidInput, match="begins with tr_test_, which is no environment") as refusal:
            parse_api_key("tr_test_hidden123")

        assert "hidden" not in str(refusal.value)


class TestNearest:
    @pytest.mark.parametrize(
        ("word", "expected"),
        [
            ("maxAttemps", "maxAttempts"),
            ("MAXATTEMPTS", "maxAttempts"),
            ("zzz", None),
            ("", None),
            ("x" * 10**6, None),
        ],
    )
    def test_finds_the_likely_misspelling(self, word: str, expected: str | None) -> None:
        assert nearest(word, ["factor", "maxAttempts", "randomize"]) == expected


class Step(enum.StrEnum):
    CHARGE = "charge"


class TestTaskHash:
    def test_is_sha_256_over_the_list_of_parent_and_parts(self) -> None:
        parent = task_hash(None, "send-email")
        material = json.dumps([parent, "é", "1"], separators=(",", ":"), ensure_ascii=False).encode()
        expected = base64.urlsafe_b64encode(hashlib.sha256(material).digest()).rstrip(b"=").decode()

        assert task_hash(parent, ("é", 1)) == expected

    def test_stays_what_it_was_in_stores_written_before(self) -> None:
        assert task_hash(None, "a") == "GtmM_G4O1vlOzfn_e5ZSt2cW2TNtAOZ5wgXS22JFILQ"

    @given(st.none() | PARTS, st.lists(PARTS, min_size=1, max_size=4).map(tuple))
    def test_is_43_characters_fit_for_a_url(self, parent: str | None, key: tuple[str, ...]) -> None:
        assert re.fullmatch("[A-Za-z0-9_-]{43}", task_hash(parent, key))

    @given(*[st.tuples(st.none() | PARTS, st.lists(PARTS, min_size=1, max_size=3).map(tuple))] * 2)
    def test_differs_when_parent_or_parts_differ(
        self, one: tuple[str | None, tuple[str, ...]], other: tuple[str | None, tuple[str, ...]]
    ) -> None:
        assert (task_hash(*one) == task_hash(*other)) is (one == other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("a:b", ("a", "b")),
            (("a", "b"), ("b", "a")),
            ('a","b', ("a", "b")),
            ("a", "A"),
            (("a",), ("a", "a")),
        ],
    )
    def test_tells_keys_apart(self, one: TaskKey, other: TaskKey) -> None:
        assert task_hash(None, one) != task_hash(None, other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("a", ("a",)),
            (("a", 12), ("a", "12")),
            (("a", -1), ("a", "-1")),
            (Step.CHARGE, "charge"),
            ((Step.CHARGE, 1), ("charge", 1)),
        ],
    )
    def test_takes_spellings_of_one_key_as_one(self, one: TaskKey, other: TaskKey) -> None:
        assert task_hash("p", one) == task_hash("p", other)

    def test_depends_on_the_parent(self) -> None:
        assert len({task_hash(None, "a"), task_hash("p", "a"), task_hash("q", "a")}) == 3

    @pytest.mark.parametrize(
        ("key", "words"),
        [
            ("", "the task key is empty"),
            ("a\n", "U+000A"),
            ("\ud800", "U+D800"),
            ("x" * 513, "513 characters"),
            ((), "has 0 parts; it is to have 1 to 16"),
            (("a",) * (MAX_PARTS + 1), "has 17 parts"),
            (("a", ""), "a part of the task key is empty"),
            (("a", "b\0"), "a part of the task key has a character"),
            (("x" * 513, "a"), "513 characters"),
            (("a", 1.5), "is float; it is to be a str or an int"),
            (("a", True), "is bool"),
            (("a", None), "is NoneType"),
            (("a", ("b",)), "is tuple"),
            (("a", 10**5000), "more than 512 digits"),
            (["a"], "the task key is list"),
            (5, "the task key is int"),
        ],
    )
    def test_refuses_what_is_no_key(self, key: TaskKey, words: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            task_hash(None, key)
        with pytest.raises(InvalidInput) as refusal_to_show:
            display_key(key)

        assert words in str(refusal.value)
        assert str(refusal_to_show.value) == str(refusal.value)

    def test_sixteen_parts_of_512_characters_are_accepted(self) -> None:
        assert len(task_hash(None, ("x" * 512,) * MAX_PARTS)) == 43


class TestDisplayKey:
    def test_shows_the_parts(self) -> None:
        assert display_key("fetch") == "fetch"
        assert display_key(("charge", "order_1", 2)) == "charge / order_1 / 2"

    def test_is_itself_a_name(self) -> None:
        shown = display_key(("x" * 300, "y" * 300))

        assert check_name(shown, "the key") == shown
        assert shown.endswith("y…")
