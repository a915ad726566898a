"""S3, DynamoDB, DynamoDB Streams, Kinesis, SSM and Secrets Manager: moto's backends, made durable.

They are needed around containers and functions and are not what Havre exists for, so they are borrowed. Only the
process ``apps/borrowed.py`` loads this package. The rule that it keeps: a request that changes something is on disk, with
the time and the seed of chance that it runs under, before moto sees it; after a crash the same requests under the same
times and seeds make the same state, identifiers and all (``docs/design/borrowed.md``).
"""
