"""Event source mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError
from havre.services.lambda_ import mapping_states, queries
from havre.services.lambda_.conditions import tag_conditions
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import conflict, in_use, invalid, not_found
from havre.services.lambda_.event_sources import check_source
from havre.services.lambda_.paging import page
from havre.services.lambda_.queries import Resolved
from havre.services.lambda_.resources import MAPPING, MappingR, MappingSpec
from havre.services.lambda_.rules import mappings as rules
from havre.services.lambda_.rules import tenants
from havre.services.lambda_.rules.values import merged_tags
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()
_SETTINGS = (
    "FunctionName Enabled BatchSize FilterCriteria ScalingConfig MaximumBatchingWindowInSeconds ParallelizationFactor "
    "DestinationConfig MaximumRecordAgeInSeconds BisectBatchOnFunctionError MaximumRetryAttempts TumblingWindowInSeconds "
    "FunctionResponseTypes ProvisionedPollerConfig SourceAccessConfigurations AmazonManagedKafkaEventSourceConfig "
    "SelfManagedKafkaEventSourceConfig DocumentDBEventSourceConfig LoggingConfig MetricsConfig"
)
_CREATE = (
    f"{_SETTINGS} EventSourceArn StartingPosition StartingPositionTimestamp Tags Topics Queues SelfManagedEventSource"
)
_NOTHING = "No records processed"
_PAGE = 100


def mapping_arns(call: Call, request: Request) -> Sequence[str]:
    return (call.arn(f"event-source-mapping:{request['UUID']}", "lambda"),)


def _function_condition(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    """The function that is to be invoked, and tags of the request."""
    keys: dict[str, str | Sequence[str]] = dict(tag_conditions(request.get("Tags") or {}))
    if request.get("FunctionName"):
        said = queries.named(call.account, call.region, request["FunctionName"])
        keys["lambda:FunctionArn"] = queries.function_arn(said.account, said.region, said.name, said.qualifier)
    return keys


def _target(reader: Reader, call: Call, name: str) -> Resolved:
    """Raises ApiError; no source says for which tenant it invokes."""
    try:
        found = queries.resolve(reader, call.account, call.region, name)
        tenants.refuse(found.function.spec.config, "An event source mapping")
        return found
    except ApiError as error:
        if error.code == "ResourceNotFoundException":
            raise invalid("Function does not exist") from None
        raise


def _get(reader: Reader, call: Call, request: Request) -> MappingR:
    found = reader.get(MAPPING, call.account, call.region, request["UUID"])
    if found is None:
        raise not_found("The resource you requested does not exist.")
    return found


@ops.on("CreateEventSourceMapping", _CREATE, resources=None, conditions=_function_condition)
async def create_event_source_mapping(call: Call, request: Request) -> Answer:
    """What is wrong with the request is said before what its function is like, as in AWS."""
    kind = rules.kind_of(request)
    source = request["EventSourceArn"]
    uuid, tags = call.world.uuid(), merged_tags({}, request.get("Tags") or {})
    said = rules.fresh(request, kind, MappingSpec(uuid, "", "", source, kind, call.now, tags=tags))
    found = _target(call.store, call, request["FunctionName"])
    spec = replace(said, function=found.function.meta.name, qualifier=found.qualifier)
    if Arn.parse(source).region != call.region:
        raise invalid(f"The event source has to be in the region of the function, {call.region}.")
    config = queries.record(call.store, found.function, found.version).spec.config
    await check_source(call, kind, source, config)
    result = "" if kind == rules.QUEUE else _NOTHING

    def change(tx: Transaction) -> MappingR:
        _target(tx, call, request["FunctionName"])
        _check_only(tx, call, spec)
        return tx.create(
            MAPPING,
            account=call.account,
            region=call.region,
            name=uuid,
            arn=call.arn(f"event-source-mapping:{uuid}", "lambda"),
            spec=spec,
            status=mapping_states.created(spec, result),
        )

    return shown(await call.store.transact(change))


def _check_only(reader: Reader, call: Call, spec: MappingSpec) -> None:
    """One mapping of a source to a function, version or alias. Raises ApiError."""
    for other in reader.find(MAPPING, "source", spec.source):
        same = (other.spec.function, other.spec.qualifier) == (spec.function, spec.qualifier)
        if same and other.meta.account == call.account and other.spec.uuid != spec.uuid:
            about = "An event source mapping with SQS arn" if spec.kind == rules.QUEUE else "The event source arn"
            middle = "already exists" if spec.kind == rules.QUEUE else "provided mapping already exists"
            raise conflict(
                f'{about} (" {spec.source} ") and function (" {spec.function} ") {middle}. Please update or delete the '
                f"existing mapping with UUID {other.spec.uuid}"
            )


@ops.on("GetEventSourceMapping", "UUID", resources=mapping_arns)
async def get_event_source_mapping(call: Call, request: Request) -> Answer:
    return shown(_get(call.store, call, request))


@ops.on("UpdateEventSourceMapping", f"UUID {_SETTINGS}", resources=mapping_arns)
async def update_event_source_mapping(call: Call, request: Request) -> Answer:
    seen = _get(call.store, call, request)
    spec = seen.spec
    if request.get("FunctionName"):
        await call.authorize("lambda:UpdateEventSourceMapping", [seen.meta.arn], _function_condition(call, request))
        found = _target(call.store, call, request["FunctionName"])
        spec = replace(spec, function=found.function.meta.name, qualifier=found.qualifier)
        config = queries.record(call.store, found.function, found.version).spec.config
        await check_source(call, spec.kind, spec.source, config)
    spec = rules.changed(request, spec)

    def change(tx: Transaction) -> MappingR:
        fresh = _get(tx, call, request)
        if mapping_states.settling(fresh) or fresh.spec != seen.spec:
            raise in_use("Cannot update the event source mapping because it is in use.")
        _check_only(tx, call, spec)
        new = replace(spec, generation=fresh.spec.generation + 1, modified=call.now)
        return tx.update(fresh, spec=new, status=mapping_states.asked(fresh.status, fresh.spec, new))

    return shown(await call.store.transact(change))


@ops.on("DeleteEventSourceMapping", "UUID", resources=mapping_arns)
async def delete_event_source_mapping(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> MappingR:
        found = _get(tx, call, request)
        if mapping_states.settling(found):
            raise in_use("Cannot delete the event source mapping because it is in use.")
        return tx.update(found, deleting=call.now)

    return shown(await call.store.transact(change))


@ops.on("ListEventSourceMappings", "EventSourceArn FunctionName Marker MaxItems", resources=None)
async def list_event_source_mappings(call: Call, request: Request) -> Answer:
    found: Sequence[MappingR] = call.store.list(MAPPING, call.account, call.region)
    if request.get("EventSourceArn"):
        found = [m for m in found if m.spec.source == request["EventSourceArn"]]
    if request.get("FunctionName"):
        said = queries.named(call.account, call.region, request["FunctionName"])
        found = [m for m in found if m.spec.function == said.name and said.qualifier in ("", m.spec.qualifier)]
    some, marker = page(call, request, found, lambda m: m.spec.uuid, _PAGE)
    return {"EventSourceMappings": [shown(each) for each in some], "NextMarker": marker}


def shown(mapping: MappingR) -> dict[str, Any]:
    """EventSourceMappingConfiguration."""
    spec, m = mapping.spec, mapping.meta
    queue = spec.kind == rules.QUEUE
    answer: dict[str, Any] = {
        "UUID": spec.uuid,
        "EventSourceMappingArn": m.arn,
        "EventSourceArn": spec.source,
        "FunctionArn": queries.function_arn(m.account, m.region, spec.function, spec.qualifier),
        "BatchSize": spec.batch,
        "MaximumBatchingWindowInSeconds": spec.window,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if spec.partial_failures else [],
        "FilterCriteria": {"Filters": [{"Pattern": p} for p in spec.filters]} if spec.filters else None,
        "MetricsConfig": None if spec.metrics is None else {"Metrics": list(spec.metrics)},
        "LastModified": spec.modified,
        "LastProcessingResult": mapping.status.result or None,
        "State": mapping_states.state(mapping),
        "StateTransitionReason": "USER_INITIATED" if queue else "User action",
    }
    if queue:
        limit, least, most = spec.maximum_concurrency, spec.minimum_pollers, spec.maximum_pollers
        pollers = None if least is None else {"MinimumPollers": least, "MaximumPollers": most}
        scaling = None if limit is None else {"MaximumConcurrency": limit}
        return {**answer, "ScalingConfig": scaling, "ProvisionedPollerConfig": pollers}
    return {
        **answer,
        "StartingPosition": spec.position,
        "StartingPositionTimestamp": spec.position_at,
        "ParallelizationFactor": spec.parallelization,
        "MaximumRecordAgeInSeconds": spec.record_age,
        "BisectBatchOnFunctionError": spec.bisect,
        "MaximumRetryAttempts": spec.retries,
        "TumblingWindowInSeconds": spec.tumbling,
        "DestinationConfig": {"OnFailure": {"Destination": spec.on_failure or None}},
    }
