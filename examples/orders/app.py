"""Takes orders: by hand, over HTTP (a function URL), and from a queue."""

import json


def handler(event, context):
    if "Records" in event:
        for record in event["Records"]:
            take(json.loads(record["body"]), "a queue")
        return None
    if "requestContext" in event:
        order = {"id": event["rawPath"].strip("/")}
        return {"statusCode": 201, "body": take(order, "HTTP") + "\n"}
    return {"taken": take(event, "hand"), "left_ms": context.get_remaining_time_in_millis() // 1000 * 1000}


def take(order, source):
    print(f"order {order['id']} came by {source}")
    return f"order {order['id']}"
