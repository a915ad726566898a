"""Session Manager's data channels: a WebSocket a session, as session-manager-plugin and others speak it.

The rule: nothing is run before the session's token has come, and a token opens its session once. Whatever ends the
connection ends the command; a client that takes nothing holds up its command alone.
"""

from havre.dataplanes.data_channel.app import PATH, DataChannels

__all__ = ["PATH", "DataChannels"]
