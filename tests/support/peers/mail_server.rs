//! A real SMTP server that keeps what it takes: maildev.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::client;
use super::port::Port;
use super::process::{PATIENCE, Peer, from_environment, node};
use crate::story::until;

/// A running mail server; it ends when this is dropped.
#[derive(Debug)]
pub struct MailServer {
    smtp: Port,
    web: Port,
    client: reqwest::Client,
    _peer: Peer,
    _mails: TempDir,
}

/// An e-mail that the server took.
#[derive(Clone, Debug, Deserialize)]
pub struct Received {
    /// The server's own id of it.
    pub id: String,
    /// Subject line.
    pub subject: String,
    /// The plain text part.
    #[serde(default)]
    pub text: String,
    /// The HTML part.
    #[serde(default)]
    pub html: String,
    /// The headers, names in lower case.
    #[serde(default)]
    pub headers: Value,
    /// To whom.
    #[serde(default)]
    pub to: Vec<Address>,
}

/// One address.
#[derive(Clone, Debug, Deserialize)]
pub struct Address {
    /// The address proper.
    pub address: String,
}

impl Received {
    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The address it came to.
    pub fn recipient(&self) -> &str {
        self.to.first().map_or("", |address| &address.address)
    }
}

impl MailServer {
    /// A server on any port.
    pub async fn start() -> anyhow::Result<Self> {
        Self::on(Port::reserve()?).await
    }

    /// A server on this SMTP port.
    pub async fn on(smtp: Port) -> anyhow::Result<Self> {
        let mails = tempfile::tempdir()?;
        let web = Port::reserve()?;
        let modules = from_environment("SYNCWATCH_TEST_NODE_MODULES")?;
        let mut command = node(&modules.join("maildev/bin/maildev"));
        command.args(["--ip", "127.0.0.1", "--silent"]);
        command.args(["--smtp", &smtp.number().to_string(), "--web", &web.number().to_string()]);
        command.arg("--mail-directory").arg(mails.path());
        let (peer, _) = Peer::start(command, false).await?;
        for port in [&smtp, &web] {
            await_port(port.number()).await?;
        }
        Ok(Self { smtp, web, client: client(), _peer: peer, _mails: mails })
    }

    /// What `SYNCWATCH_SMTP_URL` is for this server.
    pub fn smtp_url(&self) -> String {
        smtp_url(&self.smtp)
    }

    /// The e-mails taken so far, oldest first, once there are so many: the server lists one a little after it has taken it.
    pub async fn at_least(&self, number: usize) -> anyhow::Result<Vec<Received>> {
        until("the e-mails have arrived", async || {
            let mails = self.mails().await?;
            Ok((mails.len() >= number).then_some(mails))
        })
        .await
    }

    async fn mails(&self) -> anyhow::Result<Vec<Received>> {
        let answer = self.client.get(format!("http://127.0.0.1:{}/email", self.web.number())).send().await?;
        answer.error_for_status()?.json().await.context("reading the mail server's list")
    }

    /// An e-mail of several parts as it came over the wire.
    pub async fn source(&self, mail: &Received) -> anyhow::Result<String> {
        let address = format!("http://127.0.0.1:{}/email/{}/source", self.web.number(), mail.id);
        // Written beside being listed; its last line closes its parts.
        until("the e-mail is written down to its end", async || {
            let source = self.client.get(&address).send().await?.error_for_status()?.text().await?;
            Ok(Some(source).filter(|source| source.trim_end().ends_with("--")))
        })
        .await
    }
}

/// What `SYNCWATCH_SMTP_URL` is for a server on this port.
pub fn smtp_url(port: &Port) -> String {
    format!("smtp://127.0.0.1:{}", port.number())
}

async fn await_port(port: u16) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.is_err() {
        ensure!(Instant::now() < deadline, "nobody listens on port {port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
