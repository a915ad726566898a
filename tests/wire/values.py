"""Values made from botocore's shapes: deterministic, within the model's constraints, and different from member to member."""

from __future__ import annotations

import random
import re
from typing import Any

try:
    from re import _constants as sre
    from re import _parser as sre_parser
except ImportError:  # Python 3.10
    import sre_constants as sre
    import sre_parse as sre_parser

from havre.wire import patterns

_WORDS = ("alpha", "b-2", "<c&d>", "é ü", 'quo"te', "a/b:c=d+e", "100%", "snow☃", "x")
_PLAIN = ("alpha", "b-2", "c.d", "e_f", "g7")


class Unsayable(Exception):
    """No value could be found that the model's constraints allow."""


class Maker:
    """``full`` gives every member a value, otherwise only what is required. Strings of headers are plain ASCII."""

    def __init__(self, seed: str, full: bool) -> None:
        self.random = random.Random(seed)
        self.full = full

    def structure(self, shape: Any, depth: int = 0, above: tuple[str, ...] = ()) -> dict[str, Any]:
        made = {}
        for name, member in shape.members.items():
            required = name in shape.required_members
            if member.serialization.get("eventstream") or (not required and not self.full):
                continue
            if not required and (member.name in above or depth > 6):
                continue
            try:
                made[name] = self.value(member, depth + 1, (*above, shape.name))
            except Unsayable:
                if required:
                    raise
                continue
            if name == shape.serialization.get("payload") and isinstance(made[name], bytes):
                made[name] = b"payload"  # botocore reads payloads as text
            if shape.is_tagged_union:
                break
        if not made and depth and shape.members and (shape.is_tagged_union or not self.full):
            # forms and XML have no word for an empty structure
            name, member = next((n, m) for n, m in shape.members.items() if m.name not in above)
            made[name] = self.value(member, depth + 1, (*above, shape.name))
        return made

    def value(self, shape: Any, depth: int = 0, above: tuple[str, ...] = ()) -> Any:
        kind = shape.type_name
        if kind == "structure":
            if shape.is_document_type:
                return {"a": [1, "two", None, True, {"b": 0.5}]}
            return self.structure(shape, depth, above)
        if kind == "list":
            return self._list(shape, depth, above)
        if kind == "map":
            return self._map(shape, depth, above)
        return getattr(self, f"_{kind}")(shape)

    def _count(self, shape: Any) -> int:
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 10**9)
        return min(max(low, 2), high)

    def _list(self, shape: Any, depth: int, above: tuple[str, ...]) -> list[Any]:
        if shape.member.name in above and not shape.metadata.get("min"):
            return []
        return [self.value(shape.member, depth + 1, (*above, shape.name)) for _ in range(self._count(shape))]

    def _map(self, shape: Any, depth: int, above: tuple[str, ...]) -> dict[str, Any]:
        if shape.value.name in above:
            return {}
        made: dict[str, Any] = {}
        located = shape.serialization.get("location")
        for number in range(self._count(shape)):
            key = self._string(shape.key) if not located else f"key{number}"
            inner = self._plain() if located == "headers" else self.value(shape.value, depth + 1, (*above, shape.name))
            made[key] = inner
        return made

    def _plain(self) -> str:
        return f"{self.random.choice(_PLAIN)}{self.random.randrange(100)}"

    def _string(self, shape: Any) -> Any:
        meta = shape.metadata
        if shape.serialization.get("jsonvalue"):
            return {"json": [1, "é"]}
        if meta.get("enum"):
            return self.random.choice(meta["enum"])
        low, high = meta.get("min", 0), meta.get("max", 10**9)
        if meta.get("pattern"):
            return self._matching(meta["pattern"], low, high)
        plain = shape.serialization.get("location") in ("header", "querystring", "uri") or self.random.random() < 0.3
        text = self._plain() if plain else f"{self.random.choice(_WORDS)}{self.random.randrange(100)}"
        return (text + "x" * (low - len(text)))[: max(high, 0)]

    _character = _string

    def _matching(self, pattern: str, low: int, high: int) -> str:
        whole = patterns.whole(pattern)
        if whole is None:
            return "x" * max(low, 1)
        tree = sre_parser.parse(whole)
        for attempt in range(60):
            repeats = (0, 1, 2, 4, low, low // 2 + 1, low // 3 + 1)[attempt % 7]
            try:
                text = self._regex(tree, repeats)
            except Unsayable:
                continue
            if low <= len(text) <= high and re.match(whole, text):
                return text
        raise Unsayable(pattern)

    def _regex(self, tree: Any, repeats: int) -> str:
        return "".join(self._token(op, argument, repeats) for op, argument in tree)

    def _token(self, op: Any, argument: Any, repeats: int) -> str:
        if op is sre.LITERAL:
            return chr(argument)
        if op is sre.NOT_LITERAL:
            return "a" if argument != ord("a") else "b"
        if op is sre.ANY:
            return "a"
        if op is sre.IN:
            return self._one_of(argument)
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            least, most, inner = argument
            return "".join(self._regex(inner, repeats) for _ in range(max(least, min(most, repeats))))
        if op is sre.BRANCH:
            return self._regex(self.random.choice(argument[1]), repeats)
        if op is sre.SUBPATTERN:
            return self._regex(argument[3], repeats)
        if op is sre.ATOMIC_GROUP:
            return self._regex(argument, repeats)
        if op in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
            return ""
        raise Unsayable(str(op))

    def _one_of(self, items: Any) -> str:
        if items[0][0] is sre.NEGATE:
            taken = {argument for op, argument in items[1:] if op is sre.LITERAL}
            ranges = [argument for op, argument in items[1:] if op is sre.RANGE]
            for one in "aA0-_ é☃":
                if ord(one) not in taken and not any(low <= ord(one) <= high for low, high in ranges):
                    return one
            raise Unsayable("negated set")
        op, argument = self.random.choice(items)
        if op is sre.LITERAL:
            return chr(argument)
        if op is sre.RANGE:
            low, high = argument
            visible = [code for code in (ord("a"), ord("A"), ord("0"), ord("5"), ord("f")) if low <= code <= high]
            return chr(self.random.choice(visible)) if visible else chr(low)
        if op is sre.CATEGORY:
            digit = argument in (sre.CATEGORY_DIGIT,)
            return (
                "7"
                if digit
                else " "
                if argument is sre.CATEGORY_SPACE
                else "w"
                if argument is sre.CATEGORY_WORD
                else "-"
            )
        raise Unsayable(str(op))

    def _number(self, shape: Any, low: int, high: int) -> int:
        least, most = int(shape.metadata.get("min", low)), int(shape.metadata.get("max", high))
        return self.random.randint(max(least, low), min(most, high))

    def _integer(self, shape: Any) -> int:
        if shape.serialization.get("location") == "statusCode":
            return 202
        return self._number(shape, -(2**31), 2**31 - 1)

    def _long(self, shape: Any) -> int:
        return self._number(shape, -(2**53), 2**53)

    def _float(self, shape: Any) -> float:
        least = float(shape.metadata.get("min", 0))
        return min(least + self.random.randrange(64) / 8, float(shape.metadata.get("max", 100)))

    _double = _float

    def _boolean(self, shape: Any) -> bool:
        return self.random.random() < 0.5

    def _timestamp(self, shape: Any) -> float:
        whole = self.random.randrange(10**9, 2 * 10**9)
        seconds_only = shape.serialization.get("location") or shape.serialization.get("timestampFormat")
        return float(whole) if seconds_only else whole + 0.25

    def _blob(self, shape: Any) -> bytes:
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 64)
        payload = shape.serialization.get("streaming")
        data = b"payload \x01" if payload else self.random.randbytes(9)
        return (data + b"x" * (low - len(data)))[:high]
