"""The web console. It speaks Operations, never to the store."""
