"""The checks of the OCI distribution-spec conformance suite 1.1 (its options of 1.1+dev on as well), in Python.

Every check is counted by name, so that a registry that fails some can be compared with one that fails others:
``python -m tests.contracts.oci_conformance HOST:PORT REPOSITORY ANOTHER`` prints the tally for any registry.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPException
from itertools import cycle

from tests.contracts.oci_client import ACCEPT, Client, Reply
from tests.contracts.oci_data import INDEX, SETS, Data, digest, make

CHUNK = 1024
OCTETS = {"Content_Type": "application/octet-stream"}


class Suite:
    def __init__(self, client: Client, first: str, second: str) -> None:
        self.http = client
        self.first = first
        self.second = second
        self.passed: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self._ways = cycle((self.post_put, self.post_only, self.stream, self.chunks))

    @contextlib.contextmanager
    def check(self, name: str) -> Iterator[None]:
        try:
            yield
        except (AssertionError, KeyError, ValueError, StopIteration, HTTPException) as error:
            self.http.close()
            self.failed.append((name, str(error).partition("\n")[0][:200]))
        else:
            self.passed.append(name)

    def run(self) -> None:
        self.basics()
        for algorithm in ("sha256", "sha512"):
            self.blobs(algorithm)
        for name in SETS:
            self.data(name)
        self.bad_manifests()

    # blobs, one way of pushing each. All raise AssertionError.

    def uploads(self, repository: str = "") -> str:
        return f"/v2/{repository or self.first}/blobs/uploads/"

    def post_put(self, content: bytes, name: str, repository: str = "", good: bool = True) -> None:
        begun = self.http("POST", self.uploads(repository))
        assert begun.status == 202, begun
        put = self.http("PUT", begun.location, content, {"digest": name}, **OCTETS)
        self._finished(put, content, name, good)

    def post_only(self, content: bytes, name: str, repository: str = "", good: bool = True) -> None:
        posted = self.http("POST", self.uploads(repository), content, {"digest": name}, **OCTETS)
        assert posted.status != 202, "a single POST is not supported"
        self._finished(posted, content, name, good)

    def stream(self, content: bytes, name: str, repository: str = "", good: bool = True) -> None:
        begun = self.http("POST", self.uploads(repository))
        assert begun.status == 202, begun
        half = len(content) // 2
        patched = self.http("PATCH", begun.location, iter((content[:half], content[half:])), **OCTETS)
        assert patched.status == 202, patched
        self._finished(self.http("PUT", patched.location, None, {"digest": name}), content, name, good)

    def chunks(
        self,
        content: bytes,
        name: str,
        repository: str = "",
        good: bool = True,
        put_last: bool = False,
        disorder: bool = False,
    ) -> None:
        at = self.http("POST", self.uploads(repository))
        assert at.status == 202, at
        size = max(len(content) // 3 + 1, CHUNK)
        done = 0
        while done < len(content):
            if disorder:
                at = self._disorder(at, content, done, size)
            end = min(done + size, len(content))
            span = f"{done}-{end - 1}"
            if put_last and end == len(content):
                headers = {"Content_Range": span, **OCTETS}
                put = self.http("PUT", at.location, content[done:end], {"digest": name}, **headers)
                self._finished(put, content, name, good)
                return
            at = self.http("PATCH", at.location, content[done:end], Content_Range=span, **OCTETS)
            assert at.status == 202, at
            done = end
        self._finished(self.http("PUT", at.location, None, {"digest": name}), content, name, good)

    def _disorder(self, at: Reply, content: bytes, done: int, size: int) -> Reply:
        """Send a chunk that is not the next one; ask where to go on."""
        bad = done + size if done + size < len(content) else 0
        end = min(bad + size, len(content))
        if bad == done:
            return at
        refused = self.http("PATCH", at.location, content[bad:end], Content_Range=f"{bad}-{end - 1}", **OCTETS)
        assert refused.status == 416, refused
        asked = self.http("GET", at.location)
        assert asked.status == 204, asked
        assert asked.headers["range"].startswith("0-"), asked
        if done:
            assert asked.headers["range"] == f"0-{done - 1}", asked
        return asked

    def _finished(self, reply: Reply, content: bytes, name: str, good: bool) -> None:
        if not good:
            assert reply.status == 400, reply
            return
        assert reply.status == 201, reply
        assert reply.headers.get("docker-content-digest") == name, reply
        got = self.http("GET", reply.location)
        assert (got.status, got.body) == (200, content), got.status

    def push_blob(self, content: bytes, name: str, repository: str = "") -> None:
        """Each way in turn; the plainest where a registry lacks one (that it lacks it is counted elsewhere)."""
        try:
            next(self._ways)(content, name, repository)
        except AssertionError:
            self.post_put(content, name, repository)

    def head_blob(self, content: bytes, name: str) -> None:
        reply = self.http("HEAD", f"/v2/{self.first}/blobs/{name}")
        assert reply.status == 200, reply
        assert not reply.body
        assert reply.headers["content-length"] == str(len(content)), reply
        assert reply.headers["docker-content-digest"] == name, reply

    def get_blob(self, content: bytes, name: str) -> None:
        reply = self.http("GET", f"/v2/{self.first}/blobs/{name}")
        assert (reply.status, reply.body) == (200, content), reply.status
        assert reply.headers["content-length"] == str(len(content)), reply.headers
        assert reply.headers["docker-content-digest"] == name, reply.headers

    def delete_blob(self, name: str, repository: str = "") -> None:
        path = f"/v2/{repository or self.first}/blobs/{name}"
        assert self.http("DELETE", path).status in (202, 404)
        assert self.http("HEAD", path).status == 404

    # groups of checks

    def basics(self) -> None:
        with self.check("ping"):
            assert self.http("GET", "/v2/").status == 200
        with self.check("empty tag list"):
            reply = self.http("GET", f"/v2/{self.first}/tags/list")
            assert reply.status == 404 or reply.json["name"] == self.first
        with self.check("empty referrers"):
            reply = self.http("GET", f"/v2/{self.first}/referrers/{digest(secrets.token_bytes(9))}")
            assert reply.status == 200, reply
            assert reply.headers["content-type"] == INDEX, reply
            assert reply.json["schemaVersion"] == 2 and reply.json["mediaType"] == INDEX and not reply.json["manifests"]

    def blobs(self, algorithm: str) -> None:
        self._missing_blob(algorithm)
        long = CHUNK * 3 - 5
        ways: dict[str, tuple[int, Callable[..., None], dict[str, bool]]] = {
            "post only": (512, self.post_only, {}),
            "post and put": (512, self.post_put, {}),
            "one chunk": (512, self.chunks, {}),
            "stream": (512, self.stream, {}),
            "chunks": (long, self.chunks, {}),
            "chunks, the last by put": (long, self.chunks, {"put_last": True}),
            "chunks out of order": (long, self.chunks, {"disorder": True}),
            "chunks out of order, the last by put": (long, self.chunks, {"disorder": True, "put_last": True}),
        }
        for way, (size, push, how) in ways.items():
            content = secrets.token_bytes(size)
            name = digest(content, algorithm)
            with self.check(f"{algorithm} {way}: push"):
                push(content, name, **how)
            self._look(f"{algorithm} {way}", content, name)
            with self.check(f"{algorithm} {way}: wrong digest"):
                push(content + b"!", name, good=False, **({} if "disorder" in how else how))
        for content in (b"", b"{}"):
            name = digest(content, algorithm)
            for way, (_, push, how) in ways.items():
                if "out of order" in way or "the last" in way:
                    continue
                with self.check(f"{algorithm} {len(content)} bytes, {way}: push"):
                    push(content, name, **how)
                self._look(f"{algorithm} {len(content)} bytes, {way}", content, name)
        self._mounts(algorithm)
        self._cancel(algorithm)
        self._ranges(algorithm)

    def _look(self, what: str, content: bytes, name: str) -> None:
        with self.check(f"{what}: head"):
            self.head_blob(content, name)
        with self.check(f"{what}: get"):
            self.get_blob(content, name)
        with self.check(f"{what}: delete"):
            self.delete_blob(name)

    def _missing_blob(self, algorithm: str) -> None:
        name = digest(secrets.token_bytes(32), algorithm)
        with self.check(f"{algorithm} missing blob: get"):
            assert self.http("GET", f"/v2/{self.first}/blobs/{name}").status == 404
        with self.check(f"{algorithm} missing blob: head"):
            assert self.http("HEAD", f"/v2/{self.first}/blobs/{name}").status == 404

    def _mounts(self, algorithm: str) -> None:
        for named in (True, False):
            content = secrets.token_bytes(512)
            name = digest(content, algorithm)
            what = f"{algorithm} mount {'from' if named else 'from anywhere'}"
            source = {"from": self.second} if named else {}
            with self.check(f"{what}: missing"):
                missed = self.http("POST", self.uploads(), None, {"mount": name, **source})
                assert missed.status == 202 and missed.location, missed
            with self.check(f"{what}: push to the other"):
                self.push_blob(content, name, self.second)
            with self.check(f"{what}: mount"):
                mounted = self.http("POST", self.uploads(), None, {"mount": name, **source})
                self._finished(mounted, content, name, True)
            self._look(what, content, name)
            with self.check(f"{what}: the other keeps it"):
                assert self.http("GET", f"/v2/{self.second}/blobs/{name}").body == content
            with self.check(f"{what}: delete the other"):
                self.delete_blob(name, self.second)

    def _cancel(self, algorithm: str) -> None:
        with self.check(f"{algorithm} cancel"):
            begun = self.http("POST", self.uploads())
            assert self.http("DELETE", begun.location).status == 204
            assert self.http("GET", begun.location).status == 404

    def _ranges(self, algorithm: str) -> None:
        content = secrets.token_bytes(2048)
        name = digest(content, algorithm)
        with self.check(f"{algorithm} ranges: push"):
            self.push_blob(content, name)
        good = {"500-1499": (500, 1500), "500-": (500, 2048), "-500": (1548, 2048), "2000-5000": (2000, 2048)}
        for text, (start, end) in good.items():
            with self.check(f"{algorithm} range {text}"):
                reply = self.http("GET", f"/v2/{self.first}/blobs/{name}", Range=f"bytes={text}")
                assert (reply.status, reply.body) == (206, content[start:end]), reply.status
                assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/2048", reply.headers
                assert reply.headers["content-length"] == str(end - start), reply.headers
        for text in ("500-0", "5000-10000"):
            with self.check(f"{algorithm} range {text}"):
                assert self.http("GET", f"/v2/{self.first}/blobs/{name}", Range=f"bytes={text}").status == 416
        with self.check(f"{algorithm} ranges: delete"):
            self.delete_blob(name)

    def data(self, name: str) -> None:
        data = make(name)
        for blob, content in data.blobs.items():
            with self.check(f"{name}: push blob"):
                self.push_blob(content, blob)
        for each in data.manifests:
            with self.check(f"{name}: push manifest by digest"):
                self.push_manifest(data, each, each)
        for tag, each in data.tags.items():
            if not data.by_parameter:
                with self.check(f"{name}: push manifest by tag"):
                    self.push_manifest(data, tag, each)
        self._tags(name, data)
        self._read(name, data)
        self._referrers(name, data)
        self._remove(name, data)

    def push_manifest(self, data: Data, reference: str, name: str) -> None:
        content = data.manifests[name]
        tags = [t for t, n in data.tags.items() if n == name] if data.by_parameter else []
        kind = {"Content_Type": _media_type(content)}
        put = self.http("PUT", f"/v2/{self.first}/manifests/{reference}", content, [("tag", t) for t in tags], **kind)
        assert put.status == 201, put
        assert put.headers["docker-content-digest"] == name, put
        subject = next((s for s, refs in data.subjects.items() if any(r["digest"] == name for r in refs)), None)
        assert put.headers.get("oci-subject") == subject, put
        assert {t.strip() for t in put.headers.get("oci-tag", "").split(",") if t} == set(tags), put
        got = self.http("GET", put.location, Accept=ACCEPT)
        assert (got.status, got.body) == (200, content), got.status

    def _read(self, what: str, data: Data) -> None:
        for reference, name in [*data.tags.items(), *((n, n) for n in data.manifests)]:
            content = data.manifests[name]
            for method in ("HEAD", "GET"):
                with self.check(f"{what}: {method.lower()} manifest by {'digest' if ':' in reference else 'tag'}"):
                    reply = self.http(method, f"/v2/{self.first}/manifests/{reference}", Accept=ACCEPT)
                    assert reply.status == 200, reply
                    assert reply.body == (content if method == "GET" else b"")
                    assert reply.headers["content-type"] == _media_type(content), reply.headers
                    assert reply.headers["content-length"] == str(len(content)), reply.headers
                    assert reply.headers["docker-content-digest"] == name, reply.headers
        for blob, content in data.blobs.items():
            with self.check(f"{what}: head blob"):
                self.head_blob(content, blob)
            with self.check(f"{what}: get blob"):
                self.get_blob(content, blob)

    def _tags(self, what: str, data: Data) -> None:
        with self.check(f"{what}: tag list"):
            path = f"/v2/{self.first}/tags/list"
            reply = self.http("GET", path)
            tags = reply.json["tags"] or []
            assert set(data.tags) <= set(tags) and tags == sorted(tags), tags
            if len(tags) > 1:
                half = sorted(tags)[: len(tags) // 2]
                rest = self.http("GET", path, query={"last": half[-1]}).json["tags"]
                assert rest == sorted(set(tags) - set(half)), rest
        with self.check(f"{what}: tag list in pages"):
            assert list(self._pages(path)) == tags

    def _pages(self, path: str) -> Iterator[str]:
        here: str | None = f"{path}?n=1"
        while here:
            reply = self.http("GET", here)
            assert reply.status == 200 and len(reply.json["tags"] or []) <= 1, reply
            yield from reply.json["tags"] or []
            link = reply.headers.get("link", "")
            here = link[1 : link.index(">")] if link else None

    def _referrers(self, what: str, data: Data) -> None:
        for subject, wanted in data.subjects.items():
            path = f"/v2/{self.first}/referrers/{subject}"
            with self.check(f"{what}: referrers"):
                reply = self.http("GET", path)
                assert reply.headers["content-type"] == INDEX, reply
                listed = reply.json["manifests"]
                assert all(w in listed for w in wanted), (wanted, listed)
            for kind in {w["artifactType"] for w in wanted if "artifactType" in w}:
                with self.check(f"{what}: referrers of one type"):
                    reply = self.http("GET", path, query={"artifactType": kind})
                    assert reply.headers["oci-filters-applied"] == "artifactType", reply.headers
                    listed = reply.json["manifests"]
                    assert all(w in listed for w in wanted if w.get("artifactType") == kind), listed
                    assert {m["artifactType"] for m in listed} == {kind}, listed

    def _remove(self, what: str, data: Data) -> None:
        for kind, names in (("tag", list(data.tags)), ("manifest", [*reversed(data.manifests)])):
            for name in names:
                path = f"/v2/{self.first}/manifests/{name}"
                with self.check(f"{what}: delete {kind}"):
                    assert self.http("DELETE", path).status == 202
                with self.check(f"{what}: {kind} is gone"):
                    assert self.http("HEAD", path, Accept=ACCEPT).status == 404
        for blob in data.blobs:
            with self.check(f"{what}: delete blob"):
                self.delete_blob(blob)

    def bad_manifests(self) -> None:
        data = make("image")
        path = f"/v2/{self.first}/manifests/"
        for reference in (digest(secrets.token_bytes(9)), f"missing-{secrets.token_hex(8)}"):
            with self.check("missing manifest"):
                assert self.http("GET", path + reference, Accept=ACCEPT).status == 404
        (name, content), *_ = data.manifests.items()
        kind = {"Content_Type": _media_type(content)}
        with self.check("manifest whose blobs are missing"):
            put = self.http("PUT", path + "sparse", content, **kind)
            assert put.status in (400, 404) and "MANIFEST_BLOB_UNKNOWN" in put.codes, put
        for blob, bytes_ in data.blobs.items():
            self.push_blob(bytes_, blob)
        for reference, body in ((name, content + b"  "), ("sha256:baddigeststring", content)):
            with self.check("manifest with a wrong digest: put"):
                assert self.http("PUT", path + reference, body, **kind).status == 400
            with self.check("manifest with a wrong digest: get"):
                assert self.http("GET", path + reference, Accept=ACCEPT).status in (400, 404)
        with self.check("manifest that is none"):
            assert self.http("PUT", path + "bad", b'{"schemaVersion": 2', **kind).codes == ["MANIFEST_INVALID"]
        for blob in data.blobs:
            self.delete_blob(blob)


def _media_type(content: bytes) -> str:
    import json

    found: str = json.loads(content)["mediaType"]
    return found


if __name__ == "__main__":
    suite = Suite(Client(sys.argv[1], *sys.argv[4:]), sys.argv[2], sys.argv[3])
    suite.run()
    for failed, why in suite.failed:
        print(f"{failed}\t{why}")
    print(f"{len(suite.passed)} passed, {len(suite.failed)} failed")
