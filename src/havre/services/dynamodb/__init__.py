"""DynamoDB.

The promise: tables, items, queries and scans, secondary indexes, conditions, transactions, PartiQL, streams, backups and
tags, from moto (docs/design/borrowed.md): signatures, policies and the trail are Havre's, what an operation does is moto's.
Left out: global tables, exports and imports, contributor insights; what is in ``partial`` is kept and told, without effect.
"""

from __future__ import annotations

from havre.control.borrowed import Lender, Loans
from havre.control.operation import Service
from havre.services.dynamodb import access, encryption


def service(lender: Lender | None = None) -> Service:
    loans = Loans("dynamodb", lender)
    loans.lend(
        *("DeleteTable", "DescribeTable"),
        *("DescribeContinuousBackups", "UpdateContinuousBackups", "DescribeTimeToLive", "UpdateTimeToLive"),
        "CreateBackup",
        resources=access.table,
    )
    loans.lend("CreateTable", resources=access.table, own=encryption.create)
    loans.lend("UpdateTable", resources=access.table, before=encryption.refuse)
    loans.lend("DescribeBackup", "DeleteBackup", resources=access.backup)
    restored = ("RestoreTableFromBackup", "RestoreTableToPointInTime")
    loans.lend(*restored, resources=access.restored, before=encryption.refuse)
    loans.lend("TagResource", "UntagResource", "ListTagsOfResource", resources=access.tagged)
    loans.lend("DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy", resources=access.tagged)
    loans.lend("DescribeEndpoints", "DescribeLimits", "ListBackups", "ListTables")
    keyed = {"conditions": access.leading_keys, "data_event": True}
    loans.lend("DeleteItem", "GetItem", "PutItem", "UpdateItem", resources=access.table, **keyed)  # type: ignore[arg-type]
    loans.lend("BatchGetItem", "BatchWriteItem", resources=access.batch, **keyed)  # type: ignore[arg-type]
    loans.lend("Query", "Scan", resources=access.index, **keyed)  # type: ignore[arg-type]
    # what is in them is decided piece by piece
    loans.lend("TransactGetItems", "TransactWriteItems", action="", data_event=True, before=access.transaction)
    loans.lend(
        *("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"),
        action="",
        reads=False,
        data_event=True,
        before=access.statements,
    )
    return loans.service(
        partial={
            "CreateTable.ProvisionedThroughput": "kept and told: nothing is throttled by it",
            "CreateTable.SSESpecification": "its key has to be there and enabled, and is told; nothing is encrypted",
            "UpdateContinuousBackups": "kept and told; a restore takes the table as it is now",
            "PutResourcePolicy": "kept and told, not asked for decisions",
            "Query": "dynamodb:LeadingKeys is every key value of the request, sort keys too",
        }
    )
