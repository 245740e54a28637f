"""A job runner: reports a sync in which records failed, then takes its retry by webhook and completes it."""

import json
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from os import environ
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from standardwebhooks.webhooks import Webhook

API = environ["SYNCWATCH_URL"] + "/api/v1"
form = {"grant_type": "client_credentials", "client_id": environ["KEY"], "client_secret": environ["KEY_SECRET"]}
token = json.load(urlopen(API + "/oauth/token", urlencode(form).encode()))["access_token"]

def call(path, **body):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return json.load(urlopen(Request(f"{API}/sync-logs{path}", json.dumps(body).encode(), headers)))

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.retry = Webhook(environ["WEBHOOK_SECRET"]).verify(body, dict(self.headers))["data"]["sync_id"]
        self.send_response(204)
        self.end_headers()

records = [{"source_record_type": "expense_claims", "source_record_id": str(uuid.uuid4())} for _ in range(3)]
error = {"code": "INVALID_VALUE", "message": "Invalid cost center code: 9999", "field": "/cost_center"}
outcomes = [records[0] | {"outcome": "succeeded"}] + [r | {"outcome": "failed", "errors": [error]} for r in records[1:]]
sync = call("", integration_config_id=environ["INTEGRATION_ID"], connector_type="xledger",
            sync_type="accounting_push", triggered_by="automatic", records_total=3)["id"]
call(f"/{sync}/records", attempt=0, records=outcomes)
call(f"/{sync}/fail", attempt=0, error_code="PARTIAL_FAILURE", error_message="2 of 3 claims were refused")
with HTTPServer(("127.0.0.1", int(environ["PORT"])), Receiver) as server:
    print("failed", sync, flush=True)
    server.handle_request()
claimed = call(f"/{(sync := server.retry)}/attempts", lease_seconds=300)
call(f"/{sync}/records", attempt=claimed["attempt"], records=[r | {"outcome": "succeeded"} for r in claimed["records"]])
print(call(f"/{sync}/succeed", attempt=claimed["attempt"])["status"], flush=True)
