"""Dashboards: kept as they are given, once they are what a dashboard is. They belong to an account, and to no region."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.metrics.dashboards import problems
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus
from havre.services.cloudwatch import labelling, names
from havre.services.cloudwatch.paging import LISTS
from havre.services.cloudwatch.resources import DASHBOARD, Dashboard, DashboardRecord
from havre.store.ports import Transaction

ops = Operations()
PAGE = 1000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


def _of_dashboard(call: Call, request: Request) -> Sequence[str]:
    return (names.dashboard_arn(call, request["DashboardName"]),)


def _of_dashboards(call: Call, request: Request) -> Sequence[str]:
    return [names.dashboard_arn(call, name) for name in request["DashboardNames"]] or [names.dashboard_arn(call, "*")]


def _invalid(message: str, found: Sequence[tuple[str, str]] = ()) -> ApiError:
    fields = {"dashboardValidationMessages": [{"DataPath": path, "Message": told} for path, told in found]}
    return ApiError("DashboardInvalidInputError", message, None, fields)


def _absent(wanted: Sequence[str]) -> ApiError:
    return ApiError("DashboardNotFoundError", f"The specified dashboard does not exist. [{', '.join(wanted)}]")


@ops("PutDashboard", resources=_of_dashboard)
async def put_dashboard(call: Call, request: Request) -> Answer:
    name, body = request["DashboardName"], request["DashboardBody"]
    if not _NAME.fullmatch(name):
        raise _invalid(
            f"The value {name[:255]} for field DashboardName contains invalid characters. "
            "It can only contain alphanumerics, dash (-) and underscore (_)."
        )
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        raise _invalid("The field DashboardBody must be a valid JSON object") from None
    found = problems(read)
    if found:
        told = [{"dataPath": path, "message": message} for path, message in found]
        errors = "1 validation error" if len(found) == 1 else f"{len(found)} validation errors"
        is_are = "is" if len(found) == 1 else "are"
        raise _invalid(f"The dashboard body is invalid, there {is_are} {errors}:\n{json.dumps(told, indent=2)}", found)
    tags = labelling.given(request.get("Tags"))

    def change(tx: Transaction) -> None:
        seen = tx.get(DASHBOARD, call.account, "", name)
        if seen is not None:
            tx.update(seen, spec=replace(seen.spec, body=body, modified=call.now))
            return
        where = {"account": call.account, "region": "", "name": name, "arn": names.dashboard_arn(call, name)}
        tx.create(DASHBOARD, **where, spec=Dashboard(body, call.now, tags), status=NoStatus())

    await call.store.transact(change)
    return {"DashboardValidationMessages": []}


@ops("GetDashboard", resources=_of_dashboard)
async def get_dashboard(call: Call, request: Request) -> Answer:
    found = call.store.get(DASHBOARD, call.account, "", request["DashboardName"])
    if found is None:
        raise ApiError("DashboardNotFoundError", f"Dashboard {request['DashboardName'][:255]} does not exist")
    return {"DashboardArn": found.meta.arn, "DashboardBody": found.spec.body, "DashboardName": found.meta.name}


@ops("ListDashboards")
async def list_dashboards(call: Call, request: Request) -> Answer:
    prefix = request.get("DashboardNamePrefix", "")
    every = call.store.list(DASHBOARD, call.account, "")
    found = sorted((each for each in every if each.meta.name.startswith(prefix)), key=_name)
    page, token = LISTS.page(call, request, found, _name, PAGE)
    entries = [
        {
            "DashboardName": each.meta.name,
            "DashboardArn": each.meta.arn,
            "LastModified": each.spec.modified,
            "Size": len(each.spec.body.encode()),
        }
        for each in page
    ]
    return {"DashboardEntries": entries, "NextToken": token}


def _name(record: DashboardRecord) -> str:
    return record.meta.name


@ops("DeleteDashboards", resources=_of_dashboards)
async def delete_dashboards(call: Call, request: Request) -> Answer:
    """All of them, or none."""
    wanted = list(dict.fromkeys(request["DashboardNames"]))

    def change(tx: Transaction) -> None:
        found = {name: tx.get(DASHBOARD, call.account, "", name) for name in wanted}
        absent = [name for name, each in found.items() if each is None]
        if absent:
            raise _absent(absent)
        for each in found.values():
            if each is not None:
                tx.remove(each)

    await call.store.transact(change)
    return {}
