"""One file per kind: load balancers are brought onto a node, targets that have drained are taken out."""
