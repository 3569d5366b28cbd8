"""The process: signals, its socket, its log; as the container has it; and what the command refuses."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from served import as_file, photograph

from fullconv.cli import main
from fullconv.errors import SpecError
from fullconv.serve.server import run
from fullconv.serve.settings import Settings

PNG = {"content-type": "image/png"}
DOCKERFILE = (Path(__file__).parents[2] / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
NOBODY = 65534


def instruction(name: str) -> list[str]:
    """Return the last command of the Dockerfile that is called so, as it is run."""
    (*_, line) = re.findall(rf"^{name}\b.*?(\[.*\])$", DOCKERFILE, re.MULTILINE)
    found: list[str] = json.loads(line)
    return [sys.executable if word == "python" else word for word in found]


def unprivileged() -> list[str]:
    """Return what runs a command as a user without rights, who reads everything and may write nothing; nothing if we are no root.

    Reading is let through because this Python and its packages may lie in a folder of root's.
    """
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    rights = "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search", "--no-new-privs"
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights]


def lines(process: subprocess.Popen[str], log: list[str]) -> threading.Thread:
    assert process.stderr is not None
    thread = threading.Thread(target=lambda: log.extend(process.stderr))  # type: ignore[arg-type]
    thread.start()
    return thread


def wait_for(log: list[str], what: str) -> str:
    end = time.monotonic() + 120
    while not (found := [line for line in log if what in line]):
        assert time.monotonic() < end, log
        time.sleep(0.02)
    return found[0]


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path, body, PNG)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_a_process_reloads_drains_and_ends_well(checkpoint: Path, tmp_path: Path) -> None:
    """As in the container: the Dockerfile's command and health check, and where we are root a user who can write nowhere."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(checkpoint.read_bytes())
    program, *begin = instruction("ENTRYPOINT")
    assert program == "fullconv"
    command = [*unprivileged(), sys.executable, "-m", program, *begin, f"net={file}", "--without-token", "--port", "0"]
    nowhere = str(tmp_path / "nothing")
    environment = os.environ | {"HOME": nowhere, "MPLCONFIGDIR": nowhere, "TMPDIR": nowhere, "OMP_NUM_THREADS": "1"}
    log: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        reader = lines(process, log)
        port = int(re.search(r":(\d+)$", wait_for(log, "listening on")).group(1))  # type: ignore[union-attr]
        assert ask(port, "GET", "/healthz")[0] == 200  # while the model is still being loaded, or already there
        wait_for(log, "ready: net")
        if unprivileged():
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            assert re.search(rf"^Uid:\t{NOBODY}\t{NOBODY}\t", status, re.MULTILINE)
        health = [word.replace(":8000/", f":{port}/") for word in instruction("HEALTHCHECK")]
        assert subprocess.run([*unprivileged(), *health], env=environment, check=False).returncode == 0
        first = ask(port, "POST", "/v1/segment", as_file(photograph()))
        assert first[0] == 200

        file.write_bytes(b"garbage")
        process.send_signal(signal.SIGHUP)
        wait_for(log, "the new file of net cannot be used")
        assert ask(port, "POST", "/v1/segment", as_file(photograph())) == first

        # of an image half is sent before the signal and half after it
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        image = as_file(photograph())
        connection.putrequest("POST", "/v1/segment")
        connection.putheader("Content-Type", "image/png")
        connection.putheader("Content-Length", str(len(image)))
        connection.endheaders(image[:1000])
        assert ask(port, "GET", "/healthz")[0] == 200  # so the other connection is accepted, as it came before
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        connection.send(image[1000:])
        assert connection.getresponse().read() == first[1]
        connection.close()
        assert process.wait(60) == 0
        reader.join()
        with pytest.raises(ConnectionRefusedError):
            ask(port, "GET", "/healthz")
        assert subprocess.run(health, stderr=subprocess.DEVNULL, check=False).returncode == 1
    assert "stopped" in log[-1]
    assert not any("Traceback" in line for line in log)


def test_a_signal_before_it_serves_ends_it_well(checkpoint: Path) -> None:
    """While it imports what serves; who keeps services would take any other exit code for a failure."""
    command = [sys.executable, "-m", "fullconv", "serve", str(checkpoint), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "listening on" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read().endswith("INFO stopped\n")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "give --token-file FILE with a token a line, or --without-token"),
        (["--queue", "0"], "--queue is 0; it is a number above 0"),
        (["--token-file", "/nowhere/tokens"], "cannot read the tokens in /nowhere/tokens"),
        (["--port", "99999"], "cannot listen on 127.0.0.1:99999"),
    ],
)
def test_what_the_command_refuses(arguments: list[str], said: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = [] if "--port" in arguments else ["--port", "0"]
    assert main(["serve", str(checkpoint), *port, *arguments]) == 1
    assert said in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(checkpoint: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SpecError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use; give another"):
            run(Settings((("net", str(checkpoint)),)), "127.0.0.1", port)
