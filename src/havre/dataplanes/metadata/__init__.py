"""What containers ask about themselves: the task metadata endpoint (v3, v4) and the credentials of the task role.

The rule of this package: who asks is told by where he asks, not by what he says. An awsvpc task has a listener inside its
own network namespace; containers in bridge and host mode share one on the host, and are told apart by their address. An
id that nobody can guess is wanted besides.
"""
