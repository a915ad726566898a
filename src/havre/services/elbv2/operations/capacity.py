"""What clients ask of every load balancer though few use it: reserved capacity. There is none."""

from __future__ import annotations

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import not_built
from havre.services.elbv2 import queries
from havre.services.elbv2.declare import ElbOperations, arns
from havre.services.elbv2.errors import validation

ops = ElbOperations()


@ops.on("DescribeCapacityReservation", "LoadBalancerArn", resources=arns("LoadBalancerArn"))
async def describe_capacity_reservation(call: Call, request: Request) -> Answer:
    queries.load_balancer(call, call.store, request["LoadBalancerArn"])
    return {"CapacityReservationState": []}


@ops.on(
    "ModifyCapacityReservation",
    "LoadBalancerArn MinimumLoadBalancerCapacity ResetCapacityReservation",
    resources=arns("LoadBalancerArn"),
)
async def modify_capacity_reservation(call: Call, request: Request) -> Answer:
    queries.load_balancer(call, call.store, request["LoadBalancerArn"])
    if request.get("MinimumLoadBalancerCapacity"):
        raise not_built("elbv2", "reserved capacity: a load balancer takes what this machine gives")
    if not request.get("ResetCapacityReservation"):
        raise validation("You must specify either MinimumLoadBalancerCapacity or ResetCapacityReservation")
    return {"CapacityReservationState": []}
