"""Systems Manager: its Parameter Store.

The promise: parameters, their versions, labels, history and tags, from moto (docs/design/borrowed.md): signatures, policies
and the trail are Havre's, what an operation does is moto's. SecureString values are encrypted by KMS (secure.py). Left out:
everything of Systems Manager that is not a parameter.
"""

from __future__ import annotations

from havre.control.borrowed import Lender, Loans
from havre.control.operation import Call, Request, Service
from havre.services.ssm import secure


def service(lender: Lender | None = None) -> Service:
    loans = Loans("ssm", lender)
    loans.lend("DeleteParameter", resources=_named)
    loans.lend("PutParameter", resources=_named, own=secure.putting(_arn))
    loans.lend("GetParameter", "GetParameterHistory", resources=_named, own=secure.get)
    loans.lend("LabelParameterVersion", "UnlabelParameterVersion", resources=_named)
    loans.lend("DeleteParameters", resources=_all_named)
    loans.lend("GetParameters", resources=_all_named, own=secure.get)
    loans.lend("GetParametersByPath", resources=_path, own=secure.get)
    loans.lend("DescribeParameters")
    loans.lend("AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource", resources=_tagged)
    return loans.service(
        partial={
            "PutParameter.Tier": "the limits of the standard tier hold for all",
            "PutParameter.Policies": "kept, without effect: nothing expires",
        }
    )


def _arn(call: Call, name: str) -> str:
    """Of a parameter by its name, or by its own ARN; a version or label behind it does not count."""
    if name.startswith("arn:"):
        return name
    return call.arn(f"parameter/{name.partition(':')[0].lstrip('/')}")


def _named(call: Call, request: Request) -> tuple[str, ...]:
    return (_arn(call, request["Name"]),)


def _all_named(call: Call, request: Request) -> tuple[str, ...]:
    return tuple(_arn(call, name) for name in request["Names"])


def _path(call: Call, request: Request) -> tuple[str, ...]:
    return (_arn(call, request["Path"].rstrip("/")),)


def _tagged(call: Call, request: Request) -> tuple[str, ...]:
    if request["ResourceType"] != "Parameter":
        return (call.arn(f"{request['ResourceType'].lower()}/{request['ResourceId']}"),)
    return (_arn(call, request["ResourceId"]),)
