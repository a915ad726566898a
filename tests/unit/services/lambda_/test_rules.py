"""What is pure: names, shares, concurrency, statements, revisions."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.policy import parse
from havre.kernel.errors import ApiError
from havre.kernel.function import Code, FunctionLogs
from havre.kernel.resource import Meta, Resource
from havre.services.lambda_ import limits, queries
from havre.services.lambda_.compile import compiled, wanted_of
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.names import FunctionName, one_qualifier, parse_function, parse_layer
from havre.services.lambda_.present import revision, updating
from havre.services.lambda_.queries import shares
from havre.services.lambda_.reconcile.readiness import Readying, Seen, failed, ready
from havre.services.lambda_.resources import (
    FUNCTION,
    VERSION,
    Configuration,
    FunctionR,
    FunctionSpec,
    LayerUse,
    Policy,
    Readiness,
    Statement,
)
from havre.services.lambda_.rules import statements
from havre.services.lambda_.urls import url_id

NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
QUALIFIERS = st.one_of(st.just(""), st.just("$LATEST"), st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True))
ACCOUNTS = st.from_regex(r"\d{12}", fullmatch=True)
REGIONS = st.sampled_from(["us-east-1", "eu-central-1", "us-gov-west-1", "ap-southeast-2"])


@given(NAMES, QUALIFIERS, ACCOUNTS, REGIONS)
def test_every_form_of_a_name_leads_to_the_same_function(name: str, qualifier: str, account: str, region: str) -> None:
    behind = f":{qualifier}" if qualifier else ""
    whole = FunctionName(name, qualifier, account, region)
    assert parse_function(f"arn:aws:lambda:{region}:{account}:function:{name}{behind}") == whole
    assert parse_function(f"{account}:function:{name}{behind}") == whole._replace(region="")
    assert parse_function(f"function:{name}{behind}") == whole._replace(region="", account="")
    assert queries.named(account, region, f"{account}:function:{name}", qualifier) == whole
    assert queries.function_arn(account, region, name, qualifier).endswith(f":function:{name}{behind}")


@given(NAMES, QUALIFIERS)
def test_a_bare_name_is_one(name: str, qualifier: str) -> None:
    found = parse_function(f"{name}:{qualifier}" if qualifier else name)
    assert found.name == name or name == "function" or name.isdigit()


@given(st.text(max_size=40))
def test_what_is_no_name_is_refused_and_nothing_else_happens(text: str) -> None:
    try:
        found = parse_function(text)
    except ApiError as error:
        assert error.code == "InvalidParameterValueException"
    else:
        assert found.name and found.name in text


@given(QUALIFIERS, QUALIFIERS)
def test_two_qualifiers_have_to_agree(one: str, other: str) -> None:
    if one and other and one != other:
        with pytest.raises(ApiError):
            one_qualifier(one, other)
    else:
        assert one_qualifier(one, other) in (one, other)


def test_layers_are_named_by_name_and_by_both_arns() -> None:
    assert parse_layer("lib").name == "lib"
    assert parse_layer("arn:aws:lambda:us-east-1:111122223333:layer:lib").number == 0
    assert parse_layer("arn:aws:lambda:us-east-1:111122223333:layer:lib:7")[:2] == ("lib", 7)


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_every_draw_finds_a_version_and_shares_make_a_whole(weight: float, chance: float) -> None:
    both = shares("1", {"2": weight})
    assert sum(share for _, share in both) == pytest.approx(1)
    resolved = queries.Resolved(record(), "arn", "prod", both)
    assert resolved.draw(chance) == ("2" if chance < weight else "1")
    assert queries.Resolved(record(), "arn", "", shares("1", {})).draw(chance) == "1"


# Concurrency


@given(st.integers(0, 1000), st.one_of(st.none(), st.integers(0, 1000)), st.integers(0, 1000), st.integers(0, 2000))
def test_no_reservation_leaves_the_account_less_than_its_minimum(
    others: int, before: int | None, provisioned: int, wanted: int
) -> None:
    function = record(reserved=before)
    now = limits.Usage(2, 0, others + limits.set_aside(before, provisioned))
    allowed = limits.CONCURRENCY - others - wanted >= limits.LEAST_UNRESERVED and wanted >= provisioned
    if allowed:
        limits.check_reservation(now, function, provisioned, wanted)
    else:
        with pytest.raises(ApiError):
            limits.check_reservation(now, function, provisioned, wanted)


@given(st.integers(0, 900), st.one_of(st.none(), st.integers(0, 1000)), st.integers(0, 500), st.integers(0, 500),
       st.integers(1, 1100))  # fmt: skip
def test_provisioned_concurrency_fits_its_reservation_or_the_account(
    elsewhere: int, reserved: int | None, others: int, before: int, wanted: int
) -> None:
    function = record(reserved=reserved)
    now = limits.Usage(2, 0, elsewhere + limits.set_aside(reserved, others + before))
    after = elsewhere + limits.set_aside(reserved, others + wanted)
    fits = others + wanted <= reserved if reserved is not None else limits.CONCURRENCY - after >= 100
    if fits:
        limits.check_provisioned(now, function, others, before, wanted)
    else:
        with pytest.raises(ApiError):
            limits.check_provisioned(now, function, others, before, wanted)


# Policies


@given(st.lists(st.from_regex(r"[a-zA-Z0-9_-]{1,10}", fullmatch=True), unique=True, max_size=8), st.data())
def test_statements_come_and_go_by_their_labels(sids: list[str], data: st.DataObject) -> None:
    policy = Policy()
    for sid in sids:
        given_ = {"StatementId": sid, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
        made = statements.statement(given_, "arn:aws:lambda:us-east-1:111122223333:function:x")
        policy = statements.added(policy, made, "r")
        with pytest.raises(ApiError):
            statements.added(policy, made, "r")
    assert (
        [s.sid for s in parse(statements.document(policy.statements), "resource").statements] == sids if sids else True
    )
    for sid in data.draw(st.permutations(sids)):
        policy = statements.removed(policy, sid, "r")
    assert policy.statements == ()
    with pytest.raises(ApiError):
        statements.removed(Policy((Statement("a", "{}"),)), "b", "r")


# Records


def record(*, reserved: int | None = None, memory: int = 128, generation: int = 1, uid: str = "u") -> FunctionR:
    config = Configuration(
        "arn:aws:iam::111122223333:role/r",
        Code("zip", "0" * 64),
        FunctionLogs("/aws/lambda/f"),
        runtime="python3.12",
        handler="a.b",
        memory=memory,
        layers=(LayerUse("arn:aws:lambda:us-east-1:111122223333:layer:lib:1", Code("zip", "1" * 64)),),
    )
    spec = FunctionSpec("f", uid, config, "r", 0.0, generation=generation, reserved=reserved)
    meta = Meta("arn:aws:lambda:us-east-1:111122223333:function:f", "111122223333", "us-east-1", "f")
    return Resource(FUNCTION.name, meta, spec, Readiness())


def test_an_id_tells_all_that_differs() -> None:
    ids = {wanted_of(each).id for each in (record(), record(memory=256), record(uid="v"))}
    assert len(ids) == 3 and wanted_of(record()).id == wanted_of(record()).id
    assert wanted_of(record()).layers[0].digest == "1" * 64 and wanted_of(record()).version == "$LATEST"


@given(st.booleans(), st.booleans())
def test_what_was_dealt_with_is_dealt_with_whichever_way_it_went(first: bool, second: bool) -> None:
    """Creation, then one update; each of them fails or not."""
    made = record()
    assert updating(made)
    status = ready(made, wanted_of(made)) if first else failed(made, "why not")
    created = msgspec.structs.replace(made, status=status)
    assert not updating(created) and status.state == ("Active" if first else "Failed")
    changed = msgspec.structs.replace(record(memory=256, generation=2), status=status)
    assert updating(changed) and changed.status.serving == (made.spec.config if first else None)
    after = ready(changed, wanted_of(changed)) if second else failed(changed, "why not")
    assert after.generation == 2
    assert after.state == ("Active" if first or second else "Failed")
    assert after.update == ("Successful" if second else "Failed")
    serving = changed.spec.config if second else status.serving
    assert after.serving == serving
    if serving is not None:
        assert after.prepared == compiled(changed, serving).id
    assert revision(made) != revision(created)


@given(NAMES, NAMES)
def test_urls_are_apart_and_stay(one: str, other: str) -> None:
    first, second = (url_id("111122223333", "us-east-1", name, "") for name in (one, other))
    assert (first == second) == (one == other) and len(first) == 32 and first.isalnum() and first == first.lower()


def test_what_is_explained_is_found_by_its_arn() -> None:
    deps = SimpleNamespace(store=None)
    readying = Readying(deps, Facilities())  # type: ignore[arg-type]
    whole = "arn:aws:lambda:us-east-1:111122223333:function:f"
    for arn, kind, name in (
        (whole, FUNCTION, "f"),
        (f"{whole}:$LATEST", FUNCTION, "f"),
        (f"{whole}:7", VERSION, "f:7"),
    ):
        assert readying.key_of(arn) == (kind.name, "111122223333", "us-east-1", name)
    assert readying.key_of(f"{whole}:prod") is None and readying.key_of("arn:aws:ecs:us-east-1:1:x") is None
    broken = msgspec.structs.replace(record(), status=failed(record(), "the archive is broken"))
    assert "the archive is broken" in " ".join(readying.decide(Seen(broken)).reasons)
