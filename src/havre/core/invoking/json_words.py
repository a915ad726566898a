"""Why a payload is no JSON, in the words of the parser that Lambda has (Jackson)."""

from __future__ import annotations

import re

LONGEST = 16 << 10
"""Bytes of a payload that is looked at, for each takes its time."""
_TOKEN = 256
_HIDDEN = "Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_BLANK = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[\w$]*")
_ESCAPES = '"\\/bfnrtu'
_CLOSES = {"{": "}", "[": "]"}
_NAMES = {"{": "Object", "[": "Array"}


class _Fault(Exception):
    """``at``: the character after which it is reported."""

    def __init__(self, words: str, at: int) -> None:
        super().__init__(words)
        self.words = words
        self.at = at


def of(payload: bytes) -> str | None:
    """In words, and where; None for what is long, and what nothing is found wrong with."""
    if len(payload) > LONGEST:
        return None
    try:
        text = payload.decode()
        _Walk(text).run()
    except UnicodeDecodeError as error:
        return of_bytes(error)
    except _Fault as found:
        return f"{found.words}\n at {_place(text, found.at)}"
    return None


def of_bytes(error: UnicodeDecodeError) -> str:
    """Of a payload that is no UTF-8."""
    at = error.start if error.reason == "invalid start byte" else min(error.end, len(error.object) - 1)
    kind = "start" if error.reason == "invalid start byte" else "middle"
    return f"Invalid UTF-8 {kind} byte 0x{error.object[at]:x}"


def _place(text: str, at: int) -> str:
    line, start = text.count("\n", 0, at) + 1, text.rfind("\n", 0, at) + 1
    return f"[{_HIDDEN}; line: {line}, column: {len(text[start:at].encode()) + 1}]"


def _described(char: str) -> str:
    code = ord(char)
    if code < 32 or 127 <= code < 160:
        return f"(CTRL-CHAR, code {code})"
    return f"'{char}' (code {code})" if code < 256 else f"'{char}' (code {code} / 0x{code:x})"


class _Walk:
    """One after the other; ``open`` are the containers that are, and where they began."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.open: list[tuple[str, int]] = []

    def run(self) -> None:
        while True:
            while not self._value():
                pass
            while self.open and not self._goes_on():
                pass
            if not self.open:
                if char := self._next():
                    raise self._unexpected(char, "Expected space separating root-level values")
                return

    def _next(self) -> str:
        """The next character that is no blank, which is not passed; "" at the end."""
        self.at = _BLANK.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches nothing, too
        return self.text[self.at : self.at + 1]

    def _unexpected(self, char: str, words: str) -> _Fault:
        return _Fault(f"Unexpected character ({_described(char)}): {words}", self.at)

    def _ended(self) -> _Fault:
        if not self.open:
            return _Fault("No content to map due to end-of-input", self.at)
        kind, began = self.open[-1]
        where = _place(self.text, began)
        return _Fault(
            f"Unexpected end-of-input: expected close marker for {_NAMES[kind]} (start marker at {where})", self.at
        )

    def _value(self) -> bool:
        """Passes a value, or the beginning of a container; whether the next one is not inside of that."""
        char = self._next()
        if not char:
            raise self._ended()
        if char in _CLOSES:
            self.open.append((char, self.at))
            self.at += 1
            return self._is_empty(char)
        if char == '"':
            self._string("a string value")
        elif char in "-0123456789":
            self._number()
        elif char in "}," or (char == "]" and self.open and self.open[-1][0] == "["):
            raise self._unexpected(char, "expected a value")
        else:
            self._word(char)
        return True

    def _is_empty(self, kind: str) -> bool:
        """Of a container that has begun; in an object the name of its first value is passed."""
        char = self._next()
        if char == _CLOSES[kind]:
            return True
        if kind == "{":
            self._name(char)
        return False

    def _name(self, char: str) -> None:
        if not char:
            raise self._ended()
        if char != '"':
            raise self._unexpected(char, "was expecting double-quote to start field name")
        self._string("a field name")
        char = self._next()
        if not char:
            raise self._ended()
        if char != ":":
            raise self._unexpected(char, "was expecting a colon to separate field name and value")
        self.at += 1

    def _goes_on(self) -> bool:
        """What follows a value in a container: whether that has another value, or has ended."""
        kind, began = self.open[-1]
        char = self._next()
        if not char:
            raise self._ended()
        if char == _CLOSES[kind]:
            self.open.pop()
            self.at += 1
            return False
        if char in "}]":
            words = f"Unexpected close marker '{char}': expected '{_CLOSES[kind]}' (for {_NAMES[kind]} starting at "
            raise _Fault(f"{words}{_place(self.text, began)})", self.at)
        if char != ",":
            raise self._unexpected(char, f"was expecting comma to separate {_NAMES[kind]} entries")
        self.at += 1
        if kind == "{":
            self._name(self._next())
        return True

    def _string(self, what: str) -> None:
        self.at = _STRING.match(self.text, self.at + 1).end()  # type: ignore[union-attr]
        char = self.text[self.at : self.at + 1]
        if char == '"':
            self.at += 1
            return
        if not char:
            raise _Fault(f"Unexpected end-of-input: was expecting closing quote for {what}", self.at)
        if char == "\\":
            escaped = self.text[self.at + 1 : self.at + 2]
            if escaped and escaped not in _ESCAPES:
                raise _Fault(f"Unrecognized character escape {_described(escaped)}", self.at + 1)
            raise _Fault("Unexpected end-of-input in character escape sequence", len(self.text))
        words = "has to be escaped using backslash to be included in string value"
        raise _Fault(f"Illegal unquoted character ({_described(char)}): {words}", self.at)

    def _number(self) -> None:
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            char = self.text[self.at + 1 : self.at + 2]
            words = "in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value"
            raise _Fault(f"Unexpected character ({_described(char or '-')}) {words}", self.at + 1)
        if found[0].lstrip("-") == "0" and self.text[found.end() : found.end() + 1].isdigit():
            raise _Fault("Invalid numeric value: Leading zeroes not allowed", found.end())
        self.at = found.end()

    def _word(self, char: str) -> None:
        found = _WORD.match(self.text, self.at)
        assert found is not None
        if found[0] in ("null", "true", "false"):
            self.at = found.end()
        elif found[0]:
            self.at = min(found.end() + 1, len(self.text))
            token = found[0] if len(found[0]) <= _TOKEN else found[0][:_TOKEN] + "..."
            raise _Fault(f"Unrecognized token '{token}': was expecting {_VALUES}", self.at)
        else:
            raise self._unexpected(char, f"expected a valid value {_VALUES}")
