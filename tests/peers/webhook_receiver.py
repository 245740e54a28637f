"""A receiver of webhooks, for the tests: `python webhook_receiver.py --port 0`.

POST /_secrets     {"secrets": ["whsec_…", …]}: what is verified with from now on
POST /_behaviour   {"status"?, "times"?, "retry_after"?, "location"?, "hold"?}: how webhooks to come are answered;
                   `times` limits it to so many, the ones after that are taken; with `hold` they are answered only when
                   something else is set
GET  /_log         every webhook, with what the package `standardwebhooks` says of it under each secret
POST anything else a webhook: 204
"""

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

lock = threading.Lock()
secrets: list[str] = []
behaviour: dict = {}
set_anew = threading.Event()
received: list[dict] = []


def verifies(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(body, headers)
        return True
    except WebhookVerificationError:
        return False


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            body = json.dumps({"received": received}).encode()
        self.answer(200, {"Content-Type": "application/json"}, body)

    def do_POST(self):
        global set_anew
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/_secrets":
            with lock:
                secrets[:] = json.loads(body)["secrets"]
            return self.answer(204)
        if self.path == "/_behaviour":
            with lock:
                behaviour.clear()
                behaviour.update(json.loads(body))
                set_anew.set()
                set_anew = threading.Event()
            return self.answer(204)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with lock:
            received.append({
                "path": self.path,
                "id": headers.get("webhook-id"),
                "timestamp": headers.get("webhook-timestamp"),
                "signature": headers.get("webhook-signature"),
                "verified": [verifies(secret, body, headers) for secret in secrets],
                "body": json.loads(body),
            })
            plan, until = dict(behaviour), set_anew
            if "times" in plan:
                behaviour["times"] -= 1
                if behaviour["times"] <= 0:
                    behaviour.clear()
        if plan.get("hold"):
            until.wait()
        extra = {}
        if "retry_after" in plan:
            extra["Retry-After"] = str(plan["retry_after"])
        if "location" in plan:
            extra["Location"] = plan["location"]
        self.answer(plan.get("status", 204), extra)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A sender that was killed hangs up.
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    server = Server(("127.0.0.1", parser.parse_args().port), Receiver)
    print(f"ready http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
