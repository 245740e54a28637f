//! What the server itself sends: the document's `webhooks`.

use serde_json::{Value, json};

/// The description of every webhook.
pub(super) fn webhooks() -> Value {
    json!({ "retryRequested": { "post": {
        "operationId": "retryRequested",
        "tags": ["sync-logs"],
        "summary": "A retry was requested and waits to be claimed.",
        "description": "Sent to `retry_webhook_url` of an integration with an external runner, as Standard Webhooks 1.0 \
            has it: verify `webhook-signature` with the integration's secret before believing anything. It comes at least \
            once, repeated with the same `webhook-id` until it is answered with 2xx, claimed, or a day old; it gives nobody \
            the right to send: claim the attempt with `startAttempt`, which answers 409 to all but one. Redirects are not \
            followed, an answer may take 20 seconds, `Retry-After` is heeded.",
        "security": [],
        "parameters": [
            header("webhook-id", "The same in every try", &json!({ "type": "string", "pattern": "^msg_[0-9a-f]{32}$" })),
            header(
                "webhook-timestamp",
                "When this try was made, in seconds since 1970",
                &json!({ "type": "string", "pattern": "^[0-9]+$" }),
            ),
            header(
                "webhook-signature",
                "`v1,` and base64 of the HMAC-SHA256 of `webhook-id.webhook-timestamp.body`, one for each secret that is \
                 valid, separated by spaces",
                &json!({ "type": "string", "pattern": "^v1,[A-Za-z0-9+/=]{44}( v1,[A-Za-z0-9+/=]{44})*$" }),
            ),
        ],
        "requestBody": {
            "required": true,
            "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/RetryRequested" },
                "example": {
                    "type": "retry.requested",
                    "timestamp": "2026-11-20T13:03:11.000Z",
                    "data": {
                        "sync_id": "0198c0de-0000-7000-8000-000000000003",
                        "integration_config_id": "0198c0de-0000-7000-8000-000000000001",
                        "connector_type": "xledger",
                        "sync_type": "accounting_push",
                        "attempt": 1,
                        "records": 12,
                    },
                },
            } },
        },
        "responses": {
            "200": { "description": "Taken; any 2xx will do" },
            "410": { "description": "Nobody is here any more: the address is disabled, and administrators are told" },
            "429": { "description": "Too much at once: the next try comes later; 502 and 504 are understood likewise" },
        },
    } } })
}

fn header(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "header", "required": true, "description": description, "schema": schema })
}
