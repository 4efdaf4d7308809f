"""The backend over HTTP, as a client on another machine meets it, and as a web page or a stranger does."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from backend.jobs import store
from backend.protocol import ErrorKind, Event, GenerateRequest, SkyloopError
from backend.serve.access import FAILURES_A_MINUTE, Access, load_token
from backend.serve.http import HttpServer, Service
from backend.serve.listener import MAX_CONNECTIONS
from backend.serve.ring import EventRing, GoneError
from backend.serve.server import Server
from backend.serve.uploads import LIMITS_BYTES, MAX_INPUTS, Jobs

STUB = Path(__file__).with_name("stub_backend.py")
WAIT_S = 30.0
REQUEST = GenerateRequest(prompt="aurora").to_json()


@dataclass
class Remote:
    """A server under test, and what a client of it needs."""

    process: subprocess.Popen[bytes]
    port: int
    root: Path
    token: str
    after: int = -1
    seen: list[Event] = field(default_factory=list)

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """One request as it stands, with the token unless ``headers`` bring their own ``Authorization``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            sent = {"Authorization": f"Bearer {self.token}"} | (headers or {})
            connection.putrequest(method, path, skip_host="Host" in sent, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if body is not None and "Content-Length" not in sent:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body, **options)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        status, content, _ = self.raw(method, path, body, headers)
        return status, json.loads(content)

    def command(self, kind: str, job: str = "", **more: object) -> tuple[int, Any]:
        text = json.dumps({"type": kind, **({"job": job} if job else {}), **more})
        return self.call("POST", "/v1/commands", text.encode(), **{"Content-Type": "application/json"})

    def put(self, job: str, file: str, content: bytes) -> tuple[int, Any]:
        return self.call("PUT", f"/v1/jobs/{job}/files/{file}", content)

    def ask_for(self, job: str, **change: object) -> None:
        """Upload a request, and send the job off."""
        assert self.put(job, "request.json", json.dumps(REQUEST | change).encode())[0] == 201
        assert self.command("generate", job)[0] == 202

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            for event in self.seen:
                if wanted(event):
                    del self.seen[: self.seen.index(event) + 1]
                    return event
            self.seen.clear()
            status, content, _ = self.raw("GET", f"/v1/events?after={self.after}")
            assert status == 200, content
            self.seen = [Event.from_line(line) for line in content.decode().split("\n")[:-1]]
            assert [e.seq for e in self.seen] == list(range(self.after + 1, self.after + 1 + len(self.seen)))
            self.after += len(self.seen)
        raise AssertionError("the event never came")

    def until_type(self, kind: str, job: str) -> Event:
        return self.until(lambda event: event.type == kind and event.job == job)


@contextmanager
def serving(tmp_path: Path, mode: str) -> Iterator[Remote]:
    environ = os.environ | {"SKYLOOP_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        [sys.executable, str(STUB), mode, "serve", "--port", "0", "--root", str(tmp_path / "root")],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())
            port = urlsplit(facts["url"]).port
            assert port
            yield Remote(process, port, Path(facts["root"]), Path(facts["token_file"]).read_text().strip())
        finally:
            process.kill()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with serving(tmp_path, "ok") as served:
        yield served


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Remote]:
    with serving(tmp_path, "slow") as served:
        yield served


def test_from_a_picture_to_a_movie(remote: Remote) -> None:
    assert remote.put("alive", "still.png", b"a picture")[0] == 201
    remote.ask_for("alive", image="still.png")
    done = remote.until_type("done", "alive")
    assert done.data["result"]["request"]["prompt"] == "aurora"
    assert Path(done.data["result"]["request"]["image"]) == remote.root / "alive" / "inputs" / "still.png"
    for file, kind in (("sky.mp4", "video/mp4"), ("poster.png", "image/png")):
        status, content, headers = remote.raw("GET", f"/v1/jobs/alive/files/{file}")
        assert (status, content) == (200, f"{file} of aurora".encode())
        assert headers["Content-Type"] == kind
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert not [name for name in headers if name.lower().startswith("access-control")]
    assert json.loads(remote.raw("GET", "/v1/jobs/alive/files/result.json")[1])["request"]["prompt"] == "aurora"
    assert remote.call("GET", "/v1/jobs") == (200, {"jobs": [{"job": "alive", "status": "done"}]})
    assert remote.put("alive", "request.json", json.dumps(REQUEST).encode())[0] == 409  # a result is kept
    assert remote.command("generate", "alive")[0] == 202
    assert remote.until_type("done", "alive").data == done.data


def test_a_part_of_a_file_can_be_fetched(remote: Remote) -> None:
    remote.ask_for("sky")
    remote.until_type("done", "sky")
    whole = b"sky.mp4 of aurora"
    for asked, expected in (
        ("bytes=4-6", (206, b"mp4", "bytes 4-6/17")),
        ("bytes=11-", (206, b"aurora", "bytes 11-16/17")),
        ("bytes=-6", (206, b"aurora", "bytes 11-16/17")),
        ("bytes=5-999", (206, whole[5:], "bytes 5-16/17")),
        ("bytes=17-", (416, b"", "bytes */17")),
        ("bytes=3-1", (416, b"", "bytes */17")),
        ("bytes=0-1,3-4", (200, whole, None)),
        ("lines=1-", (200, whole, None)),
    ):
        status, content, headers = remote.raw("GET", "/v1/jobs/sky/files/sky.mp4", headers={"Range": asked})
        assert (status, content, headers["Content-Range"]) == expected, asked


def test_cancel_pause_and_order(slow: Remote) -> None:
    for name in ("a", "b", "c"):
        slow.ask_for(name)
    slow.until_type("phase", "a")
    slow.command("move", "c")
    assert slow.until(lambda e: e.type == "queue" and e.data["waiting"] == ["c", "b"]).data["running"] == "a"
    slow.command("pause")
    slow.until(lambda e: e.type == "queue" and e.data["paused"])
    slow.command("cancel", "a")
    slow.until_type("cancelled", "a")
    slow.command("resume")
    slow.until_type("phase", "c")
    assert slow.put("c", "request.json", json.dumps(REQUEST).encode())[0] == 409  # it runs
    statuses = {job["job"]: job["status"] for job in slow.call("GET", "/v1/jobs")[1]["jobs"]}
    assert statuses == {"a": "cancelled", "b": "waiting", "c": "running"}


def test_two_clients_see_the_same(slow: Remote) -> None:
    other = Remote(slow.process, slow.port, slow.root, slow.token)
    slow.ask_for("a")
    first = slow.until_type("phase", "a")
    other.command("cancel", "a")
    assert other.until_type("phase", "a") == first
    assert other.until_type("cancelled", "a") == slow.until_type("cancelled", "a")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that can be caught")
def test_it_ends_when_told_to_and_leaves_the_job_to_go_on_with(slow: Remote) -> None:
    slow.ask_for("a")
    slow.until_type("phase", "a")
    slow.process.send_signal(signal.SIGTERM)
    assert slow.process.wait(WAIT_S) == 0
    assert store.status(slow.root / "a") is store.Status.INTERRUPTED


def test_a_failed_job_names_its_log_and_no_path_of_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, "oom") as remote:
        remote.ask_for("a")
        failed = remote.until_type("failed", "a")
        assert failed.data["kind"] == "out_of_memory"
        assert failed.data["log"] == "log.txt"
        assert b"Traceback" in remote.raw("GET", "/v1/jobs/a/files/log.txt")[1]


# who may speak

REFUSED = {
    "no token": ({"Authorization": ""}, 401),
    "wrong token": ({"Authorization": "Bearer " + "x" * 43}, 401),
    "another scheme": ({"Authorization": "Basic {token}"}, 401),
    "only a part": ({"Authorization": "Bearer {token:.20}"}, 401),
    "not ASCII": ({"Authorization": "Bearer \xe9\xe8"}, 401),
    "a web page": ({"Origin": "http://evil.example"}, 403),
    "a page without an origin": ({"Origin": "null"}, 403),
    "a page that is here by name": ({"Host": "evil.example"}, 421),
    "a name that begins as ours": ({"Host": "localhost.evil.example:80"}, 421),
    "another address": ({"Host": "192.0.2.7:80"}, 421),
    "no host": ({"Host": ""}, 421),
    "odd host": ({"Host": "localhost/../x"}, 421),
}


@pytest.mark.parametrize(("headers", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_who_is_no_client_is_refused(remote: Remote, headers: dict[str, str], status: int) -> None:
    sent = {name: value.format(token=remote.token) for name, value in headers.items()}
    text = json.dumps({"type": "shutdown"}).encode()
    for method, path, body in (("GET", "/v1/jobs", None), ("POST", "/v1/commands", text)):
        answer, content, got = remote.raw(method, path, body, {"Content-Type": "application/json"} | sent)
        assert answer == status
        assert set(json.loads(content)["error"]) == {"kind", "message", "hint"}
        assert remote.token.encode() not in content
        assert not [name for name in got if name.lower().startswith("access-control")]
    assert remote.call("GET", "/v1/jobs")[0] == 200  # it has not shut down


def test_a_preflight_of_a_web_page_gets_no_leave(remote: Remote) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST", "Authorization": ""}
    status, _, got = remote.raw("OPTIONS", "/v1/commands", headers=headers)
    assert status == 403
    assert not [name for name in got if name.lower().startswith("access-control")]


def test_a_form_of_a_web_page_cannot_pose_as_a_command(remote: Remote) -> None:
    text = json.dumps({"type": "shutdown"}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert remote.call("POST", "/v1/commands", text, **{"Content-Type": kind})[0] == 400
    assert remote.call("GET", "/v1/jobs")[0] == 200


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:80", "LOCALHOST"])
def test_a_tunnel_is_fine(remote: Remote, host: str) -> None:
    assert remote.call("GET", "/v1/jobs", Host=host)[0] == 200


def test_health_needs_no_token_and_says_next_to_nothing(remote: Remote) -> None:
    assert remote.call("GET", "/v1/health", Authorization="") == (200, {"protocol": 1})
    assert remote.call("GET", "/v1/health", Authorization="", Origin="http://evil.example")[0] == 403
    assert remote.call("GET", "/v1/health", Authorization="", Host="evil.example")[0] == 421


def test_wrong_tokens_are_slowed_down_and_the_right_one_is_not() -> None:
    access = Access("t" * 43, "127.0.0.1")

    def status(token: str, caller: str = "192.0.2.1") -> int:
        headers = {"host": ["127.0.0.1"], "authorization": [f"Bearer {token}"]}
        found = access.refusal(headers, "127.0.0.1", caller)
        return found.status if found else 200

    assert [status("wrong") for _ in range(FAILURES_A_MINUTE + 2)] == [401] * FAILURES_A_MINUTE + [429] * 2
    assert status("t" * 43) == 200
    assert status("wrong", "192.0.2.2") == 401


def test_a_network_address_serves_itself_and_no_other() -> None:
    access = Access("t" * 43, "0.0.0.0")  # noqa: S104
    key = {"authorization": ["Bearer " + "t" * 43]}
    for host, ours, status in (
        ("192.0.2.5:8340", "192.0.2.5", None),
        ("192.0.2.5", "::ffff:192.0.2.5", None),
        ("[fe80::1]:8340", "fe80::1%eth0", None),
        (socket.gethostname(), "192.0.2.5", None),
        ("192.0.2.6:8340", "192.0.2.5", 421),
        ("0.0.0.0", "192.0.2.5", 421),  # noqa: S104
    ):
        refused = access.refusal({"host": [host], **key}, ours, "192.0.2.9")
        assert (refused.status if refused else None) == status, host


def test_the_token_is_made_once_for_the_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "token"
    token = load_token(path)
    assert len(token) >= 43
    assert load_token(path) == token
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        with pytest.raises(SkyloopError, match="Other users"):
            load_token(path)
        path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(SkyloopError, match="holds no token"):
        load_token(path)


def test_the_token_is_in_no_log(remote: Remote, tmp_path: Path) -> None:
    remote.raw("GET", f"/v1/nothing?token={remote.token}")
    remote.raw("GET", "/v1/jobs", headers={"Authorization": f"Basic {remote.token}"})
    remote.raw("GET", f"/v1/jobs/{remote.token}/files/sky.mp4", headers={"Origin": "x"})
    logs = list((tmp_path / "home" / "logs").iterdir())
    text = "".join(path.read_text(encoding="utf-8") for path in logs)
    assert "nothing" in text
    assert f"token={remote.token}" not in text
    assert f"Basic {remote.token}" not in text
    if os.name != "nt":
        assert {path.stat().st_mode & 0o777 for path in logs} == {0o600}
        assert (tmp_path / "home" / "logs").stat().st_mode & 0o777 == 0o700


# what may be named

TRICKS = [
    "..", "%2e%2e", "..%2f..%2fetc", "%2fetc%2fpasswd", "a%00b", "a%0ab", ".hidden", "a.", "a ", "CON", "nul.png",
    "COM1", "a:b", "a%5cb", "-a", "x" * 65, "%c3%a4", "%ff", "*", "",
]  # fmt: skip


@pytest.mark.parametrize("name", TRICKS)
def test_no_name_leads_out_of_its_folder(remote: Remote, name: str) -> None:
    remote.ask_for("sky")
    remote.until_type("done", "sky")
    before = sorted(str(p.relative_to(remote.root)) for p in remote.root.rglob("*"))
    end = "" if name.endswith(".png") else ".png"
    for method, path, body in (
        ("PUT", f"/v1/jobs/{name}/files/x.png", b"x"),
        ("PUT", f"/v1/jobs/{name}/files/request.json", json.dumps(REQUEST).encode()),
        ("PUT", f"/v1/jobs/new/files/{name}{end if name not in ('..', '%2e%2e', '') else ''}", b"x"),
        ("GET", f"/v1/jobs/{name}/files/sky.mp4", None),
        ("GET", f"/v1/jobs/sky/files/{name}", None),
    ):
        if name in ("a.", "-a", "a ", "nul.png") and path.startswith("/v1/jobs/new"):
            continue  # with the ending of a picture it may be a plain name
        status, _ = remote.call(method, path.replace(" ", "%20"), body)
        assert status in (400, 404), (method, path)
    assert sorted(str(p.relative_to(remote.root)) for p in remote.root.rglob("*")) == before


@pytest.mark.parametrize(
    "job", ["..", "../x", "/etc", "sky/../sky", "\0", "\ud800", "CON", "a" * 5000, "none", ".", "sky/", "~"]
)
def test_a_command_takes_names_only(remote: Remote, job: str) -> None:
    assert remote.put("sky", "request.json", json.dumps(REQUEST).encode())[0] == 201
    status, answer = remote.command("generate", job)
    assert status == 400
    assert answer["error"]["kind"] == "bad_request"
    for kind in ("cancel", "move"):
        assert remote.command(kind, job)[0] in (202, 400)
    assert remote.call("GET", "/v1/jobs")[1]["jobs"] == [{"job": "sky", "status": "waiting"}]


@pytest.mark.skipif(os.name == "nt", reason="making a link needs rights on Windows")
def test_links_in_the_root_are_not_followed(remote: Remote, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    store.create(outside, GenerateRequest(prompt="x"))
    (outside / "sky.mp4").write_bytes(b"secret")
    (remote.root / "link").symlink_to(outside)
    remote.put("sky", "request.json", json.dumps(REQUEST).encode())
    (remote.root / "sky" / "sky.mp4").symlink_to(outside / "sky.mp4")
    (remote.root / "sky" / "inputs").symlink_to(outside)
    before = sorted(outside.iterdir())
    assert remote.call("GET", "/v1/jobs/link/files/sky.mp4")[0] == 400
    assert remote.call("GET", "/v1/jobs/sky/files/sky.mp4")[0] == 400
    assert remote.put("link", "x.png", b"x")[0] == 400
    assert remote.put("link", "request.json", json.dumps(REQUEST).encode())[0] == 400
    assert remote.put("sky", "x.png", b"x")[0] == 400
    assert remote.command("generate", "link")[0] == 400
    assert [job["job"] for job in remote.call("GET", "/v1/jobs")[1]["jobs"]] == ["sky"]
    assert sorted(outside.iterdir()) == before


@pytest.mark.parametrize(
    "image",
    ["/etc/passwd", "../secret.png", "inputs/still.png", "none.png", "C:\\x.png", "\\\\server\\x.png", "a\0.png"],
)
def test_a_request_names_what_was_uploaded_and_nothing_else(remote: Remote, image: str) -> None:
    remote.put("sky", "still.png", b"a picture")
    for name in ("image", "motion_mask"):
        status, answer = remote.put("sky", "request.json", json.dumps(REQUEST | {name: image}).encode())
        assert status == 400
        assert name in answer["error"]["message"]
    assert not (remote.root / "sky" / "request.json").exists()


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (b"", "body"), (b"[]", "object"), (b"{", "JSON"), (b"\xff\xfe", "JSON"), (b"[" * 9999, "JSON"),
        (b'{"prompt": "x", "colour": 1}', "colour"), (b'{"prompt": "x", "height": 7}', "height"),
        (b'{"prompt": "x", "schema": 99}', "newer"),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_by_name(remote: Remote, document: bytes, named: str) -> None:
    status, answer = remote.put("sky", "request.json", document)
    assert status in (400, 411)
    assert named in answer["error"]["message"]
    assert not (remote.root / "sky" / "request.json").exists()


# how much


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/v1/jobs/a/files/request.json", (4 << 20) + 1),
        ("/v1/jobs/a/files/x.png", LIMITS_BYTES[".png"] + 1),
        ("/v1/jobs/a/files/x.mp4", LIMITS_BYTES[".mp4"] + 1),
    ],
)
def test_too_much_is_refused_before_it_is_sent(remote: Remote, path: str, size: int) -> None:
    status, answer, _ = remote.raw("PUT", path, headers={"Content-Length": str(size), "Expect": "100-continue"})
    assert status == 413, answer
    assert not (remote.root / "a").exists()


def test_what_is_sent_all_the_same_does_not_drown_the_answer(remote: Remote) -> None:
    assert remote.command("cancel", "x" * 7_000_000)[0] == 413


@pytest.mark.parametrize("file", ["x.exe", "x.py", "x", "events.jsonl", "sky.mp4.part", "x.safetensors", "x.png.sh"])
def test_only_pictures_and_movies_are_taken(remote: Remote, file: str) -> None:
    assert remote.put("a", file, b"x")[0] == 400
    assert not (remote.root / "a").exists()


def test_an_upload_cannot_pose_as_a_result(remote: Remote) -> None:
    assert remote.put("a", "sky.mp4", b"x")[0] == 201  # an input of that name
    assert remote.raw("GET", "/v1/jobs/a/files/sky.mp4")[0] == 404
    assert remote.call("GET", "/v1/jobs/a/files/request.json")[0] == 400


def test_inputs_are_counted(remote: Remote) -> None:
    for i in range(MAX_INPUTS):
        assert remote.put("a", f"{i}.png", b"x")[0] == 201
    assert remote.put("a", "more.png", b"x")[0] == 400
    assert remote.put("a", "3.png", b"in place of another")[0] == 201


def talk(port: int, data: bytes) -> bytes:
    """Send bytes as they are, and read all that comes until the server closes, be it in the midst of them."""
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection,
    ):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_an_upload_cut_short_leaves_nothing(remote: Remote) -> None:
    head = f"PUT /v1/jobs/a/files/x.png HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {remote.token}\r\n"
    answer = talk(remote.port, head.encode() + b"Content-Length: 100\r\n\r\nonly this")
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert list((remote.root / "a" / "inputs").iterdir()) == []


@pytest.mark.parametrize(
    "odd",
    [
        b"Content-Length: 3\r\nContent-Length: 30\r\n\r\nabc", b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1e3\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"Content-Length: +3\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    ],
)  # fmt: skip
def test_a_body_of_doubtful_length_is_refused(remote: Remote, odd: bytes) -> None:
    head = f"PUT /v1/jobs/a/files/x.png HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {remote.token}\r\n"
    answer = talk(remote.port, head.encode() + odd)
    assert answer.count(b"HTTP/1.1") == 1  # one answer, and no second request found in the body
    assert b" 400 " in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "line", [b"GARBAGE\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n",
             b"GET " + b"/" * 70000, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
             b"FETCH /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)  # fmt: skip
def test_what_is_no_request_gets_one_json_error(remote: Remote, line: bytes) -> None:
    head, _, body = talk(remote.port, line).partition(b"\r\n\r\n")
    assert int(head.split()[1]) >= 400
    assert "error" in json.loads(body)
    assert remote.call("GET", "/v1/health")[0] == 200


def test_whoever_takes_all_connections_loses_them_again(tmp_path: Path) -> None:
    """Each sends a byte now and then, as one who wants to keep a server busy would."""
    service = Service(
        server=cast("Server", None), ring=EventRing(), jobs=Jobs(tmp_path), access=Access("t" * 43, "127.0.0.1"),
        head_s=3.0,
    )  # fmt: skip
    http = HttpServer(("127.0.0.1", 0), service)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    address = ("127.0.0.1", http.server_port)
    slow = [socket.create_connection(address, timeout=WAIT_S) for _ in range(MAX_CONNECTIONS)]
    try:
        for connection in slow:
            connection.sendall(b"GET /v1/jobs HTTP/1.1\r\nX-Slow: ")
        assert b" 503 " in talk(http.server_port, b"")
        deadline = time.monotonic() + WAIT_S
        while b" 200 " not in (answer := talk(http.server_port, b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")):
            assert time.monotonic() < deadline, answer
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.sendall(b"x")
            time.sleep(0.1)
    finally:
        for connection in slow:
            connection.close()
        http.shutdown()
        http.server_close()


def test_events_that_are_gone_are_said_to_be(remote: Remote) -> None:
    status, answer = remote.call("GET", "/v1/events?after=999999")
    assert (status, answer["first"]) == (410, 0)
    status, answer = remote.call("GET", "/v1/events?after=0&stream=another")
    assert (status, answer["first"]) == (410, 0)
    assert remote.raw("GET", f"/v1/events?after=-1&stream={answer['stream']}")[0] == 200
    for after in ("-2", "x", "1e3", "9" * 40):
        assert remote.call("GET", f"/v1/events?after={after}")[0] == 400


def test_the_ring_keeps_the_latest_and_numbers_all() -> None:
    ring = EventRing(max_events=3)
    ring(Event(type="heartbeat"))
    assert ring.after(-1, 0.0) == []
    for i in range(5):
        ring(Event(type="phase", job=str(i)))
    assert [Event.from_line(line.decode()).seq for line in ring.after(1, 0.0)] == [2, 3, 4]
    assert ring.after(4, 0.0) == []
    for seq in (-1, 0, 5):
        with pytest.raises(GoneError) as gone:
            ring.after(seq, 0.0)
        assert gone.value.first == 2


def test_large_events_push_the_earlier_ones_out() -> None:
    ring = EventRing(max_bytes=1000)
    for i in range(20):
        ring(Event(type="preview", job=str(i), data={"file": "x" * 200}))
    with pytest.raises(GoneError):
        ring.after(14, 0.0)
    assert len(ring.after(18, 0.0)) == 1
    ring(Event(type="preview", data={"file": "x" * 5000}))
    assert len(ring.after(19, 0.0)) == 1


def test_errors_have_the_kinds_of_the_protocol(remote: Remote) -> None:
    for path, status in (("/", 404), ("/v1/jobs/none/files/sky.mp4", 400), ("/v1/jobs/../../etc", 404)):
        answer = remote.call("GET", path)
        assert answer[0] == status
        assert answer[1]["error"]["kind"] in set(ErrorKind)
    assert remote.call("POST", "/v1/jobs", b"x")[0] == 405
