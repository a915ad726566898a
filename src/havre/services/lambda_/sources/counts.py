"""What is counted of a mapping's events, and of its function: AWS's names.

Every try to invoke counts its events, and those that failed, also where the function was not let run; what was polled counts
also where that is nothing, and what a filter holds back wherever there is one.
"""

from __future__ import annotations

POLLED, FILTERED_OUT = "PolledEventCount", "FilteredOutEventCount"
INVOKED, FAILED_INVOKE = "InvokedEventCount", "FailedInvokeEventCount"
DELETED = "DeletedEventCount"
"""Of queues: after the function has taken them."""
DROPPED, DELIVERED = "DroppedEventCount", "OnFailureDestinationDeliveredEventCount"
"""Of streams: given up, and told to nobody or to the destination."""
ITERATOR_AGE = "IteratorAge"
"""Of the function: milliseconds since the last record of a batch came into its stream."""
