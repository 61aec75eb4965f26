"""The hook by which a test, in whatever language, restarts the broker: POST /restart, /stop, /start, /kill9 on localhost.

The answer comes when the thing is done, so no test waits by guessing.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERBS = ("restart", "stop", "start", "kill9")


class Control:
    def __init__(self, broker, port: int):
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                verb = self.path.strip("/")
                try:
                    if verb not in VERBS:
                        raise ValueError(f"unknown verb {verb!r}, one of {', '.join(VERBS)}")
                    with lock:
                        broker.control(verb)
                    status, text = 200, "done\n"
                except Exception as error:  # the test that asked must hear of it, whatever it is
                    status, text = 500, f"{error}\n"
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
