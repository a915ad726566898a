"""AWS/ApiGateway: what requests come to."""

from __future__ import annotations

from tests.unit.services.apigatewayv2.http_world import FUNCTION, World


def of(world: World, metric: str, **where: str) -> dict[float, float]:
    return world.metrics.of(metric, "AWS/ApiGateway", **where)


def test_requests_are_counted_by_api_and_stage(world: World) -> None:
    id = world.make(Target=FUNCTION)
    world.ask(id, "/", "POST", b"12345")
    world.answers[FUNCTION] = lambda event: {"statusCode": 404, "body": ""}
    world.ask(id)
    world.answers[FUNCTION] = lambda event: "failed"
    world.ask(id)
    for where in ({"ApiId": id}, {"ApiId": id, "Stage": "$default"}):
        assert of(world, "Count", **where) == {1.0: 3.0}
        assert of(world, "4xx", **where) == of(world, "5xx", **where) == {0.0: 2.0, 1.0: 1.0}
        assert sum(of(world, "Latency", **where).values()) == 3
        assert sum(of(world, "IntegrationLatency", **where).values()) == 3
        assert of(world, "DataProcessed", **where)[10.0] == 1.0, "five bytes each way"
    assert (world.metrics.units["Latency"], world.metrics.units["DataProcessed"]) == ("Milliseconds", "Bytes")


def test_requests_that_come_to_no_stage_or_no_integration(world: World) -> None:
    id = world.make()
    assert world.ask(id, "/none")[0] == 404
    assert of(world, "4xx", ApiId=id) == {1.0: 1.0}
    assert of(world, "Count", ApiId=id, Stage="$default") == of(world, "IntegrationLatency", ApiId=id) == {}
    assert world.ask("nothing")[0] == 403
    assert sum(of(world, "Count", ApiId="nothing").values()) == 0


def test_details_of_routes_where_they_are_wanted(world: World) -> None:
    id = world.make()
    world.integrate(id, "GET /items/{id}")
    world.integrate(id, "$default")
    settings = {"GET /items/{id}": {"DetailedMetricsEnabled": True}}
    made = world.api.create_stage(ApiId=id, StageName="dev", AutoDeploy=True, RouteSettings=settings)
    assert made["RouteSettings"] == settings
    one = {"ApiId": id, "Stage": "dev", "Method": "GET", "Resource": "/items/{id}"}
    other = {"ApiId": id, "Stage": "dev", "Method": "ANY", "Resource": "$default"}
    world.ask(id, "/dev/items/7")
    world.ask(id, "/dev/else")
    assert of(world, "Count", **one) == {1.0: 1.0} and of(world, "Count", **other) == {}
    world.api.update_stage(ApiId=id, StageName="dev", DefaultRouteSettings={"DetailedMetricsEnabled": True})
    world.ask(id, "/dev/else")
    assert of(world, "Count", **other) == {1.0: 1.0}
    assert of(world, "Count", ApiId=id, Stage="dev") == {1.0: 3.0}
