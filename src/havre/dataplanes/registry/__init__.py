"""The registry: OCI Distribution 1.1 under /v2/, for docker, containerd, skopeo, oras and every other client.

The promise: what was acknowledged is on disk, whole and under its digest; what was not is never seen. A blob is served
only while the store says that the repository has it; content is checked against its digest while it streams in, hashed
once; each request is decided by IAM as the ECR action that it stands for.

Beyond AWS: blobs may be deleted (AWS answers 405), referrers and tag lists work as the specification says. A tag that is
deleted here leaves its image, as the specification says; through ECR's API the image goes with its last tag, as AWS does.
"""

from havre.dataplanes.registry.assembly import Ground, Registry, assemble
from havre.dataplanes.registry.ports import Access, Authorize, Pack, Recorder

__all__ = ["Access", "Authorize", "Ground", "Pack", "Recorder", "Registry", "assemble"]
