"""The REST bindings of one service: HTTP method and path (and, where those tie, query and headers) → operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from havre.wire.models import ServiceModel

Labels = dict[str, str]
_REMEMBERED = 1024
_SHORT = 256
"""Characters of a path that is remembered."""


class _Binding:
    """One operation's URI: its labels in order, and what tells it from others with the same path."""

    __slots__ = ("labels", "operation", "query")

    def __init__(self, operation: str, labels: tuple[str, ...], query: tuple[tuple[str, str], ...]) -> None:
        self.operation = operation
        self.labels = labels
        self.query = query


class _Node:
    __slots__ = ("bindings", "greedy", "label", "literal")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.label: _Node | None = None
        self.greedy: list[tuple[tuple[str, ...], _Node]] = []
        self.bindings: dict[str, list[_Binding]] = {}


class UriTable:
    """Built when the first request for the service comes."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._root = _Node()
        self._known: dict[tuple[str, str], tuple[str, Labels]] = {}
        for method, uri, operation in model.routes:
            self._add(method, uri, operation)

    def _add(self, method: str, uri: str, operation: str) -> None:
        path, _, query = uri.partition("?")
        segments = [part for part in path.split("/") if part]
        node, labels = self._root, []
        for index, part in enumerate(segments):
            if not part.startswith("{"):
                node = node.literal.setdefault(part, _Node())
                continue
            labels.append(part[1:-1].removesuffix("+"))
            if part.endswith("+}"):
                tail = tuple(segments[index + 1 :])
                found = next((inner for behind, inner in node.greedy if behind == tail), None)
                if found is None:
                    found = _Node()
                    node.greedy.append((tail, found))
                    node.greedy.sort(key=lambda each: -len(each[0]))
                node = found
                break
            if node.label is None:
                node.label = _Node()
            node = node.label
        literal = tuple((name, value) for name, _, value in (each.partition("=") for each in query.split("&") if each))
        node.bindings.setdefault(method, []).append(_Binding(operation, tuple(labels), literal))

    def match(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[str, Labels] | None:
        """The operation and its path labels, decoded: to be read, not to be changed. A trailing slash makes no difference,
        but to a greedy label. Paths that mean one operation, whatever query and headers say, are remembered."""
        known = self._known.get((method, path))
        if known is not None:
            return known
        segments = path.removeprefix("/").split("/")
        while segments and not segments[-1]:
            segments.pop()
        raw = path.removeprefix("/")
        best: tuple[tuple[int, int], str, Labels] | None = None
        sure = True
        for node, values in self._walk(self._root, segments, 0, (), raw):
            bindings = node.bindings.get(method, ())
            for binding in bindings:
                fit = self._fit(binding, query, headers)
                if fit is not None and (best is None or fit > best[0]):
                    labels = {name: unquote(value) for name, value in zip(binding.labels, values, strict=True)}
                    best = (fit, binding.operation, labels)
            if best is not None:
                found = best[1], best[2]
                if sure and len(bindings) == 1 and not bindings[0].query and len(path) <= _SHORT:
                    self._remember(method, path, found)
                return found
            sure = sure and not bindings
        return None

    def _remember(self, method: str, path: str, found: tuple[str, Labels]) -> None:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[method, path] = found

    def _walk(
        self, node: _Node, segments: list[str], at: int, values: tuple[str, ...], rest: str
    ) -> Iterator[tuple[_Node, tuple[str, ...]]]:
        """Nodes that the path leads to, the most specific first."""
        if at == len(segments):
            yield node, values
            return
        part = segments[at]
        after = rest[len(part) + 1 :]
        literal = node.literal.get(part)
        if literal is not None:
            yield from self._walk(literal, segments, at + 1, values, after)
        if node.label is not None and part:
            yield from self._walk(node.label, segments, at + 1, (*values, part), after)
        for tail, inner in node.greedy:
            if not tail:
                yield inner, (*values, rest)
            elif len(segments) - at > len(tail) and tuple(segments[-len(tail) :]) == tail:
                yield inner, (*values, "/".join(segments[at : -len(tail)]))

    def _fit(self, binding: _Binding, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, int] | None:
        """How well the rest of the request fits: literal parameters, then required parameters and headers. None where
        a literal parameter is absent."""
        for name, value in binding.query:
            if name not in query or (value and query[name] != value):
                return None
        wanted = self._required(binding.operation)
        present = sum(1 for place, name in wanted if name in (query if place == "querystring" else headers))
        return len(binding.query) * 100 + present, present - len(wanted)

    def _required(self, operation: str) -> list[tuple[str, str]]:
        """Where and how the required members of an operation come that are bound to query or headers."""
        key = ("required", operation)
        found: list[tuple[str, str]] | None = self._model.memo.get(key)
        if found is None:
            shape = self._model.operations[operation].input
            members = [(shape.members[name], name) for name in shape.required] if shape else []
            found = self._model.memo[key] = [
                (m.location, (m.wire_name or n).lower() if m.location == "header" else m.wire_name or n)
                for m, n in members
                if m.location in ("querystring", "header")
            ]
        return found
