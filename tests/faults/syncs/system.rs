//! The external system of a case: the server that stands for it, and how an integration is set up with it.

use serde_json::{Value, json};
use tests::peers::{Books, TOKEN_CLIENT, TOKEN_SECRET, Tokens, XLEDGER_TOKEN};

use crate::plan::{BATCH, Plan, System};
use crate::proxy::Proxy;

/// How long the sender waits for an answer: short, since some never come.
const TIMEOUT_MS: u32 = 3_000;
/// How long a system may work on a request that was given up; the servers here end with it at once.
const SETTLE_SECONDS: u32 = 1;

/// The running system.
pub struct Outside {
    /// The server, with its log.
    pub books: Books,
    tokens: Option<Tokens>,
}

impl Outside {
    /// Starts what a case needs.
    pub async fn start(system: System) -> anyhow::Result<Self> {
        match system {
            System::Keyed | System::Plain | System::Batched | System::LookedUp => {
                Ok(Self { books: Books::fastapi().await?, tokens: None })
            }
            System::Xledger => Ok(Self { books: Books::xledger().await?, tokens: None }),
            System::Dynamics => {
                let tokens = Tokens::mock().await?;
                Ok(Self { books: Books::dataverse(&tokens).await?, tokens: Some(tokens) })
            }
        }
    }

    /// The settings of an integration that sends to it by the proxy.
    pub fn settings(&self, plan: &Plan, proxy: &Proxy) -> Value {
        let mut settings = json!({ "timeout_ms": TIMEOUT_MS, "concurrency": plan.concurrency });
        match plan.system {
            System::Plain => {}
            System::Keyed => settings["idempotency_header"] = json!("Idempotency-Key"),
            System::Batched => {
                settings["batch_member"] = json!("items");
                settings["results_pointer"] = json!("/results");
            }
            System::LookedUp => {
                settings["settle_seconds"] = json!(SETTLE_SECONDS);
                settings["look_up"] = json!({
                    "url": proxy.url("/claims?record={source_record_id}"), "found_pointer": "/items/0",
                    "record_pointer": "/items/0/record_id", "reference_pointer": "/items/0/reference",
                });
            }
            System::Xledger => {
                settings["endpoint"] = json!(proxy.url("/graphql"));
                settings["settle_seconds"] = json!(SETTLE_SECONDS);
                // Its own limit would make a case last for minutes.
                settings["rate"] = json!({ "requests": 1_000, "seconds": 1 });
                settings["mapping"] = nodes();
            }
            System::Dynamics => {
                settings["environment"] = json!(proxy.url("/"));
                settings["token_url"] = json!(self.tokens.as_ref().map(Tokens::url));
                settings["key_attribute"] = json!("sw_syncid");
                settings["settle_seconds"] = json!(SETTLE_SECONDS);
                settings["mapping"] = rows();
            }
        }
        if plan.system.takes_several() {
            settings["batch_size"] = json!(BATCH);
        }
        if let Some(path) = plan.system.path() {
            settings["url"] = json!(proxy.url(path));
            settings["reference_pointer"] = json!(if plan.system == System::Batched { "/id" } else { "/reference" });
        }
        settings
    }

    /// What else such an integration has.
    pub fn more(plan: &Plan) -> Value {
        match plan.system {
            System::Keyed | System::Plain | System::Batched | System::LookedUp => json!({}),
            System::Xledger => {
                json!({ "connector_type": "xledger", "credentials": { "type": "token", "token": XLEDGER_TOKEN } })
            }
            System::Dynamics => json!({
                "connector_type": "dynamics365",
                "credentials": {
                    "type": "client_credentials", "client_id": TOKEN_CLIENT, "client_secret": TOKEN_SECRET,
                },
            }),
        }
    }
}

/// How claims become Xledger's nodes, one each.
fn nodes() -> Value {
    json!({
        "entity": "addGLImportItems",
        "fields": {
            "account.code": { "value": "7140" },
            "transactionSource.code": { "value": "AR" },
            "glObject1.code": { "from": "/cost_center", "as": "text", "required": true },
            "amount": { "from": "/amount", "as": "money", "required": true },
            "currency.code": { "from": "/currency", "as": "text" },
            "invoiceNumber": { "from": "/claim_number", "as": "text" },
            "extOrderNumber": { "from": "/id", "as": "text" },
            "text": { "from": "/member", "as": "text", "personal": true },
        },
    })
}

/// How claims become Dataverse's rows.
fn rows() -> Value {
    json!({
        "entity": "sw_claims",
        "fields": {
            "sw_claimnumber": { "from": "/claim_number", "as": "text", "required": true },
            "sw_member": { "from": "/member", "as": "text", "personal": true },
            "sw_costcenter": { "from": "/cost_center", "as": "text", "required": true },
            "sw_amount": { "from": "/amount", "as": "decimal", "required": true },
            "sw_currency": { "from": "/currency", "as": "text" },
        },
    })
}
