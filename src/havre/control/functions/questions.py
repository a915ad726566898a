"""What a node asks the server, or tells it, over the node link; and where the functions' link is."""

from __future__ import annotations

SOCKET = "functions.sock"
"""In the state directory."""
CREDENTIALS = "function credentials"
"""Of the role of a function (its id)."""
ENVIRONMENT = "function environment"
"""The variables of a function (its id) that are kept encrypted."""
REGISTRY = "function registry"
"""To pull an image with."""
INTERFACE = "function interface"
"""A new one for an environment of a function (its id) in a VPC."""
NO_INTERFACE = "function interface gone"
"""This one (its id) is not needed any more."""
NO_INTERFACES = "no function interfaces"
"""None of those that there are is: the node has just begun."""
