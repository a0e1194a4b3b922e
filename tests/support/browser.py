"""A headless browser that runs ONNX files with onnxruntime-web, from a server on this machine.

It needs Chromium, and the npm package `onnxruntime-web`: `npm install onnxruntime-web` in the repository, or its folder
`dist` as KERAS_NORMS_ORT_WEB.
"""

import json
import os
import shutil
import subprocess
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SECONDS = 120
_PAGE = """<!doctype html><script src="ort/ort.wasm.min.js"></script><script>
async function run() {
  ort.env.wasm.wasmPaths = location.origin + "/ort/"; ort.env.wasm.numThreads = 1;
  const asked = await (await fetch("asked.json")).json();
  const session = await ort.InferenceSession.create(asked.file, {executionProviders: ["wasm"]});
  const feeds = {};
  for (const [name, x] of Object.entries(asked.inputs)) {
    const data = x.type == "int32" ? Int32Array.from(x.data) : Float32Array.from(x.data);
    feeds[name] = new ort.Tensor(x.type, data, x.shape);
  }
  const found = {};
  for (const [name, y] of Object.entries(await session.run(feeds)))
    found[name] = {shape: y.dims, data: Array.from(y.data)};
  return {found: found, agent: navigator.userAgent, version: ort.env.versions.web};
}
run().catch(error => ({error: String(error)}))
     .then(told => fetch("told", {method: "POST", body: JSON.stringify(told)}));
</script>"""


def browser():
    """The program of a browser; None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def library():
    """The folder of onnxruntime-web's files; None if it is not installed."""
    given = os.environ.get("KERAS_NORMS_ORT_WEB")
    folder = Path(given) if given else ROOT / "node_modules" / "onnxruntime-web" / "dist"
    return folder if (folder / "ort.wasm.min.js").is_file() else None


class _Handler(SimpleHTTPRequestHandler):
    """Files of a folder; what the page posts goes into a queue."""

    def __init__(self, *args, told, **kwargs):
        self._told = told
        super().__init__(*args, **kwargs)

    def do_POST(self):
        self._told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


def run_in_browser(path, inputs):
    """The outputs of an ONNX file by name, as onnxruntime-web computes them in WebAssembly, and what computed them.

    Raises:
        RuntimeError: If the page met an error; says which.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shutil.copy(path, folder / "model.onnx")
        (folder / "ort").symlink_to(library().resolve())
        (folder / "index.html").write_text(_PAGE)
        data = {n: {"type": x.dtype.name, "shape": x.shape, "data": x.ravel().tolist()} for n, x in inputs.items()}
        (folder / "asked.json").write_text(json.dumps({"file": "model.onnx", "inputs": data}))
        told = _told_by_page(folder)
    if "error" in told:
        raise RuntimeError(told["error"])
    outputs = {name: np.reshape(np.float32(y["data"]), y["shape"]) for name, y in told["found"].items()}
    return outputs, f"onnxruntime-web {told['version']}, {told['agent'].rsplit(' ', 2)[-2]}"


def _told_by_page(folder):
    told = Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, told=told, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    options += [f"--user-data-dir={folder / 'profile'}", f"http://127.0.0.1:{server.server_port}/index.html"]
    process = subprocess.Popen(
        [browser(), "--remote-debugging-port=0", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return told.get(timeout=_SECONDS)
    finally:
        process.terminate()
        process.wait()
        server.shutdown()
        thread.join()
        server.server_close()
