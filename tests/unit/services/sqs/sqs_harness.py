"""A gateway with SQS, and short ways to send and receive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.running_gateway import ACCOUNT, ROOT, Running

from havre.control.operation import Service
from havre.services import sqs
from havre.store.memory import MemoryRecords


class Queues:
    """Signatures are not checked unless ``auth`` is strict: the server's clock may go on by hours."""

    def __init__(
        self,
        auth: str = "open",
        besides: Sequence[Service] = (),
        policies: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """``policies``: of resources of the services ``besides``; ``more`` are parts of the gateway."""
        self.records = MemoryRecords()
        self.broker = sqs.Broker(self.records)
        self.running = Running(
            auth,
            besides=(sqs.service(self.broker), *besides),
            resource_policies={"sqs": lambda store, arn: sqs.resource_policy(store, arn), **(policies or {})},
            **more,
        )
        self.running.hold_answers()
        self.client = self.running.client("sqs", parameter_validation=False)

    def close(self) -> None:
        self.running.close()

    def later(self, seconds: float) -> None:
        """The server's clock goes on."""
        self.running.offset += seconds

    def make(self, name: str = "q", **attributes: str) -> str:
        if name.endswith(".fifo"):
            attributes = {"FifoQueue": "true", **attributes}
        made = self.client.create_queue(QueueName=name, **({"Attributes": attributes} if attributes else {}))
        return str(made["QueueUrl"])

    def send(self, url: str, body: str, **more: Any) -> dict[str, Any]:
        return dict(self.client.send_message(QueueUrl=url, MessageBody=body, **more))

    def receive(self, url: str, most: int = 10, **more: Any) -> list[dict[str, Any]]:
        return list(self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=most, **more).get("Messages", []))

    def bodies(self, url: str, most: int = 10, **more: Any) -> list[str]:
        return [m["Body"] for m in self.receive(url, most, **more)]

    def delete(self, url: str, message: dict[str, Any]) -> None:
        self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def attributes(self, url: str, *names: str) -> dict[str, str]:
        found = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=list(names) or ["All"])
        return dict(found.get("Attributes", {}))

    def counts(self, url: str) -> tuple[int, int, int]:
        """Visible, in flight, delayed."""
        found = self.attributes(url)
        start = "ApproximateNumberOfMessages"
        return int(found[start]), int(found[f"{start}NotVisible"]), int(found[f"{start}Delayed"])

    def await_waiting(self, count: int) -> None:
        """Returns when so many wait for messages."""

        async def waiting() -> int:
            return sum(len(live.waiting) for live in self.broker.lives.values())

        while self.running.wait(waiting()) != count:
            pass

    @staticmethod
    def arn(name: str, account: str = ACCOUNT) -> str:
        return f"arn:aws:sqs:us-east-1:{account}:{name}"

    def second(self, key: Any = ROOT, **config: Any) -> Any:
        return self.running.client("sqs", key, **config)
