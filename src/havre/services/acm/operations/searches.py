"""SearchCertificates."""

from __future__ import annotations

from havre.control.certificates.records import users
from havre.control.operation import Answer, Call, Operations, Request
from havre.control.paging import Paging
from havre.services.acm import searching
from havre.services.acm.resources import CERTIFICATE

ops = Operations()
PAGE = 100
_PAGING = Paging("MaxResults", "NextToken", "ValidationException", "The NextToken is not valid.")


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
    shown, token = _PAGING.page_by_count(call, request, found, PAGE)
    return {"Results": shown, "NextToken": token}
