"""Lifecycle policies: by the examples of ECR's guide, and by what must hold for any policy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.images.lifecycle import DAY, Candidate, PolicyError, expire, parse

NOW = 100 * DAY


def _rule(priority: int, status: str, count_type: str, number: int, **selection: Any) -> dict[str, Any]:
    unit = {} if count_type == "imageCountMoreThan" else {"countUnit": "days"}
    chosen = {"tagStatus": status, "countType": count_type, "countNumber": number, **unit, **selection}
    return {"rulePriority": priority, "selection": chosen, "action": {"type": "expire"}}


def _gone(rules: list[dict[str, Any]], *images: Candidate) -> dict[str, int]:
    return {i.digest: p for i, p in expire(parse(json.dumps({"rules": rules})), images, NOW)}


def _image(digest: str, days: float, *tags: str, **more: Any) -> Candidate:
    return Candidate(digest, tags, NOW - days * DAY, **more)


def test_by_age() -> None:
    rules = [_rule(1, "untagged", "sinceImagePushed", 14)]
    images = _image("old", 15), _image("young", 13), _image("tagged", 50, "v1")
    assert _gone(rules, *images) == {"old": 1}


def test_by_count_the_newest_stay() -> None:
    rules = [_rule(1, "tagged", "imageCountMoreThan", 1, tagPrefixList=["prod"])]
    images = _image("a", 3, "prod-1"), _image("b", 2, "prod-2"), _image("c", 1, "beta-1"), _image("d", 9)
    assert _gone(rules, *images) == {"a": 1}


def test_the_guides_example_of_priorities() -> None:
    """Images A ["beta-1", "prod-1"] pushed 10 days ago, B ["beta-2", "prod-2"] 9, C ["beta-3"] 8. Rule 1 keeps one prod
    image, rule 2 one beta image: rule 1 expires A and keeps B, so rule 2 counts B but cannot expire it, and expires none
    that it may not."""
    rules = [
        _rule(1, "tagged", "imageCountMoreThan", 1, tagPrefixList=["prod"]),
        _rule(2, "tagged", "imageCountMoreThan", 1, tagPrefixList=["beta"]),
    ]
    images = _image("A", 10, "beta-1", "prod-1"), _image("B", 9, "beta-2", "prod-2"), _image("C", 8, "beta-3")
    assert _gone(rules, *images) == {"A": 1}


def test_all_prefixes_have_to_be_met() -> None:
    rules = [_rule(1, "tagged", "sinceImagePushed", 1, tagPrefixList=["alpha", "beta"])]
    images = _image("one", 9, "alpha-1"), _image("both", 9, "alpha-2", "beta-2")
    assert _gone(rules, *images) == {"both": 1}


def test_patterns_and_pulls() -> None:
    rules = [_rule(1, "tagged", "sinceImagePulled", 5, tagPatternList=["*-rc*"])]
    images = (
        _image("pulled", 50, "1-rc1", pulled=NOW - DAY),
        _image("never", 50, "2-rc1"),
        _image("other", 50, "3"),
    )
    assert _gone(rules, *images) == {"never": 1}


def test_what_an_index_refers_to_goes_with_it_only() -> None:
    rules = [_rule(1, "any", "sinceImagePushed", 10)]
    child = _image("child", 20, referenced_by=("index",))
    assert _gone(rules, child, _image("index", 5, "v1")) == {}
    assert _gone(rules, child, _image("index", 15, "v1")) == {"child": 1, "index": 1}


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [_rule(1, "any", "sinceImagePushed", 1), _rule(1, "untagged", "sinceImagePushed", 1)],
        [_rule(1, "any", "sinceImagePushed", 1), _rule(2, "untagged", "sinceImagePushed", 1)],
        [_rule(1, "tagged", "sinceImagePushed", 1)],
        [_rule(1, "untagged", "sinceImagePushed", 1, tagPrefixList=["a"])],
        [_rule(1, "tagged", "sinceImagePushed", 1, tagPrefixList=["a"], tagPatternList=["a*"])],
        [_rule(1, "tagged", "sinceImagePushed", 1, tagPatternList=["*a*b*c*d*"])],
        [_rule(0, "any", "sinceImagePushed", 1)],
        [_rule(1, "any", "sinceImagePushed", 0)],
        [_rule(1, "any", "imageCountMoreThan", 1, countUnit="days")],
        [_rule(1, "some", "sinceImagePushed", 1)],
        [{**_rule(1, "any", "sinceImagePushed", 1), "action": {"type": "keep"}}],
        [{**_rule(1, "any", "sinceImagePushed", 1), "surprise": True}],
    ],
)
def test_bad_policies(rules: list[dict[str, Any]]) -> None:
    with pytest.raises(PolicyError):
        parse(json.dumps({"rules": rules}))


tags = st.lists(st.sampled_from(["prod-1", "prod-2", "beta-1", "v1"]), max_size=2, unique=True).map(tuple)
images = st.lists(
    st.builds(Candidate, st.text("abcdef0123", min_size=6, max_size=6), tags, st.floats(0, NOW)),
    max_size=12,
    unique_by=lambda i: i.digest,
)
counts = st.integers(1, 20)
policies = st.tuples(counts, counts, counts).map(
    lambda n: [
        _rule(1, "tagged", "imageCountMoreThan", n[0], tagPrefixList=["prod"]),
        _rule(2, "untagged", "sinceImagePushed", n[1]),
        _rule(9, "any", "imageCountMoreThan", n[2]),
    ]
)


@given(policies, images, st.randoms(use_true_random=False))
def test_order_does_not_matter(rules: list[dict[str, Any]], some: list[Candidate], chance: Any) -> None:
    shuffled = list(some)
    chance.shuffle(shuffled)
    assert _gone(rules, *some) == _gone(rules, *shuffled)


@given(policies, images)
def test_doing_it_twice_takes_nothing_more(rules: list[dict[str, Any]], some: list[Candidate]) -> None:
    """Once the images of a rule by count are gone, so many are left that the rule asks for no more."""
    gone = _gone(rules[:1], *some)
    left = [i for i in some if i.digest not in gone]
    assert _gone(rules[:1], *left) == {}


@given(policies, images)
def test_the_newest_always_stay(rules: list[dict[str, Any]], some: list[Candidate]) -> None:
    gone = _gone(rules[2:], *some)
    keep = rules[2]["selection"]["countNumber"]
    assert len(some) - len(gone) == min(len(some), keep)
    assert all(i.pushed <= j.pushed for i in some if i.digest in gone for j in some if j.digest not in gone)
