"""A signature checked by Havre beside the same signature made by botocore: CPU time of one process, in turns."""

from __future__ import annotations

import sys
import time
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks._harness import Promise, finish, rounds
from havre.gateway import payload
from havre.gateway.sigv4 import Canonical, Verifier, check_time, claim

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
BODY = b'{"clusters": ["default"], "include": ["TAGS"]}'
HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeClusters",
}
REPEAT = 5_000


def _sign() -> AWSRequest:
    request = AWSRequest("POST", "http://127.0.0.1:4566/", dict(HEADERS), BODY)
    SigV4Auth(KEYS, "ecs", "us-east-1").add_auth(request)
    return request


def botocore() -> float:
    """Microseconds a signature."""
    began = time.process_time()
    for _ in range(REPEAT):
        _sign()
    return (time.process_time() - began) / REPEAT * 1e6


def havre() -> float:
    """Microseconds a check, with the clock and the payload's hash."""
    signed = _sign()
    headers = {name.lower(): str(value) for name, value in signed.headers.items()} | {
        "host": urlsplit(signed.url).netloc
    }
    request, verifier = Canonical("POST", "/", "", headers), Verifier()
    began = time.process_time()
    for _ in range(REPEAT):
        claimed = claim(request)
        assert claimed is not None
        check_time(claimed, time.time())
        payload.verify(verifier, request, claimed, KEYS.secret_key, BODY)
    return (time.process_time() - began) / REPEAT * 1e6


def main() -> None:
    promise = Promise("check a signature", "us", "<= 0.5", "botocore, which makes it")
    finish(promise.run(havre, botocore, rounds(5)))


if __name__ == "__main__":
    sys.exit(main())
