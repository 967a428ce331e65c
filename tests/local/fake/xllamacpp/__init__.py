"""
A stand-in for the server package: the same names, a plain HTTP server, and faults on request.

What follows the magic bytes of the model file is a JSON object: ``{"fault": ...}`` names the fault.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

__version__ = "0.0.fake"


class CommonParams:
    """The settings that the child fills in."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(path="")
        self.cpuparams = SimpleNamespace(n_threads=0)
        self.sampling = SimpleNamespace(temp=0.8)
        self.chat_template = ""


class Server:
    """Serves ``/health`` and, with the key, one path that repeats the settings."""

    def __init__(self, params: Any) -> None:
        with open(params.model.path, "rb") as file:
            content = file.read()[4:]
        fault = json.loads(content or b"{}").get("fault")
        if fault == "refused":
            raise RuntimeError("failed to load model")
        if fault == "old":
            raise AttributeError("no such setting")
        if fault == "crash":
            print("the last words", file=sys.stderr, flush=True)
            os._exit(3)
        if fault == "illegal":
            os.kill(os.getpid(), signal.SIGILL)
        if fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "slow":
            time.sleep(60)
        if fault == "locked":  # as the real one: the interpreter's lock is held while the model is loaded
            open(params.model.path + ".loading", "w").close()
            ctypes.PyDLL(None).usleep(60_000_000)
        handler = type("Handler", (_Handler,), {"params": params, "not_ready": 2 if fault == "late" else 0})
        self._server = ThreadingHTTPServer((params.hostnames[0], params.port), handler)
        self.listening_address = f"http://{params.hostnames[0]}:{self._server.server_address[1]}"
        if fault == "deaf":
            self._server.socket.close()
            threading.Timer(0.3, os._exit, (0,)).start()
            return
        if fault == "short":
            threading.Timer(0.6, os._exit, (5,)).start()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    params: Any
    not_ready: int

    def do_GET(self) -> None:
        if self.path == "/health":
            if self.not_ready:
                type(self).not_ready -= 1
                return self._answer(503, {"error": "loading"})
            return self._answer(200, {"status": "ok"})
        if self.headers["Authorization"] != f"Bearer {self.params.api_keys[0]}":
            return self._answer(401, {})
        if self.path == "/v1/die":
            os._exit(7)
        seen = dict(vars(self.params))
        seen["model"] = self.params.model.path
        seen["threads"] = seen.pop("cpuparams").n_threads
        seen["temp"] = seen.pop("sampling").temp
        seen["model_alias"] = sorted(seen["model_alias"])
        seen["argv"] = sys.argv
        seen["environment"] = dict(os.environ)
        seen["path"] = sys.path
        seen["pid"] = os.getpid()
        return self._answer(200, seen)

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        print(format % args, file=sys.stderr)
