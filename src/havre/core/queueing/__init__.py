"""Which message is next: visibility, delays, groups, receive counts, deduplication, retention. Pure; times in milliseconds.

The rule of this package: every step costs O(log n) of the messages at most, and none looks at all of them.
"""

from havre.core.queueing.attempts import Attempts
from havre.core.queueing.dedup import Deduplication, Sent
from havre.core.queueing.message import DELAYED, IN_FLIGHT, VISIBLE, Message
from havre.core.queueing.queue import Expired, Missing, NotInFlight, Queue, Received, TooLong

__all__ = [
    "DELAYED",
    "IN_FLIGHT",
    "VISIBLE",
    "Attempts",
    "Deduplication",
    "Expired",
    "Message",
    "Missing",
    "NotInFlight",
    "Queue",
    "Received",
    "Sent",
    "TooLong",
]
