"""Functions on a capacity provider: how many environments each version has, and who may have more.

The rule here: environments of one provider never get more vCPUs than it has, and a version never has more environments
than its bounds say, nor fewer while there is room for them.
"""
