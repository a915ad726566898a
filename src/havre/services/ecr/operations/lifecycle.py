"""Lifecycle policies and their previews."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from havre.control.images import IMAGE, Image, Place, Repository
from havre.control.images.changes import repository, tags_of
from havre.control.operation import Answer, Call, Operations, Request
from havre.core.images import lifecycle
from havre.services.ecr import present, rules
from havre.services.ecr.candidates import candidates
from havre.services.ecr.common import about, page, place
from havre.services.ecr.errors import invalid, missing, modelled
from havre.services.ecr.facilities import Facilities
from havre.services.ecr.operations.repositories import update
from havre.store.ports import Transaction


async def put(call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        repository(call.store, where)
    _rules(request["lifecyclePolicyText"])
    await update(call, where, lifecycle=request["lifecyclePolicyText"])
    return {**present.named(where), "lifecyclePolicyText": request["lifecyclePolicyText"]}


async def get(call: Call, request: Request) -> Answer:
    where = place(call, request)
    found = _with_policy(call, where)
    return {
        **present.named(where),
        "lifecyclePolicyText": found.spec.lifecycle,
        "lastEvaluatedAt": found.status.evaluated,
    }


async def delete(call: Call, request: Request) -> Answer:
    shown = await get(call, request)
    await update(call, place(call, request), lifecycle="")
    return shown


async def start_preview(call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        found = repository(call.store, where)
    text = request.get("lifecyclePolicyText") or found.spec.lifecycle
    if not text:
        raise missing("LifecyclePolicyNotFoundException", "Lifecycle policy", where)
    expiring = lifecycle.expire(_rules(text), candidates(call.store, where), call.now)
    would = tuple((image.digest, priority) for image, priority in expiring)

    def change(transaction: Transaction) -> None:
        now = repository(transaction, where)
        status = msgspec.structs.replace(now.status, preview=text, previewed=call.now, would_expire=would)
        transaction.update(now, status=status)

    with modelled():
        await call.store.transact(change)
    return {**present.named(where), "lifecyclePolicyText": text, "status": "IN_PROGRESS"}


def _with_policy(call: Call, where: Place) -> Repository:
    with modelled():
        found = repository(call.store, where)
    if not found.spec.lifecycle:
        raise missing("LifecyclePolicyNotFoundException", "Lifecycle policy", where)
    return found


def _rules(text: str) -> tuple[lifecycle.Rule, ...]:
    try:
        return lifecycle.parse(text)
    except lifecycle.PolicyError as error:
        raise invalid("LifecyclePolicyText", f"Lifecycle policy validation failure: {error}") from None


def _result(call: Call, where: Place, image: Image, priority: int) -> dict[str, Any]:
    return {
        "imageTags": tags_of(call.store, where, image.spec.digest),
        "imageDigest": image.spec.digest,
        "imagePushedAt": image.meta.created,
        "action": {"type": "EXPIRE"},
        "appliedRulePriority": priority,
    }


def _wanted(result: dict[str, Any], request: Request) -> bool:
    status = rules.one_of(request.get("filter", {}).get("tagStatus", "ANY"), ("TAGGED", "UNTAGGED", "ANY"), "tagStatus")
    if status != "ANY" and bool(result["imageTags"]) != (status == "TAGGED"):
        return False
    ids = request.get("imageIds")
    return not ids or any(
        i.get("imageDigest", result["imageDigest"]) == result["imageDigest"]
        and (not i.get("imageTag") or i["imageTag"] in result["imageTags"])
        for i in ids
    )


async def get_preview(given: Facilities, call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        status = repository(call.store, where).status
    if status.previewed is None:
        raise missing("LifecyclePolicyPreviewNotFoundException", "Lifecycle policy preview", where)
    images = {i.spec.digest: i for i in call.store.find(IMAGE, "repository", where.scope)}
    results = [_result(call, where, images[d], p) for d, p in sorted(status.would_expire) if d in images]
    results = [r for r in results if _wanted(r, request)]
    shown, token = page(call, request, results, lambda r: str(r["imageDigest"]))
    return {
        **present.named(where),
        "lifecyclePolicyText": status.preview,
        "status": "COMPLETE",
        "nextToken": token,
        "previewResults": shown,
        "summary": {"expiringImageTotalCount": len(results)},
    }


def operations(given: Facilities) -> Operations:
    ops = Operations()
    about(ops, "PutLifecyclePolicy")(put)
    about(ops, "GetLifecyclePolicy")(get)
    about(ops, "DeleteLifecyclePolicy")(delete)
    about(ops, "StartLifecyclePolicyPreview")(start_preview)
    about(ops, "GetLifecyclePolicyPreview")(partial(get_preview, given))
    return ops
