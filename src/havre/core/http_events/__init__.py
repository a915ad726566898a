"""HTTP requests as functions get them, and functions' answers as HTTP: function URLs, HTTP APIs, load balancers.

Pure. Formats are AWS's: payload 2.0 and 1.0 of HTTP APIs (function URLs speak 2.0), and the load balancer's.
"""

from havre.core.http_events.answers import BadAnswer, HttpAnswer, answer_of, balancer_answer
from havre.core.http_events.events import Asked, Place, balancer_event, clf, event_1, event_2
from havre.core.http_events.fronts import fronted

__all__ = [
    "Asked",
    "BadAnswer",
    "HttpAnswer",
    "Place",
    "answer_of",
    "balancer_answer",
    "balancer_event",
    "clf",
    "event_1",
    "event_2",
    "fronted",
]
