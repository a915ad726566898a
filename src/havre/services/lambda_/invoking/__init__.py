"""Invocation: synchronous, streamed and asynchronous, by API, by URL and by event sources.

The rule of this package: every invocation, whoever asks for it, goes through ``invoker.Invoker``, which counts it against
the account's concurrency for exactly as long as it runs. The payload is never parsed into anything on its way.
"""
