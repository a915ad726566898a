"""CloudTrail: who called what, when, from where, and what came of it.

The promise: every management event of every call, good or bad, is kept for 90 days and found by ``LookupEvents`` (the
newest two gigabytes of them, where there are more). The event of a mutating call is durable before its answer leaves; those
of reads at the latest a second later. Data events (PutLogEvents, Invoke, layer transfers) are not recorded, as AWS does not
without a trail that asks for them.

Left out: trails that deliver to S3, event data stores and Lake queries, Insights, channels. CreateTrail and its kin say
that they are not implemented; DescribeTrails and ListTrails answer truthfully that there are none.
"""

from havre.control.operation import Service


def service() -> Service:
    from havre.services.cloudtrail.operations import ops

    return Service("cloudtrail", ops.all)
