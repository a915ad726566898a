"""Commands on terminals in containers, from the client's connection at the server to the node's engine.

The rule: a session has a connection of its own between server and node, which the node dials. So one that writes much
holds up nothing but itself, and whichever end goes away ends the command.
"""
