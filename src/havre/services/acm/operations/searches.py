"""SearchCertificates."""

from __future__ import annotations

from havre.control.certificates.records import users
from havre.control.operation import Answer, Call, Operations, Request
from havre.services.acm import searching
from havre.services.acm.resources import CERTIFICATE
from havre.wire import tokens

ops = Operations()
PAGE = 100


@ops("SearchCertificates")
async def search_certificates(call: Call, request: Request) -> Answer:
    """A token holds how many results have been shown: the order may be by what changes."""
    store, statement = call.store, request.get("FilterStatement")
    found = [
        searching.result(each, bool(users(store, each.meta.arn)), call.now)
        for each in store.list(CERTIFICATE, call.account, call.region)
    ]
    if statement:
        found = [each for each in found if searching.holds(statement, each)]
    found.sort(key=searching.order(request.get("SortBy") or "CREATED_AT"))
    if (request.get("SortOrder") or "ASCENDING") == "DESCENDING":
        found.reverse()
    asked = {k: v for k, v in request.items() if k not in ("NextToken", "MaxResults")}
    bound = {**asked, "account": call.account, "region": call.region}
    secret = f"havre-acm-{call.site.instance}".encode()
    first = 0
    if request.get("NextToken"):
        words = "The NextToken is not valid."
        first = tokens.decode(secret, call.operation, bound, request["NextToken"], "ValidationException", words)
    end = first + (request.get("MaxResults") or PAGE)
    token = tokens.encode(secret, call.operation, bound, end) if end < len(found) else None
    return {"Results": found[first:end], "NextToken": token}
