//! What is wrong with this installation.

use std::process::ExitCode;

use store::{Database, OrgTx, PlainTx, StoreError};
use uuid::Uuid;

use crate::config::{CONNECTION_PATIENCE, Config};
use crate::connection_file::Connections;
use crate::reseal;
use crate::state::outbound_policy;
use crate::vault::Vault;

/// One thing that was looked at.
enum Finding {
    Fine(String),
    Note(String),
    Wrong(String),
}

/// Looks at everything and prints what it found; fails if something is wrong.
pub(super) async fn run() -> ExitCode {
    let mut findings = Vec::new();
    match Config::load() {
        Ok(config) => {
            findings.push(Finding::Fine("the configuration is valid".to_owned()));
            look_at_files(&config, &mut findings);
            look_at_database(&config, &mut findings).await;
            look_at_addresses(&config, &mut findings);
        }
        Err(errors) => findings.push(Finding::Wrong(errors.to_string())),
    }
    let mut code = ExitCode::SUCCESS;
    for finding in findings {
        match finding {
            Finding::Fine(text) => println!("ok     {text}"),
            Finding::Note(text) => println!("note   {text}"),
            Finding::Wrong(text) => {
                println!("wrong  {text}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn look_at_files(config: &Config, findings: &mut Vec<Finding>) {
    findings.push(match &config.http.dashboard_dir {
        Some(dir) if dir.join("index.html").is_file() => Finding::Fine(format!("dashboard: {}", dir.display())),
        Some(dir) => Finding::Wrong(format!("dashboard: {} has no index.html", dir.display())),
        None => Finding::Note("no dashboard: set SYNCWATCH_DASHBOARD_DIR to a built one".to_owned()),
    });
    // An installation that never started has no key yet, and looking must not make one.
    if config.awaits_first_key() {
        findings.push(Finding::Note("no master key yet: the first start makes one".to_owned()));
        return;
    }
    findings.push(match config.vault() {
        Ok(vault) => Finding::Fine(format!("master key {}", vault.current_key_id())),
        Err(error) => Finding::Wrong(format!("master key: {error:#}")),
    });
}

async fn look_at_database(config: &Config, findings: &mut Vec<Finding>) {
    // A second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = match &config.database.url {
        Some(url) => url.expose().to_owned(),
        None => match Connections::read(&config.data_dir) {
            Ok(connections) => connections.app_url,
            Err(error) => {
                findings.push(Finding::Note(format!("embedded database: {error}")));
                return;
            }
        },
    };
    match Database::connect(&url, 2, CONNECTION_PATIENCE).await {
        Ok(database) => {
            findings.push(Finding::Fine("the database answers, and its role is as weak as it should be".to_owned()));
            match store::migrate::is_current(&database).await {
                Ok(true) => {
                    findings.push(Finding::Fine("the schema is up to date".to_owned()));
                    look_at_webhooks(&database, findings).await;
                    look_at_master_keys(config, &database, findings).await;
                }
                Ok(false) => {
                    let text = "the schema is another program's: run `syncwatch migrate`";
                    findings.push(Finding::Wrong(text.to_owned()));
                }
                Err(error) => findings.push(Finding::Wrong(format!("the schema cannot be read: {error}"))),
            }
            database.close().await;
        }
        Err(error) => findings.push(Finding::Wrong(format!("database: {:#}", anyhow::Error::new(error)))),
    }
}

/// Names the integrations whose runner is not told about retries, although it has an address.
async fn look_at_webhooks(database: &Database, findings: &mut Vec<Finding>) {
    match without_webhook_secret(database).await {
        Ok(found) => findings.extend(found.into_iter().map(|(organization, integration)| {
            Finding::Note(format!(
                "organization {organization}, integration {integration}: a webhook address without a secret, so its \
                 runner is not told about retries: make one (`rotateWebhookSecret`)"
            ))
        })),
        Err(error) => findings.push(Finding::Wrong(format!("the integrations cannot be read: {error}"))),
    }
}

async fn without_webhook_secret(database: &Database) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let organizations = {
        let mut tx = PlainTx::begin(database).await?;
        store::timers::organizations(&mut tx).await?
    };
    let mut found = Vec::new();
    for organization in organizations {
        let mut tx = OrgTx::begin_reading(database, organization).await?;
        let missing = store::webhook_secrets::missing(&mut tx).await?;
        found.extend(missing.into_iter().map(|integration| (organization, integration)));
    }
    Ok(found)
}

/// Names the master keys that are needed and not given, and those that are given and needed no more.
async fn look_at_master_keys(config: &Config, database: &Database, findings: &mut Vec<Finding>) {
    // Looking must not make a key; what is sealed although there is none needs one that is gone.
    let vault = if config.awaits_first_key() {
        None
    } else {
        // One that cannot be read was told of with the files.
        let Ok(vault) = config.vault() else { return };
        Some(vault)
    };
    let standing = match reseal::standing(database).await {
        Ok(standing) => standing,
        Err(error) => {
            findings.push(Finding::Wrong(format!("what is sealed cannot be read: {error}")));
            return;
        }
    };
    let known = vault.as_ref().map(Vault::key_ids).unwrap_or_default();
    let current = known.first().copied().unwrap_or_default();
    for (key_id, number) in standing.iter().filter(|(key_id, _)| *key_id != current) {
        findings.push(if known.contains(&key_id.as_str()) {
            Finding::Note(format!("{number} secrets are sealed with the master key {key_id}: run `syncwatch reseal`"))
        } else {
            Finding::Wrong(format!("{number} secrets are sealed with the master key {key_id}, which is missing here"))
        });
    }
    for key_id in known.iter().filter(|key_id| **key_id != current && !standing.contains_key(**key_id)) {
        findings.push(Finding::Note(format!("the master key {key_id} is needed no more")));
    }
}

fn look_at_addresses(config: &Config, findings: &mut Vec<Finding>) {
    if config.http.is_https() || config.http.listen.ip().is_loopback() {
        findings.push(Finding::Fine(format!("public address {}", config.http.public_url)));
    } else {
        let text = "listening beyond this machine without TLS: put a proxy with TLS before it and set \
                    SYNCWATCH_PUBLIC_URL to its https address";
        findings.push(Finding::Wrong(text.to_owned()));
    }
    // What cannot be read was refused with the configuration.
    if let Some(address) = outbound_policy(&config.outbound).ok().and_then(|policy| policy.opened_metadata()) {
        findings.push(Finding::Note(format!(
            "SYNCWATCH_OUTBOUND_ALLOW opens {address}, where clouds hand out a machine's credentials: whoever sets an \
             integration's address can have requests sent there"
        )));
    }
    if config.mail.smtp_url.is_none() {
        findings.push(Finding::Note("no SYNCWATCH_SMTP_URL: e-mails wait in the outbox".to_owned()));
    }
}
