"""What containers ask about themselves: the task metadata endpoint (v3, v4) and the credentials of the task role.

The rule of this package: who asks is told by where he asks from, not by what he says. There is a listener in each VPC for
awsvpc tasks, whose addresses nobody else there can use; containers in bridge and host mode share one on the host, and are
told apart by their address as well. In a task's own namespace nothing listens: all of its ports are its own. An id that
nobody can guess is wanted besides.
"""
