"""A stand-in of the hub's HTTP interface, as far as models are fetched and pushed: repositories in memory."""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_secret"


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False

    def commit(self, changes: dict[str, bytes], branch: str = "main") -> str:
        files = self.commits.get(self.branches.get(branch, ""), {}) | changes
        oid = hashlib.sha1(repr(sorted((name, hashlib.sha1(c).digest()) for name, c in files.items())).encode()).hexdigest()
        self.commits[oid] = files
        self.branches[branch] = oid
        return oid


class Hub:
    """What the server knows, and what it was asked."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.status: int | None = None
        self.spoil = False
        self.url = ""

    def fetched(self) -> int:
        """How often the content of a large file was sent."""
        return sum(line.startswith("GET /large/") for line in self.asked)


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    do_GET = do_POST = do_PUT = do_HEAD  # noqa: N815  # as http.server names them

    def _answer(self) -> None:
        body = self._body()
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.status is not None:
            return self._send(self.hub.status, b"{}", {"X-Error-Message": "the hub is being repaired"})
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if parts[0] == "large":
            return self._large(parts[1], body)
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2]).removesuffix(".git")
        repository = self.hub.repositories.get(name)
        allowed = self.headers.get("authorization") == f"Bearer {TOKEN}"
        if repository is None or (repository.private and not allowed):
            return self._send(401 if repository is None else 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if repository.gated and not allowed:
            return self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if self.command in ("POST", "PUT") and not allowed:
            return self._send(403, b'{"error": "no right to write"}')
        return self._of(repository, name, parts, body)

    def _of(self, repository: Repository, name: str, parts: list[str], body: bytes) -> None:
        if parts[-3:-1] == ["lfs", "objects"]:
            self._batch(json.loads(body))
        elif parts[0] != "api":
            self._resolve(repository, parts[3], "/".join(parts[4:]))
        else:
            self._interface(repository, name, parts, body)

    def _interface(self, repository: Repository, name: str, parts: list[str], body: bytes) -> None:
        what, revision = (parts[4], parts[5]) if len(parts) > 5 else ("revision", "main")
        oid = repository.branches.get(revision, revision)
        if oid not in repository.commits and (what != "commit" or revision != "main"):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        files = repository.commits.get(oid, {})
        match what:
            case "revision":
                self._json({"id": name, "sha": oid, "private": repository.private, "siblings": [{"rfilename": n} for n in files]})
            case "tree":
                self._json([_entry(path, content) for path, content in files.items()])
            case "paths-info":
                self._json([_entry(path, files[path]) for path in parse_qs(body.decode())["paths"] if path in files])
            case "preupload":
                asked = json.loads(body)["files"]
                modes = [{"path": f["path"], "uploadMode": _mode(f["path"]), "shouldIgnore": False} for f in asked]
                self._json({"files": modes})
            case "commit":
                made = repository.commit(self._changes(body), revision)
                self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{made}", "commitOid": made})

    def _changes(self, body: bytes) -> dict[str, bytes]:
        changes = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                changes[value["path"]] = self.hub.large[value["oid"]]
        return changes

    def _create(self, asked: dict[str, str]) -> None:
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self._send(401, b'{"error": "Invalid username or password."}')
        name = f"{asked['organization']}/{asked['name']}"
        answer = json.dumps({"url": f"{self.hub.url}/{name}"}).encode()
        if name in self.hub.repositories:
            return self._send(409, answer)
        self.hub.repositories[name] = Repository(asked.get("visibility") == "private")
        self.hub.repositories[name].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        return self._send(200, answer)

    def _batch(self, asked: dict[str, list[dict[str, str]]]) -> None:
        objects = [{**o, "actions": {"upload": {"href": f"{self.hub.url}/large/{o['oid']}"}}} for o in asked["objects"]]
        self._json({"transfer": "basic", "objects": objects})

    def _large(self, oid: str, body: bytes) -> None:
        if self.command == "PUT":
            self.hub.large[hashlib.sha256(body).hexdigest()] = body
            return self._send(200, b"")
        content = self.hub.large[oid]
        spoiled = content[:-1] + bytes([content[-1] ^ 1])
        return self._send(200, spoiled if self.hub.spoil else content)

    def _resolve(self, repository: Repository, revision: str, file: str) -> None:
        oid = repository.branches.get(revision, revision)
        if oid not in repository.commits:
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        headers = {"X-Repo-Commit": oid}
        content = repository.commits[oid].get(file)
        if content is None:
            return self._send(404, b"", headers | {"X-Error-Code": "EntryNotFound"})
        if _mode(file) == "regular":
            return self._send(200, content, headers | {"ETag": f'"{_blob(content)}"'})
        sha = hashlib.sha256(content).hexdigest()
        self.hub.large[sha] = content
        elsewhere = self.hub.url.replace("127.0.0.1", "localhost")  # the hub keeps large files with another host
        linked = {"X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(content)), "Location": f"{elsewhere}/large/{sha}"}
        return self._send(302, b"", headers | linked)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _mode(path: str) -> str:
    return "lfs" if path.endswith(".safetensors") else "regular"


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, object]:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
    if _mode(path) == "lfs":
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 100}
    return entry
