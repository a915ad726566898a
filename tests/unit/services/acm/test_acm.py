"""Certificates from the request to their end, with boto3 against a gateway."""

from __future__ import annotations

import json

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.unit.services.acm.acm_harness import Acm, refusal

DAY = 86400.0


def test_what_is_requested_is_pending_with_records_and_then_issued(acm: Acm) -> None:
    arn = acm.request("www.example.com", SubjectAlternativeNames=["*.example.com", "example.com"])
    first = acm.described(arn)
    assert first["Status"] in ("PENDING_VALIDATION", "ISSUED") and first["Type"] == "AMAZON_ISSUED"
    options = {each["DomainName"]: each for each in first["DomainValidationOptions"]}
    assert list(options) == ["www.example.com", "*.example.com", "example.com"]
    record = options["www.example.com"]["ResourceRecord"]
    assert record["Type"] == "CNAME" and record["Name"].endswith(".www.example.com.")
    assert record["Value"].endswith(".acm-validations.aws.") and record["Value"].startswith("_")
    assert options["*.example.com"]["ResourceRecord"] == options["example.com"]["ResourceRecord"] != record
    acm.until(lambda: acm.described(arn)["Status"] == "ISSUED", "the certificate")
    acm.client.get_waiter("certificate_validated").wait(CertificateArn=arn, WaiterConfig={"MaxAttempts": 1})
    found = acm.described(arn)
    assert {each["ValidationStatus"] for each in found["DomainValidationOptions"]} == {"SUCCESS"}
    assert found["KeyAlgorithm"] == "RSA_2048" and found["SignatureAlgorithm"] == "SHA256WITHRSA"
    assert found["Subject"] == "CN=www.example.com" and found["Issuer"] == "Havre" and found["InUseBy"] == []
    assert found["RenewalEligibility"] == "INELIGIBLE" and "PRIVATE" not in str(found)
    got = acm.client.get_certificate(CertificateArn=arn)
    assert got["Certificate"] == acm.pair(arn).certificate
    assert got["CertificateChain"] == acm.authority.certificate_file.read_text()


def test_by_mail_it_says_whom_aws_would_write_to(acm: Acm) -> None:
    options = [{"DomainName": "a.b.example.com", "ValidationDomain": "example.com"}]
    arn = acm.client.request_certificate(DomainName="a.b.example.com", DomainValidationOptions=options)[
        "CertificateArn"
    ]
    (option,) = acm.described(arn)["DomainValidationOptions"]
    assert option["ValidationDomain"] == "example.com" and "admin@example.com" in option["ValidationEmails"]
    assert "ResourceRecord" not in option and option["ValidationMethod"] == "EMAIL"
    bad = [{"DomainName": "a.b.example.com", "ValidationDomain": "example.org"}]
    code, _ = refusal(acm.client.request_certificate, DomainName="a.b.example.com", DomainValidationOptions=bad)
    assert code == "InvalidDomainValidationOptionsException"
    acm.until(lambda: acm.described(arn)["Status"] == "ISSUED", "the certificate")
    resend = {"CertificateArn": arn, "Domain": "a.b.example.com", "ValidationDomain": "example.com"}
    assert refusal(acm.client.resend_validation_email, **resend)[0] == "InvalidStateException"


def test_validation_is_told_by_the_name_that_was_asked_for(acm: Acm) -> None:
    for method in ("DNS", "EMAIL"):
        arn = acm.client.request_certificate(DomainName="*.c.example.com", ValidationMethod=method)["CertificateArn"]
        (option,) = acm.described(arn)["DomainValidationOptions"]
        assert option["ValidationDomain"] == "*.c.example.com"
    assert "admin@c.example.com" in option["ValidationEmails"]


def test_a_configuration_without_events_is_none(acm: Acm) -> None:
    told = refusal(acm.client.put_account_configuration, IdempotencyToken="once")
    assert told == ("ValidationException", "Configuration for events is empty.")


def test_a_token_stands_for_one_request_for_an_hour(acm: Acm) -> None:
    first = acm.request("token.example.com", IdempotencyToken="abc")
    assert acm.request("token.example.com", IdempotencyToken="abc") == first
    assert acm.request("other.example.com", IdempotencyToken="abc") != first
    acm.later(3601)
    assert acm.request("token.example.com", IdempotencyToken="abc") != first


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"DomainName": "a" * 62 + ".com"}, "InvalidParameterException"),
        ({"DomainName": "no_such.example.com"}, "ValidationException"),
        ({"DomainName": "a.example.com", "KeyAlgorithm": "RSA_1024"}, "InvalidParameterException"),
        ({"DomainName": "a.example.com", "ValidationMethod": "HTTP"}, "NotImplementedException"),
        ({"DomainName": "a.example.com", "ManagedBy": "CLOUDFRONT"}, "NotImplementedException"),
        ({"DomainName": "a.example.com", "Tags": [{"Key": "aws:x", "Value": ""}]}, "InvalidTagException"),
    ],
)
def test_what_is_refused_when_it_is_asked_for(acm: Acm, arguments: dict[str, object], code: str) -> None:
    assert refusal(acm.client.request_certificate, **arguments)[0] == code


def test_it_is_imported_and_imported_again_under_the_same_arn(acm: Acm) -> None:
    given = acm.to_import("own.example.com", "*.own.example.com")
    arn = acm.client.import_certificate(**given, Tags=[{"Key": "team", "Value": "web"}])["CertificateArn"]
    found = acm.described(arn)
    assert found["Type"] == "IMPORTED" and found["Status"] == "ISSUED" and "DomainValidationOptions" not in found
    assert found["DomainName"] == "own.example.com" and found["ImportedAt"] and found["KeyAlgorithm"] == "EC_prime256v1"
    assert acm.client.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "team", "Value": "web"}]
    acm.client.import_certificate(CertificateArn=arn, **acm.to_import("own.example.com", "new.example.com"))
    again = acm.described(arn)
    assert again["Serial"] != found["Serial"] and "new.example.com" in again["SubjectAlternativeNames"]
    assert acm.pair(arn).certificate.encode() != given["Certificate"]
    other = acm.to_import("own.example.com", algorithm="EC_secp384r1")
    assert refusal(acm.client.import_certificate, CertificateArn=arn, **other)[0] == "ValidationException"
    with_tags = {"CertificateArn": arn, "Tags": [{"Key": "a", "Value": "b"}], **acm.to_import("own.example.com")}
    assert refusal(acm.client.import_certificate, **with_tags)[0] == "ValidationException"
    assert acm.described(arn)["Serial"] == again["Serial"]
    requested = acm.request("not.imported.example.com")
    assert refusal(acm.client.import_certificate, CertificateArn=requested, **given)[0] == "ValidationException"


def test_what_does_not_belong_together_is_not_imported(acm: Acm) -> None:
    one, other = acm.to_import("one.example.com"), acm.to_import("other.example.com")
    count = len(acm.client.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"])
    code, words = refusal(acm.client.import_certificate, **{**one, "PrivateKey": other["PrivateKey"]})
    assert code == "ValidationException" and "do not match" in words
    code, words = refusal(acm.client.import_certificate, Certificate=one["Certificate"], PrivateKey=one["PrivateKey"])
    assert code == "ValidationException" and "self signed" in words
    assert refusal(acm.client.import_certificate, **{**one, "Certificate": b"x"})[0] == "ValidationException"
    assert refusal(acm.client.import_certificate, **{**one, "PrivateKey": b"x" * 5121})[0] == "ValidationException"
    after = len(acm.client.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"])
    assert after == count
    (event, *_) = acm.running.events("ImportCertificate")
    assert event["requestParameters"]["privateKey"] == "HIDDEN_DUE_TO_SECURITY_REASONS"


def test_one_in_use_is_not_deleted_and_says_by_what(acm: Acm) -> None:
    arn = acm.issued("used.example.com")
    acm.use(arn, "listener-1", "arn:of:balancer")
    assert acm.described(arn)["InUseBy"] == ["arn:of:balancer"]
    assert acm.described(arn)["RenewalEligibility"] == "ELIGIBLE"
    code, words = refusal(acm.client.delete_certificate, CertificateArn=arn)
    assert code == "ResourceInUseException" and "arn:of:balancer" in words
    acm.use(arn, "listener-1", over=True)
    acm.client.delete_certificate(CertificateArn=arn)
    assert refusal(acm.client.describe_certificate, CertificateArn=arn)[0] == "ResourceNotFoundException"
    assert refusal(acm.client.describe_certificate, CertificateArn="arn:aws:acm:nonsense:1")[0] in (
        "InvalidArnException",
        "ValidationException",
    )
    from havre.control.certificates.records import key_pair

    assert key_pair(acm.running.store, arn) is None


def test_one_in_use_is_issued_anew_before_it_expires_and_another_expires(acm: Acm) -> None:
    used, unused = acm.issued("renewed.example.com"), acm.issued("expiring.example.com")
    acm.use(used)
    before = acm.pair(used)
    acm.later(154 * DAY)
    acm.until(lambda: acm.pair(used) != before, "the renewal")
    found = acm.described(used)
    assert found["RenewalSummary"]["RenewalStatus"] == "SUCCESS" and found["NotAfter"].timestamp() > acm.now + 190 * DAY
    assert acm.pair(used).key != before.key
    acm.later(60 * DAY)
    assert acm.described(unused)["Status"] == "EXPIRED" and acm.described(used)["Status"] == "ISSUED"
    listed = acm.client.list_certificates(CertificateStatuses=["EXPIRED"], Includes={"keyTypes": ["EC_prime256v1"]})
    assert unused in {each["CertificateArn"] for each in listed["CertificateSummaryList"]}


def test_only_an_exportable_one_is_exported_and_its_key_needs_the_passphrase(acm: Acm) -> None:
    closed = acm.issued("closed.example.com")
    assert (
        refusal(acm.client.export_certificate, CertificateArn=closed, Passphrase=b"secret")[0] == "ValidationException"
    )
    assert refusal(acm.client.renew_certificate, CertificateArn=closed)[0] == "ValidationException"
    arn = acm.issued("open.example.com", Options={"Export": "ENABLED"})
    told = acm.client.export_certificate(CertificateArn=arn, Passphrase=b"secret")
    assert told["PrivateKey"].startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    load_pem_private_key(told["PrivateKey"].encode(), b"secret")
    with pytest.raises((ValueError, UnsupportedAlgorithm)):
        load_pem_private_key(told["PrivateKey"].encode(), b"another")
    assert told["Certificate"] == acm.pair(arn).certificate
    acm.client.renew_certificate(CertificateArn=arn)
    acm.until(lambda: acm.pair(arn).certificate != told["Certificate"], "the renewal")
    assert refusal(acm.client.renew_certificate, CertificateArn=arn)[0] == "ValidationException"
    code, _ = refusal(acm.client.revoke_certificate, CertificateArn=arn, RevocationReason="KEY_COMPROMISE")
    assert code == "ValidationException"
    acm.client.export_certificate(CertificateArn=arn, Passphrase=b"secret")
    acm.client.revoke_certificate(CertificateArn=arn, RevocationReason="KEY_COMPROMISE")
    found = acm.described(arn)
    assert found["Status"] == "REVOKED" and found["RevocationReason"] == "KEY_COMPROMISE" and not acm.pair(arn).key


def test_lists_have_filters_an_order_and_pages(acm: Acm) -> None:
    made = [acm.issued(f"page{i}.example.com") for i in range(3)]
    ec = {"keyTypes": ["EC_prime256v1"]}
    plain = {c["CertificateArn"] for c in acm.client.list_certificates()["CertificateSummaryList"]}
    assert not plain & set(made)
    pages = acm.client.get_paginator("list_certificates").paginate(
        Includes=ec, SortBy="CREATED_AT", SortOrder="DESCENDING", PaginationConfig={"PageSize": 2}
    )
    arns = [c["CertificateArn"] for page in pages for c in page["CertificateSummaryList"]]
    assert len(arns) == len(set(arns)) and arns[:3] == made[::-1]
    token = acm.client.list_certificates(Includes=ec, MaxItems=1)["NextToken"]
    assert refusal(acm.client.list_certificates, MaxItems=1, NextToken=token)[0] == "InvalidArgsException"
    assert refusal(acm.client.list_certificates, SortBy="CREATED_AT")[0] == "ValidationException"
    server = {**ec, "extendedKeyUsage": ["CODE_SIGNING"]}
    assert acm.client.list_certificates(Includes=server)["CertificateSummaryList"] == []


def test_tags_by_both_kinds_of_operations(acm: Acm) -> None:
    arn = acm.request("tags.example.com", Tags=[{"Key": "a", "Value": "1"}])
    acm.client.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    acm.client.tag_resource(ResourceArn=arn, Tags=[{"Key": "c", "Value": "3"}])
    acm.client.remove_tags_from_certificate(CertificateArn=arn, Tags=[{"Key": "a", "Value": "other"}, {"Key": "b"}])
    assert acm.client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [
        {"Key": "a", "Value": "1"},
        {"Key": "c", "Value": "3"},
    ]
    acm.client.untag_resource(ResourceArn=arn, TagKeys=["a", "c"])
    assert acm.client.list_tags_for_certificate(CertificateArn=arn)["Tags"] == []
    many = [{"Key": str(i), "Value": ""} for i in range(50)]
    acm.client.add_tags_to_certificate(CertificateArn=arn, Tags=many)
    code, _ = refusal(acm.client.add_tags_to_certificate, CertificateArn=arn, Tags=[{"Key": "x"}])
    assert code == "TooManyTagsException"


def test_the_method_of_validation_goes_from_mail_to_dns_only(acm: Acm) -> None:
    arn = acm.client.request_certificate(DomainName="m.example.com", ValidationMethod="EMAIL")["CertificateArn"]
    acm.client.update_certificate_options(CertificateArn=arn, Options={"ValidationMethod": "DNS"})
    (validation,) = acm.client.list_certificate_domain_validations(CertificateArn=arn)["DomainValidationSummaryList"]
    challenge = validation["ActiveValidationConfiguration"]["ValidationChallenge"]["DnsValidationChallenge"]
    assert challenge["ResourceRecord"]["Type"] == "CNAME"
    options = {"ValidationMethod": "EMAIL"}
    assert (
        refusal(acm.client.update_certificate_options, CertificateArn=arn, Options=options)[0] == "ValidationException"
    )
    options = {"Export": "ENABLED"}
    assert (
        refusal(acm.client.update_certificate_options, CertificateArn=arn, Options=options)[0] == "ValidationException"
    )


def test_events_tell_daily_of_what_is_going_to_expire(acm: Acm) -> None:
    given = acm.to_import("leaving.example.com")
    arn = acm.client.import_certificate(**given)["CertificateArn"]

    def told() -> list[dict[str, object]]:
        return [json.loads(e["Detail"]) for e in acm.told if e["Resources"] == [arn]]

    acm.client.put_account_configuration(ExpiryEvents={"DaysBeforeExpiry": 10}, IdempotencyToken="a")
    assert acm.client.get_account_configuration()["ExpiryEvents"] == {"DaysBeforeExpiry": 10}
    acm.later(189 * DAY)
    acm.until(lambda: len(told()) == 1, "the first event")
    assert told() == [{"DaysToExpiry": 8, "CommonName": "leaving.example.com"}]
    assert acm.told[-1]["DetailType"] == "ACM Certificate Approaching Expiration"
    acm.later(DAY)
    acm.until(lambda: len(told()) == 2, "the second event")
    wrong = {"ExpiryEvents": {"DaysBeforeExpiry": 46}, "IdempotencyToken": "b"}
    assert refusal(acm.client.put_account_configuration, **wrong)[0] == "ValidationException"


def test_certificates_are_searched_for(acm: Acm) -> None:
    one = acm.issued("find-one.example.com", SubjectAlternativeNames=["find-more.example.com"])
    two = acm.client.import_certificate(**acm.to_import("find-two.example.com"))["CertificateArn"]
    name = {"ComparisonOperator": "CONTAINS", "Value": "find-"}
    named = {"Filter": {"X509AttributeFilter": {"SubjectAlternativeName": {"DnsName": name}}}}

    def found(*more: dict[str, object], **order: object) -> list[str]:
        results = acm.client.search_certificates(FilterStatement={"And": [named, *more]}, **order)["Results"]
        return [each["CertificateArn"] for each in results]

    assert set(found()) == {one, two}
    imported = {"Filter": {"AcmCertificateMetadataFilter": {"Type": "IMPORTED"}}}
    assert found(imported) == [two] and found({"Not": imported}) == [one]
    exact = {"ComparisonOperator": "EQUALS", "Value": "Find-Two.example.com"}
    subject = {"Filter": {"X509AttributeFilter": {"Subject": {"CommonName": exact}}}}
    assert found(subject) == [two] and found({"Or": [subject, {"Filter": {"CertificateArn": one}}]}) != []
    late = {"Filter": {"X509AttributeFilter": {"NotAfter": {"Start": acm.now + 300 * DAY}}}}
    assert found(late) == []
    by_name = found(SortBy="COMMON_NAME", SortOrder="DESCENDING")
    assert by_name == [two, one]
    first = acm.client.search_certificates(FilterStatement=named, MaxResults=1)
    rest = acm.client.search_certificates(FilterStatement=named, MaxResults=1, NextToken=first["NextToken"])
    assert {r["CertificateArn"] for r in (*first["Results"], *rest["Results"])} == {one, two}
    (result,) = acm.client.search_certificates(FilterStatement={"And": [named, imported]})["Results"]
    assert result["X509Attributes"]["Issuer"] == {"CommonName": "Havre test Root CA", "Organization": "Havre"}
    deep = named
    for _ in range(10):
        deep = {"Not": deep}
    assert refusal(acm.client.search_certificates, FilterStatement=deep)[0] == "ValidationException"


def test_an_authority_that_cannot_be_used_holds_up_and_is_told(acm: Acm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with its files, the certificate is issued once they can be used."""

    tries = []

    def broken(names: object, *_: object) -> None:
        tries.append(names)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(acm.authority, "issue", broken)
        arn = acm.request("held.example.com", KeyAlgorithm="EC_prime256v1")
        acm.until(lambda: ("held.example.com",) in tries, "a try")
        assert acm.described(arn)["Status"] == "PENDING_VALIDATION"
    acm.later(60)
    acm.until(lambda: acm.described(arn)["Status"] == "ISSUED", "the certificate")
