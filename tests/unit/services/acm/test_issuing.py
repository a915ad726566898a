"""When a certificate is issued, and issued anew: decided on what was seen, without a clock."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from havre.control.certificates.reading import Facts
from havre.kernel.resource import Meta, Resource
from havre.services.acm.issuing import RENEW_BEFORE, Issue, Issuing, Seen
from havre.services.acm.resources import CERTIFICATE, IMPORTED, ISSUED_HERE, Certificate, CertificateStatus

END = 2_000_000_000.0
FACTS = Facts("CN=a", "Havre", "01", 0.0, END, "RSA_2048", "SHA256WITHRSA", ("a.example.com",), fingerprint="f")


class _Deps:
    store = None


def decide(now: float, kind: str = ISSUED_HERE, *, used: bool = False, exported: bool = False, **more: Any) -> Any:
    spec = Certificate(kind, ("a.example.com",), "RSA_2048", "DNS", **more)
    status = CertificateStatus(FACTS, issued=0.0, exported=exported)
    found = Resource(CERTIFICATE.name, Meta("arn:a", "1", "r", "a"), spec, status)
    deps: Any = _Deps()
    return Issuing(deps, deps).decide(Seen(found, used, now))


def test_what_has_not_been_issued_is() -> None:
    found = Resource(
        CERTIFICATE.name,
        Meta("arn:a", "1", "r", "a"),
        Certificate(ISSUED_HERE, ("a.example.com",), "RSA_2048", "DNS"),
        CertificateStatus(),
    )
    deps: Any = _Deps()
    (effect,) = Issuing(deps, deps).decide(Seen(found, False, 0.0)).effects
    assert isinstance(effect, Issue) and effect.after == ""


@given(st.floats(0, END + 1e7), st.booleans(), st.booleans(), st.sampled_from([ISSUED_HERE, IMPORTED]))
def test_anew_in_good_time_and_never_what_nobody_uses(now: float, used: bool, exported: bool, kind: str) -> None:
    plan = decide(now, kind, used=used, exported=exported)
    wanted = kind == ISSUED_HERE and (used or exported) and END - RENEW_BEFORE <= now < END
    assert bool(plan.effects) == wanted
    if kind == ISSUED_HERE and (used or exported) and now < END - RENEW_BEFORE:
        assert plan.wake_at == END - RENEW_BEFORE


def test_when_it_is_asked_for_and_never_once_it_is_revoked() -> None:
    assert decide(1.0, exported=True, renewals=1).effects
    assert not decide(1.0, used=True, exported=True, renewals=1, revoked=0.5).effects
