"""Event sources that are polled: queues, and streams of Kinesis and DynamoDB.

The rule of this package: a record counts as done when the function has taken it, when a filter holds it back, or when it was
given up and its destination has been told; only then does the source hear of it (a message is deleted, a checkpoint is
written). So a crash at any moment repeats some, and loses none.
"""
