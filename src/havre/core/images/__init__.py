"""Images, tags and digests: names, manifests, mutability of tags, lifecycle policies, registry passwords.

The rule of this package: pure; what a registry must decide about an image is decided here, for the registry's data
plane and for ECR's API alike, so that both give the same answer.
"""
