"""The browser page of examples/browser labels a photograph as predict does: in Chromium, with onnxruntime-web.

apt-get install chromium
cd examples/browser && npm install
"""

import base64
import io
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv.data.scenes.scenes import render
from fullconv.interop.export import export_checkpoint

PAGE = Path(__file__).parents[3] / "examples" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
TELL = b"""<script>
  const wait = setInterval(() => {
    const done = document.getElementById("save").href, said = document.getElementById("said").textContent;
    if (!done && !said.includes("does not")) return;
    clearInterval(wait);
    fetch("/done", { method: "POST", body: done || said });
  }, 50);
</script>"""
"""Put behind the page, so that the test hears of the result; the page itself stays as it is."""
KINDS = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or not (PAGE / "node_modules" / "onnxruntime-web").is_dir(),
    reason="needs chromium (apt-get install chromium) and onnxruntime-web (cd examples/browser && npm install)",
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Queue[str]]]:
    """The page and what lies in ``tmp_path`` on a port of this machine, and what the page says when it is done."""
    answers: Queue[str] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.split("?")[0].lstrip("/")
            path = next((folder / name for folder in (tmp_path, PAGE) if (folder / name).is_file()), None)
            self.send_response(200 if path else 404)
            body = path.read_bytes() + (TELL if name == "index.html" else b"") if path else b""
            self.send_header("Content-Type", KINDS.get(Path(name).suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            answers.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/index.html?image=photo.png", answers
        server.shutdown()
        thread.join()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch.onnx")
def test_the_page_labels_a_photograph_as_predict_does(checkpoint: Path, served: tuple[str, Queue[str]], tmp_path: Path) -> None:
    address, answers = served
    found = export_checkpoint(checkpoint, tmp_path / "model.onnx", format="onnx", embed_pixels=True)
    (tmp_path / "model.json").write_text(json.dumps(found.metadata))
    Image.fromarray(render(0, "test", 5, (75, 101)).image).save(tmp_path / "photo.png")
    with subprocess.Popen(
        [str(CHROMIUM), *QUIET, f"--user-data-dir={tmp_path / 'profile'}", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as browser:
        try:
            said = answers.get(timeout=120)
        finally:
            browser.terminate()
    assert said.startswith("data:image/png;base64,"), said
    with Image.open(io.BytesIO(base64.b64decode(said.split(",", 1)[1]))) as image:
        labels = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(labels, fullconv.load(checkpoint).predict(tmp_path / "photo.png").labels)
