"""JWT authorizers: by real tokens of an issuer that answers on a loopback port."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from tests.issuing import CURVE, OTHER, RSA, Issuer, public
from tests.running_gateway import code
from tests.unit.services.apigatewayv2.http_world import World as Scene

from havre.kernel.world import World
from havre.services.apigatewayv2.serving import issuers, tokens
from havre.services.apigatewayv2.serving.issuers import BadIssuer, Issuers, Unreachable, discover
from havre.services.apigatewayv2.serving.tokens import bearer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


def _authorizer(world: Scene, id: str, issuer: Issuer, **more: Any) -> str:
    given = {
        "Name": "tokens",
        "AuthorizerType": "JWT",
        "IdentitySource": ["$request.header.Authorization"],
        "JwtConfiguration": {"Issuer": issuer.url, "Audience": ["web"]},
    }
    return str(world.api.create_authorizer(ApiId=id, **{**given, **more})["AuthorizerId"])


def _guarded(world: Scene, issuer: Issuer, version: str = "2.0", **more: Any) -> str:
    id = world.make()
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    authorizer = _authorizer(world, id, issuer)
    world.integrate(id, "GET /me", version=version, AuthorizationType="JWT", AuthorizerId=authorizer, **more)
    return id


def _why(answer: Any) -> str:
    return str(answer[2]["www-authenticate"].partition('error_description="')[2].rstrip('"'))


def test_a_token_lets_its_bearer_in(world: Scene, issuer: Issuer) -> None:
    id = _guarded(world, issuer)
    for token in (
        issuer.token(groups=["a", "b"]),
        issuer.token(algorithm="RS512"),
        issuer.token(algorithm="PS256"),
        issuer.token(CURVE, "curve", "ES256"),
        issuer.token(aud=None, client_id="web"),
    ):
        assert world.ask(id, "/me", authorization=f"Bearer {token}")[0] == 200
    assert world.ask(id, "/me", authorization=issuer.token())[0] == 200, "without Bearer as well"
    claims = world.events[0]["requestContext"]["authorizer"]["jwt"]
    assert claims["claims"]["sub"] == "ann" and claims["claims"]["groups"] == "[a b]" and claims["scopes"] is None
    assert claims["claims"]["exp"].isdigit()
    assert issuer.asked.count("/pool/keys") == 1, "keys are remembered"


def test_format_1_has_claims_without_a_name(world: Scene, issuer: Issuer) -> None:
    id = _guarded(world, issuer, "1.0")
    assert world.ask(id, "/me", authorization=issuer.token())[0] == 200
    told = world.events[0]["requestContext"]["authorizer"]
    assert told["claims"]["sub"] == "ann" and told["scopes"] is None


def test_scopes_of_a_route(world: Scene, issuer: Issuer) -> None:
    id = _guarded(world, issuer, AuthorizationScopes=["read", "write"])
    status, body, headers = world.ask(id, "/me", authorization=issuer.token(scope="other"))
    assert (status, body) == (403, '{"message":"Forbidden"}')
    assert headers["www-authenticate"].startswith('Bearer scope="read write" error="insufficient_scope"')
    assert world.ask(id, "/me", authorization=issuer.token(scope="other write"))[0] == 200
    assert world.events[-1]["requestContext"]["authorizer"]["jwt"]["scopes"] == ["write"]
    assert world.ask(id, "/me", authorization=issuer.token(scp=["read"]))[0] == 200


def test_tokens_that_are_not_good(world: Scene, issuer: Issuer) -> None:
    id = _guarded(world, issuer)
    issuer.keys.append(public(RSA, "narrow", alg="RS384"))
    issuer.keys.append({**public(RSA, "sealed"), "use": "enc"})
    head, claims, _ = issuer.token().split(".")
    theirs = issuer.token(sub="bob").split(".")[2]
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "one"}).encode()).decode().rstrip("=")
    symmetric = issuer.token("k" * 32, "one", "HS256")
    for token, why in (
        ("x", "token contains an invalid number of segments"),
        ("a.b.c", "the token cannot be decoded"),
        (f"{none}.{claims}.", "signing method none is invalid"),
        (symmetric, "signing method HS256 is invalid"),
        (f"{head}.{claims}.{theirs}", "signature is invalid"),
        (issuer.token(OTHER), "signature is invalid"),
        (issuer.token(RSA, "curve"), "signature is invalid"),
        (issuer.token(RSA, "narrow"), "the key is not for this algorithm"),
        (issuer.token(RSA, "sealed"), "the key is not for this algorithm"),
        (issuer.token(RSA, "two"), "kid does not match any of the issuer's keys"),
        (issuer.token(exp=1), "the token has expired"),
        (issuer.token(aud="other"), "the token does not have a valid audience"),
        (issuer.token(iss="http://localhost/other"), "issuer does not match"),
    ):
        answer = world.ask(id, "/me", authorization=f"Bearer {token}")
        assert answer[:2] == (401, '{"message":"Unauthorized"}') and _why(answer) == why, token
        assert answer[2]["www-authenticate"].startswith('Bearer scope="" error="invalid_token"')
    assert world.ask(id, "/me")[2]["www-authenticate"] == "Bearer"
    assert world.ask(id, "/me", authorization="Bearer ")[0] == 401
    assert not world.events


def test_keys_are_asked_for_again_but_not_for_every_token(world: Scene, issuer: Issuer) -> None:
    id = _guarded(world, issuer)
    assert world.ask(id, "/me", authorization=issuer.token())[0] == 200
    issuer.keys = [public(OTHER, "two")]
    rotated = issuer.token(OTHER, "two")
    asked = issuer.asked.count("/pool/keys")
    assert world.ask(id, "/me", authorization=rotated)[0] == 401, "it was asked a moment ago"
    world.running.offset += issuers.AGAIN
    rotated = issuer.token(OTHER, "two")
    assert world.ask(id, "/me", authorization=rotated)[0] == 200
    assert world.ask(id, "/me", authorization=issuer.token())[0] == 401, "a key that was withdrawn"
    for n in range(5):
        world.ask(id, "/me", authorization=issuer.token(OTHER, f"made-up-{n}"))
    assert issuer.asked.count("/pool/keys") == asked + 1


async def test_a_signature_is_checked_once_for_each_key(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    check = tokens._claims

    def counted(token: str, key: Any, algorithm: str) -> Any:
        checked.append(token)
        return check(token, key, algorithm)

    monkeypatch.setattr(tokens, "_claims", counted)
    now = [1_000.0]
    world = World(lambda: now[0], Random(1))
    known = tokens.Tokens(world, Issuers(world.now))
    good, bad = issuer.token(), issuer.token(OTHER)
    for _ in range(3):
        assert (await known._verified(good, issuer.url))["sub"] == "ann"
        with pytest.raises(tokens.BadToken):
            await known._verified(bad, issuer.url)
    assert checked == [good, bad, bad, bad]
    now[0] += issuers.FRESH
    issuer.keys = [public(OTHER, "one")]
    with pytest.raises(tokens.BadToken):
        await known._verified(good, issuer.url)
    assert (await known._verified(bad, issuer.url))["sub"] == "ann"


def test_an_issuer_that_is_away(world: Scene, issuer: Issuer) -> None:
    id = _guarded(world, issuer)
    kept = issuer.documents.pop("/pool/.well-known/openid-configuration")
    answer = world.ask(id, "/me", authorization=issuer.token())
    assert answer[0] == 401 and _why(answer) == "OIDC discovery endpoint communication error"
    world.running.offset += issuers.AGAIN
    issuer.documents["/pool/.well-known/openid-configuration"] = {**kept, "jwks_uri": f"{issuer.url}/nothing"}
    assert _why(world.ask(id, "/me", authorization=issuer.token())) == "JWKS communication error"
    world.running.offset += issuers.AGAIN
    issuer.documents["/pool/.well-known/openid-configuration"] = kept
    assert world.ask(id, "/me", authorization=issuer.token(iat=None))[0] == 200
    world.running.offset += issuers.FRESH
    issuer.documents.clear()
    answer = world.ask(id, "/me", authorization=issuer.token(exp=4_000_000_000))
    assert answer[0] == 401, "keys that are too old are good no more"


async def test_one_question_for_many_tokens(issuer: Issuer) -> None:
    import asyncio

    known = Issuers(lambda: 0.0)
    found = await asyncio.gather(*(known.key(issuer.url, "one") for _ in range(20)))
    assert all(found) and issuer.asked.count("/pool/keys") == 1
    with pytest.raises(Unreachable):
        await known.key("http://127.0.0.1:1/", "one")


async def test_who_can_be_an_issuer(issuer: Issuer) -> None:
    path = "/pool/.well-known/openid-configuration"
    for url in ("http://192.0.2.1/", "ftp://localhost", "nothing", "https://", "http://localhost:no"):
        with pytest.raises(BadIssuer):
            await discover(url)
    for document in (
        {"issuer": issuer.url},
        {"issuer": "https://other", "jwks_uri": "https://other/keys"},
        [1],
        b"no json",
        b"[" * 100_000,
    ):
        issuer.documents[path] = document
        with pytest.raises(BadIssuer):
            await discover(issuer.url)
    issuer.documents[path] = b'{"a":"' + b"x" * issuers.MOST + b'"}'
    with pytest.raises(Exception, match="150000 bytes"):
        await discover(issuer.url)


def test_bad_input_changes_nothing(world: Scene, issuer: Issuer) -> None:
    id, api = world.make(), world.api
    settings = {"Issuer": issuer.url, "Audience": ["web"]}
    for more in (
        {"JwtConfiguration": {"Issuer": issuer.url}},
        {"JwtConfiguration": {"Audience": ["web"]}},
        {"JwtConfiguration": {**settings, "Issuer": "http://127.0.0.1:1/"}},
        {"JwtConfiguration": {**settings, "Issuer": issuer.url + "/none"}},
        {"JwtConfiguration": {**settings, "Issuer": "http://192.0.2.1/"}},
        {"IdentitySource": ["$request.header.a", "$request.header.b"]},
        {"IdentitySource": ["$stageVariables.a"]},
        {"AuthorizerUri": "arn:aws:lambda:us-east-1:1:function:f"},
    ):
        assert code(_authorizer, world=world, id=id, issuer=issuer, **more) == "BadRequestException", more
    assert not api.get_authorizers(ApiId=id)["Items"]
    with pytest.raises(Exception, match="Issuer must have a valid discovery endpoint"):
        _authorizer(world, id, issuer, JwtConfiguration={**settings, "Issuer": "http://127.0.0.1:1/"})
    jwt = _authorizer(world, id, issuer)
    route = {"ApiId": id, "RouteKey": "GET /b", "AuthorizerId": jwt}
    assert code(api.create_route, **route, AuthorizationType="CUSTOM") == "BadRequestException"
    for scopes in (["a b"], ['a"'], [str(n) for n in range(11)]):
        given = {**route, "AuthorizationType": "JWT", "AuthorizationScopes": scopes}
        assert code(api.create_route, **given) == "BadRequestException", scopes
    open_route = {"ApiId": id, "RouteKey": "GET /b", "AuthorizationScopes": ["a"]}
    assert code(api.create_route, **open_route) == "BadRequestException"
    assert not api.get_routes(ApiId=id)["Items"]
    api.create_route(**route, AuthorizationType="JWT", AuthorizationScopes=["a"])
    told = api.get_authorizer(ApiId=id, AuthorizerId=jwt)
    assert told["JwtConfiguration"] == settings and "AuthorizerResultTtlInSeconds" not in told
    changed = {"AuthorizerType": "REQUEST", "AuthorizerUri": "arn:aws:lambda:us-east-1:111122223333:function:f"}
    assert code(api.update_authorizer, ApiId=id, AuthorizerId=jwt, **changed) == "BadRequestException"
    api.update_authorizer(ApiId=id, AuthorizerId=jwt, JwtConfiguration={**settings, "Audience": ["web", "app"]})
    assert api.get_authorizer(ApiId=id, AuthorizerId=jwt)["JwtConfiguration"]["Audience"] == ["web", "app"]


def test_a_bearer() -> None:
    assert bearer("Bearer  a") == bearer("bearer a") == bearer("a") == "a"
    assert bearer(None) == bearer("") == bearer("Bearer") == ""
