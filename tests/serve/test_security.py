"""Who has no token gets nothing but the state, and no token and no image is written down."""

import base64
import hmac
import logging
from pathlib import Path

import pytest
from served import Serving, as_file, photograph

from fullconv.errors import SpecError
from fullconv.serve.security import OPEN, Tokens, is_loopback, read_tokens

TOKEN, OTHER = "correct-horse-battery-staple", "another-token-of-somebody"
PNG = {"content-type": "image/png"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# for the team\n{OTHER}\n\n  {TOKEN}\n")
    return path


def basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{token}".encode()).decode()


def test_everything_but_the_state_needs_a_token(serving: Serving, file: Path) -> None:
    client, _ = serving(tokens=file)
    for route in client.app.routes:  # type: ignore[attr-defined]  # FastAPI's own
        path = route.path.replace("{name}", "page.js").replace("{backbone:path}", "minivgg")
        for method in route.methods or ():
            found = client.request(method, path)
            if path in OPEN:
                assert found.status_code == 200
            else:
                assert found.status_code == 401, path
                assert found.headers["www-authenticate"].startswith("Basic ")
                assert method == "HEAD" or found.json()["detail"].startswith("send a token")
    assert client.get("/nowhere").status_code == 401


@pytest.mark.parametrize("right", [f"Bearer {TOKEN}", f"bearer {OTHER}", basic(TOKEN)])
def test_a_token_lets_in(serving: Serving, file: Path, right: str) -> None:
    client, _ = serving(tokens=file)
    assert client.get("/v1/models", headers={"authorization": right}).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        f"Token {TOKEN}",
        basic("x"),
        "Basic ???",
        "Bearer é",
    ],
)
def test_anything_else_does_not(serving: Serving, file: Path, wrong: str) -> None:
    client, service = serving(tokens=file)
    body = as_file(photograph())
    assert client.get("/v1/models", headers={"authorization": wrong.encode()}).status_code == 401  # type: ignore[dict-item]
    assert client.post(f"/v1/segment?token={TOKEN}", content=body, headers=PNG).status_code == 401
    assert service.held.now == 0


def test_every_token_is_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or real(a, b))
    tokens = Tokens([TOKEN, OTHER])
    for given_ in (TOKEN, OTHER, "x", ""):
        compared.clear()
        tokens.admit(f"Bearer {given_}")
        assert compared == [(32, 32), (32, 32)]


def test_the_log_has_no_token_and_no_image(serving: Serving, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = serving(tokens=file)
    marker = "PIXELSPIXELS"
    with caplog.at_level(logging.DEBUG):
        for authorization in (f"Bearer {TOKEN}", "Bearer wrong-and-secret-too"):
            headers = {"authorization": authorization, "content-type": "image/png"}
            client.post(f"/v1/segment?token={OTHER}", content=marker, headers=headers)
            client.post("/v1/segment", content=as_file(photograph()) + marker.encode(), headers=headers)
            client.get(f"/v1/geometry/{TOKEN}", headers=headers)
    own = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("fullconv"))
    assert "POST /v1/segment 200" in own
    assert not any(secret in own for secret in (TOKEN, OTHER, "wrong-and-secret-too", marker))
    answers = client.get(f"/v1/models?token={TOKEN}", headers={"authorization": f"Bearer {OTHER}"})
    assert TOKEN not in answers.text


def test_tokens_that_could_be_guessed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    for content, said in (("", "no token"), ("# nobody\n", "no token"), ("secret\n", "fewer than 16 characters")):
        path.write_text(content)
        with pytest.raises(SpecError, match=said):
            read_tokens(path)
    with pytest.raises(SpecError, match="No such file"):
        read_tokens(tmp_path / "none")


def test_addresses_of_this_machine() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.2", "example.org")] == [False] * 4
