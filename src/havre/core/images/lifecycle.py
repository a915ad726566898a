"""Lifecycle policies: which images of a repository have had their time, by which rule.

As ECR has it: rules are tried by priority; an image that a rule's tags select belongs to that rule and no later one can
expire it, though later rules count it as if it stayed; what an index refers to stays while the index does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from havre.core.images.mutability import matches

DAY = 86_400
RULE_LIMIT = 50
WILDCARD_LIMIT = 4
_COUNTS = ("imageCountMoreThan", "sinceImagePushed", "sinceImagePulled")
_FIELDS = {
    "rule": {"rulePriority", "description", "selection", "action"},
    "selection": {"tagStatus", "tagPrefixList", "tagPatternList", "countType", "countUnit", "countNumber"},
    "action": {"type"},
}


class PolicyError(ValueError):
    """The text is not a lifecycle policy; the message says why."""


class Rule(msgspec.Struct, frozen=True):
    """``tag_status``: tagged, untagged, any. ``patterns`` have ``*`` wildcards; an image must meet each with some tag.

    ``count_type``: imageCountMoreThan (``count`` newest stay), sinceImagePushed, sinceImagePulled (``count`` days)."""

    priority: int
    tag_status: str
    patterns: tuple[str, ...]
    count_type: str
    count: int


class Candidate(msgspec.Struct, frozen=True):
    """An image that may have had its time. ``pulled`` is None for never; ``referenced`` by an index that stays."""

    digest: str
    tags: tuple[str, ...]
    pushed: float
    pulled: float | None = None
    referenced_by: tuple[str, ...] = ()


def parse(text: str) -> tuple[Rule, ...]:
    """The rules in the order in which they are tried. Raises PolicyError."""
    try:
        data = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError):
        raise PolicyError("not valid JSON") from None
    if not isinstance(data, dict) or set(data) != {"rules"} or not isinstance(data["rules"], list):
        raise PolicyError('the policy must be an object with the single member "rules", a list')
    if not 1 <= len(data["rules"]) <= RULE_LIMIT:
        raise PolicyError(f"a policy has 1 to {RULE_LIMIT} rules")
    rules = sorted((_rule(r) for r in data["rules"]), key=lambda r: r.priority)
    _check_together(rules)
    return tuple(rules)


def expire(rules: Sequence[Rule], images: Iterable[Candidate], now: float) -> list[tuple[Candidate, int]]:
    """(image, priority of the rule that expires it), in the order of the rules, oldest image first. ``rules`` in order.

    Pure: the same images and time give the same answer, whatever order they come in.
    """
    ordered = sorted(images, key=lambda i: (-i.pushed, i.digest))
    claimed: set[str] = set()
    expired: list[tuple[Candidate, int]] = []
    for rule in rules:
        selected = [i for i in ordered if _selects(rule, i)]
        due = selected[rule.count :] if rule.count_type == _COUNTS[0] else [i for i in selected if _aged(rule, i, now)]
        expired += [(i, rule.priority) for i in reversed(due) if i.digest not in claimed]
        claimed.update(i.digest for i in selected)
    gone = _without_referenced({i.digest: i for i, _ in expired})
    return [(i, priority) for i, priority in expired if i.digest in gone]


def _without_referenced(due: Mapping[str, Candidate]) -> set[str]:
    """Those of the images that are referred to by nothing, or only by such as go as well."""
    gone = set(due)
    while True:
        stay = {d for d in gone if any(parent not in gone for parent in due[d].referenced_by)}
        if not stay:
            return gone
        gone -= stay


def _selects(rule: Rule, image: Candidate) -> bool:
    if rule.tag_status == "any":
        return True
    if rule.tag_status == "untagged":
        return not image.tags
    return bool(image.tags) and all(any(matches(p, t) for t in image.tags) for p in rule.patterns)


def _aged(rule: Rule, image: Candidate, now: float) -> bool:
    pulled = image.pulled if rule.count_type == "sinceImagePulled" else None
    return now - (image.pushed if pulled is None else pulled) > rule.count * DAY


def _rule(data: Any) -> Rule:
    _known(data, "rule")
    priority, selection, action = data.get("rulePriority"), data.get("selection"), data.get("action")
    if not _natural(priority):
        raise PolicyError("rulePriority must be a positive integer")
    if not isinstance(data.get("description", ""), str):
        raise PolicyError("description must be a string")
    _known(selection, "selection")
    _known(action, "action")
    if action.get("type") != "expire":
        raise PolicyError("the action's type must be expire")
    status, count_type, count = (selection.get(k) for k in ("tagStatus", "countType", "countNumber"))
    if status not in ("tagged", "untagged", "any"):
        raise PolicyError("tagStatus must be tagged, untagged or any")
    if count_type not in _COUNTS:
        raise PolicyError(f"countType must be one of {', '.join(_COUNTS)}")
    if not _natural(count):
        raise PolicyError("countNumber must be a positive integer")
    if (selection.get("countUnit") == "days") != (count_type != _COUNTS[0]) or selection.get(
        "countUnit", "days"
    ) != "days":
        raise PolicyError("countUnit must be days with sinceImagePushed and sinceImagePulled, and absent otherwise")
    return Rule(priority, status, _patterns(selection, status), count_type, count)


def _patterns(selection: Mapping[str, Any], status: str) -> tuple[str, ...]:
    prefixes, patterns = selection.get("tagPrefixList"), selection.get("tagPatternList")
    if status != "tagged":
        if prefixes or patterns:
            raise PolicyError(f"tagPrefixList and tagPatternList go with tagStatus tagged, not {status}")
        return ()
    chosen = prefixes or patterns
    if bool(prefixes) == bool(patterns) or not isinstance(chosen, list):
        raise PolicyError("tagStatus tagged needs either tagPrefixList or tagPatternList")
    if not all(isinstance(p, str) and p for p in chosen):
        raise PolicyError("tag prefixes and patterns must be strings that are not empty")
    if prefixes:
        return tuple(f"{p}*" for p in prefixes)
    if any(p.count("*") > WILDCARD_LIMIT for p in chosen):
        raise PolicyError(f"a tag pattern has at most {WILDCARD_LIMIT} wildcards")
    return tuple(chosen)


def _check_together(rules: Sequence[Rule]) -> None:
    if len({r.priority for r in rules}) != len(rules):
        raise PolicyError("each rulePriority must be unique")
    for status in ("any", "untagged"):
        if sum(r.tag_status == status for r in rules) > 1:
            raise PolicyError(f"only one rule may have tagStatus {status}")
    if any(r.tag_status == "any" for r in rules[:-1]):
        raise PolicyError("the rule with tagStatus any must have the highest rulePriority")
    tagged = [frozenset(r.patterns) for r in rules if r.tag_status == "tagged"]
    if len(set(tagged)) != len(tagged):
        raise PolicyError("each rule must select other tags")


def _known(data: Any, what: str) -> None:
    if not isinstance(data, dict):
        raise PolicyError(f"{what} must be an object")
    if unknown := sorted(set(data) - _FIELDS[what]):
        raise PolicyError(f"{what} has unknown members: {', '.join(unknown)}")


def _natural(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
