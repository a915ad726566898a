"""Each comparison as AWS documents it: a pattern, events that match, events that do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from havre.core.event_pattern import PatternError, compile


def detail(**fields: Any) -> dict[str, Any]:
    return {"source": "app", "detail": fields}


def on(value: Any) -> dict[str, Any]:
    return {"detail": {"f": [value]}}


CASES: list[tuple[str, dict[str, Any], list[Any], list[Any]]] = [
    # name, pattern of detail.f, values that match, values that do not
    ("exact text", on("running"), ["running"], ["Running", "", None, 3, ["stopped"], {"f": "running"}]),
    ("one of an array", on("a"), [["b", "a"], [["a"]]], [["b"], []]),
    ("empty text", on(""), [""], [None, " ", []]),
    ("null", on(None), [None], ["null", "", 0, False, []]),
    ("true", on(True), [True], [1, "true", False]),
    ("number", on(300), [300, 300.0, 3.0e2], ["300", 301, True]),
    ("prefix", on({"prefix": "us-"}), ["us-east-1", "us-"], ["eu-us-", "US-east", 5]),
    ("empty prefix", on({"prefix": ""}), ["", "x"], [1, None]),
    (
        "prefix ignoring case",
        on({"prefix": {"equals-ignore-case": "EventB"}}),
        ["eventbridge", "EVENTB"],
        ["event", "xeventb", 1],
    ),
    ("suffix", on({"suffix": ".png"}), ["a.png", ".png"], ["a.PNG", "a.png ", 1]),
    ("suffix ignoring case", on({"suffix": {"equals-ignore-case": ".png"}}), ["a.PNG", "a.png"], ["png", 1]),
    ("equals ignoring case", on({"equals-ignore-case": "alice"}), ["Alice", "ALICE"], ["alices", None]),
    ("wildcard", on({"wildcard": "a/*/c*"}), ["a/b/c", "a//cd", "a/x/y/c"], ["a/c", "b/a/x/c", 7]),
    ("wildcard escaped", on({"wildcard": "a\\*b*"}), ["a*b", "a*bc"], ["axb", "ab"]),
    ("wildcard backslash", on({"wildcard": "*\\\\x"}), ["a\\x"], ["ax"]),
    ("wildcard without star", on({"wildcard": "abc"}), ["abc"], ["abcd", 5, None]),
    ("anything but text", on({"anything-but": "init"}), ["x", 1, None, True, ["init", "x"]], ["init", ["init"], []]),
    ("anything but number", on({"anything-but": 123}), [124, "123", None], [123, 123.0]),
    ("anything but texts", on({"anything-but": ["a", "b"]}), ["c"], ["a", "b"]),
    ("anything but numbers", on({"anything-but": [100, 200]}), [150, "100"], [100, 200]),
    ("anything but prefix", on({"anything-but": {"prefix": "init"}}), ["x", 3], ["initializing"]),
    ("anything but prefixes", on({"anything-but": {"prefix": ["a", "b"]}}), ["c"], ["ax", "bx"]),
    ("anything but suffix", on({"anything-but": {"suffix": ".png"}}), ["a.txt"], ["a.png"]),
    ("anything but suffixes", on({"anything-but": {"suffix": [".png", ".rtf"]}}), ["a.txt"], ["a.png", "a.rtf"]),
    (
        "anything but ignoring case",
        on({"anything-but": {"equals-ignore-case": ["initializing", "stopped"]}}),
        ["running", 4],
        ["INITIALIZING", "Stopped"],
    ),
    ("anything but wildcard", on({"anything-but": {"wildcard": "*/lib/*"}}), ["/bin/x"], ["/usr/lib/x"]),
    (
        "anything but wildcards",
        on({"anything-but": {"wildcard": ["*/lib/*", "*/bin/*"]}}),
        ["/opt/x"],
        ["/usr/lib/x", "/a/bin/b"],
    ),
    ("numeric range", on({"numeric": [">", 0, "<=", 5]}), [1, 5, 0.5], [0, 5.1, "1", None, True]),
    ("numeric below", on({"numeric": ["<", 10]}), [9.99, -3], [10]),
    ("numeric equal", on({"numeric": ["=", 3.018e2]}), [301.8], [301.9]),
    ("numeric at least", on({"numeric": [">=", 1.5]}), [1.5, 2], [1.4]),
    ("cidr 4", on({"cidr": "10.0.0.0/24"}), ["10.0.0.255", "10.0.0.0"], ["10.0.1.0", "x", 10, "::1"]),
    ("cidr 6", on({"cidr": "2001:db8::/32"}), ["2001:db8:1::5"], ["2001:db9::1", "10.0.0.1"]),
    ("exists", on({"exists": True}), ["x", None, 0, [1]], [[], {}, {"deeper": 1}]),
    ("exists not", on({"exists": False}), [[], {}, {"deeper": 1}], ["x", None]),
    (
        "several at once",
        {"detail": {"f": [{"prefix": "a"}, {"numeric": ["=", 5]}, None]}},
        ["ab", 5, None],
        ["b", 6, True],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_comparisons(case: tuple[str, dict[str, Any], list[Any], list[Any]]) -> None:
    _, pattern, good, bad = case
    for compiled in (compile(pattern), compile(json.dumps(pattern))):
        assert [v for v in good if not compiled.matches(detail(f=v))] == []
        assert [v for v in bad if compiled.matches(detail(f=v))] == []


def test_a_missing_field_matches_only_its_absence() -> None:
    for _, pattern, _, _ in CASES:
        wants_absence = pattern == on({"exists": False})
        for event in ({"source": "app"}, {"detail": {}}, {"detail": None}, {"detail": "x"}, {"detail": []}):
            assert compile(pattern).matches(event) is wants_absence


def test_the_example_of_ec2() -> None:
    """The pattern of the user guide's first page, on its event."""
    event = {
        "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "source": "aws.ec2",
        "detail-type": "EC2 Instance State-change Notification", "account": "111122223333", "region": "us-west-1",
        "time": "2017-12-22T18:43:48Z", "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
        "detail": {"instance-id": "i-1234567890abcdef0", "state": "terminated"},
    }  # fmt: skip
    pattern = {
        "source": ["aws.ec2"],
        "detail-type": ["EC2 Instance State-change Notification"],
        "detail": {"state": ["terminated"]},
    }
    assert compile(pattern).matches(event)
    assert compile({"resources": event["resources"]}).matches(event)
    assert not compile(pattern).matches({**event, "detail": {"state": "running"}})
    assert compile({"time": [{"prefix": "2017-12"}]}).matches(event)


def test_all_fields_are_needed_and_or_is_one_of_them() -> None:
    pattern = compile(
        {
            "source": ["aws.cloudwatch"],
            "$or": [
                {"metricName": ["CPUUtilization", "ReadLatency"]},
                {"metricType": ["MetricType"], "namespace": ["AWS/EC2", "AWS/ES"]},
                {"scope": ["Service"]},
            ],
        }
    )
    assert pattern.matches({"source": "aws.cloudwatch", "scope": "Service"})
    assert pattern.matches({"source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/ES"})
    assert not pattern.matches({"source": "aws.cloudwatch", "metricType": "MetricType"})
    assert not pattern.matches({"source": "other", "scope": "Service"})
    assert not pattern.matches({"source": "aws.cloudwatch"})


def test_or_within_or_and_beside_another() -> None:
    pattern = compile(
        {
            "$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"c": [3]}]}],
            "detail": {"$or": [{"x": [{"numeric": [">", 5]}]}, {"y": [{"exists": False}]}]},
        }
    )
    assert pattern.matches({"c": 3, "detail": {"x": 1}})
    assert pattern.matches({"a": 1, "detail": {"x": 6, "y": 1}})
    assert not pattern.matches({"a": 1, "detail": {"x": 5, "y": 1}})
    assert not pattern.matches({"d": 1})


def test_what_is_said_of_one_object_is_true_of_one_element() -> None:
    people = {"p": [{"first": "Anna", "last": "Smith"}, {"first": "Bob", "last": "Jones"}]}
    assert compile({"p": {"first": ["Anna"], "last": ["Smith"]}}).matches(people)
    assert not compile({"p": {"first": ["Anna"], "last": ["Jones"]}}).matches(people)
    split = {"p": {"first": ["Anna"]}, "$or": [{"p": {"last": ["Jones"]}}, {"p": {"last": ["Brown"]}}]}
    assert not compile(split).matches(people)
    assert compile({**split, "$or": [{"p": {"last": ["Smith"]}}, {"q": [1]}]}).matches(people)


def test_absence_looks_at_every_element() -> None:
    pattern = compile({"p": {"x": [{"exists": False}]}})
    assert not pattern.matches({"p": [{"x": 1}, {"y": 1}]})
    assert pattern.matches({"p": [{"y": 1}, {"y": 2}]})
    assert pattern.matches({"p": [{"x": []}]})
    assert not pattern.matches({"p": [[{"y": 1}], [{"x": None}]]})


DOTTED = [
    ({"order": {"state": ["paid"]}}, {"order.state": "paid"}, True),
    ({"order.state": ["paid"]}, {"order": {"state": "paid"}}, True),
    ({"order.state": ["paid"]}, {"order.state": "paid"}, True),
    ({"order.state": ["paid"]}, {"order": [{"state": "new"}, {"state": "paid"}]}, True),
    ({"a": {"b.c": {"d": [1]}}}, {"a.b": {"c.d": 1}}, True),
    ({"a.b": [1]}, {"a": {"c": 2}, "a.b": 1}, True),
    ({"a.b": [1]}, {"a": 7, "a.b": 1}, True),
    ({"a.b": [{"exists": False}]}, {"a": {"b": 1}}, False),
    ({"a": {"b": [{"exists": False}]}}, {"a.b": 1}, False),
    ({"a": {"b": [{"exists": False}]}}, {"a.c": 1}, True),
    ({"order": {"state": ["paid"]}}, {"order.state": {"state": "paid"}}, False),
    ({"order.state": {"state": ["paid"]}}, {"order": {"state": "paid"}}, False),
    ({"a.b": [1], "a": {"c": [2]}}, {"a": {"b": 1, "c": 2}}, True),
    ({"a.b": [1], "a": {"c": [2]}}, {"a": {"b": 1, "c": 3}}, False),
]


@pytest.mark.parametrize(("pattern", "event", "expected"), DOTTED)
def test_names_are_joined_with_dots(pattern: dict[str, Any], event: dict[str, Any], expected: bool) -> None:
    assert compile(pattern).matches(event) is expected


REFUSED = [
    ("[]", "Filter is not an object"),
    ("{}", "Empty objects are not allowed"),
    ('{"source": "aws.ec2"}', '"source" must be an object or an array'),
    ('{"source": 5}', '"source" must be an object or an array'),
    ('{"detail": {}}', "Empty objects are not allowed"),
    ('{"source": []}', "Empty arrays are not allowed"),
    ('{"source": [["a"]]}', "Match value must be String, number, true, false, or null"),
    ('{"a": [{}]}', "Match expression name not found"),
    ('{"a": [{"contains": "x"}]}', "Unrecognized match type contains"),
    ('{"a": [{"prefix": 5}]}', "prefix match pattern must be a string"),
    ('{"a": [{"prefix": "x", "suffix": "y"}]}', "Only one key allowed in match expression"),
    ('{"a": [{"prefix": {"wildcard": "x"}}]}', "Unsupported prefix pattern: wildcard"),
    ('{"a": [{"suffix": {}}]}', "Suffix expression name not found"),
    ('{"a": [{"exists": "yes"}]}', "exists match pattern must be either true or false."),
    ('{"a": [{"exists": true, "prefix": "x"}]}', "Only one key allowed in match expression"),
    ('{"a": [{"wildcard": "x**"}]}', "Consecutive wildcard characters at pos 2"),
    ('{"a": [{"wildcard": "x\\\\y"}]}', "Invalid escape character at pos 2"),
    ('{"a": [{"numeric": 5}]}', "Value of numeric must be an array."),
    ('{"a": [{"numeric": []}]}', "Invalid member in numeric match: ]"),
    ('{"a": [{"numeric": [5]}]}', "Invalid member in numeric match: 5"),
    ('{"a": [{"numeric": ["<>", 5]}]}', "Unrecognized numeric range operator: <>"),
    ('{"a": [{"numeric": ["=", "5"]}]}', "Value of equals must be numeric"),
    ('{"a": [{"numeric": [">", true]}]}', "Value of > must be numeric"),
    ('{"a": [{"numeric": ["<", 5, ">", 1]}]}', "Too many elements in numeric expression"),
    ('{"a": [{"numeric": [">", 5, ">", 1]}]}', "Bad numeric range operator: >"),
    ('{"a": [{"numeric": [">", 5, "<", 1]}]}', "Bottom must be less than top"),
    ('{"a": [{"numeric": [">", 5, "<", 7, "<", 8]}]}', "Too many terms in numeric range expression"),
    ('{"a": [{"numeric": [">", 5000000001]}]}', "Value must be between -5.0E9 and 5.0E9, inclusive"),
    ('{"a": [{"cidr": "10.0.0.1"}]}', "Malformed CIDR, one '/' required"),
    ('{"a": [{"cidr": "10.0.0.0/8x"}]}', "Malformed CIDR, mask bits must be an integer"),
    ('{"a": [{"cidr": "nowhere/-8"}]}', "Malformed CIDR, mask bits must be an integer"),
    ('{"a": [{"cidr": "10.0.0/8"}]}', "Nonstandard IP address: 10.0.0"),
    ('{"a": [{"cidr": "fdxx::1/8"}]}', "Nonstandard IP address: fdxx::1"),
    (
        '{"a": [{"anything-but": true}]}',
        "Value of anything-but must be an array or single string/number value.",
    ),
    (
        '{"a": [{"anything-but": ["a", 1]}]}',
        "Inside anything but list, either all values are number or string, mixed type is not supported",
    ),
    ('{"a": [{"anything-but": [null]}]}', "Inside anything but list, start|null|boolean is not supported."),
    ('{"a": [{"anything-but": {"numeric": [">", 1]}}]}', "Unsupported anything-but pattern: numeric"),
    ('{"a": [{"anything-but": {"prefix": ""}}]}', "Null prefix/suffix not allowed"),
    ('{"a": [{"anything-but": {"suffix": [1]}}]}', "prefix/suffix match pattern must be a string"),
    ('{"$or": {"a": [1]}}', "It must be an Array followed with $or."),
    ('{"$or": [{"a": [1]}]}', "There must have at least 2 Objects in $or relationship."),
    ('{"$or": [{"a": [1]}, 5]}', "Only JSON object is allowed in array of $or relationship."),
    (
        '{"$or": [{"a": [1]}, {"prefix": ["x"]}]}',
        "prefix is Ruler reserved fieldName which cannot be used inside $or.",
    ),
    ('{"a": [1], "$or": [{"a": [2]}, {"b": [1]}]}', "Path `a` cannot be allowed multiple times"),
    ('{"a.b": [1], "a": {"b": [2]}}', "Path `a.b` cannot be allowed multiple times"),
    ('{"a.b": 5}', '"a.b" must be an object or an array'),
    (
        "nonsense here",
        "Unrecognized token 'nonsense': was expecting "
        "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
    ),
    ("{'a': [1]}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
    ('{"a" [1]}', "Unexpected character ('[' (code 91)): was expecting a colon to separate field name and value"),
    ('{"a": [1 2]}', "Unexpected character ('2' (code 50)): was expecting comma to separate entries"),
    ('{"a": [1', "Unexpected end-of-input"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_is_no_pattern_is_refused_in_aws_words(text: str, words: str) -> None:
    with pytest.raises(PatternError) as refused:
        compile(text)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        '{"a": [1',
        '{"a": [{"cidr": "10.0.0.0/33"}]}',
        '{"a": [{"cidr": "x/8"}]}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a":' * 500 + "[1]" + "}" * 500,
        json.dumps({f"{n}": {"$or": [{"a": [1]}, {"b": [2]}]} for n in range(11)} | {"$or": [{"x": [1]}] * 1001}),
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        compile(text)


def test_combinations_of_or_are_bounded() -> None:
    many = [{"$or": [{f"{n}{m}": [1]} for m in range(10)]} for n in range(4)]
    nested: dict[str, Any] = {"$or": [{"x": [1]}, {"y": [1]}]}
    for each in many:
        nested = {"$or": [each, nested]}
    assert compile(nested).matches({"35": 1})  # a sum of them: few
    half = {"$or": [{f"a{m}": [1]} for m in range(40)]}
    other = {"$or": [{f"b{m}": [1]} for m in range(40)]}
    with pytest.raises(PatternError, match="Too many combinations"):
        compile({"d": half, "$or": [{"d": other}, {"e": [1]}]})
