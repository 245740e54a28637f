//! Documented answers over HTTP, and answers that break off: WireMock.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::port::Port;
use super::process::{Peer, from_environment};
use super::{checked_out, client};
use crate::story::until;

/// A running WireMock with the mappings of `peers/wiremock`; it ends when this is dropped.
#[derive(Debug)]
pub struct WireMock {
    port: Port,
    client: reqwest::Client,
    _peer: Peer,
}

impl WireMock {
    /// Starts it on any port.
    pub async fn start() -> anyhow::Result<Self> {
        let port = Port::reserve()?;
        let mut command = Command::new(from_environment("SYNCWATCH_TEST_JAVA")?);
        command.arg("-Xmx128m").arg("-jar").arg(jar()?);
        command.args(["--bind-address", "127.0.0.1", "--port", &port.number().to_string(), "--disable-banner"]);
        command.arg("--root-dir").arg(checked_out("peers/wiremock"));
        let (peer, _) = Peer::start(command, false).await?;
        let wiremock = Self { port, client: client(), _peer: peer };
        until("WireMock answers", async || Ok(wiremock.admin("mappings").await.ok())).await?;
        Ok(wiremock)
    }

    /// The address of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port.number())
    }

    /// How many requests of a method have come whose address holds a text.
    pub async fn requests(&self, method: &str, text: &str) -> anyhow::Result<usize> {
        let seen = self.admin("requests").await?;
        let requests = seen["requests"].as_array().context("WireMock keeps the requests")?;
        let is_meant = |request: &&Value| {
            let request = &request["request"];
            request["method"] == method && request["url"].as_str().is_some_and(|url| url.contains(text))
        };
        Ok(requests.iter().filter(is_meant).count())
    }

    async fn admin(&self, what: &str) -> anyhow::Result<Value> {
        let answer = self.client.get(self.url(&format!("/__admin/{what}"))).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }
}

/// The program within its npm package.
fn jar() -> anyhow::Result<PathBuf> {
    let build = from_environment("SYNCWATCH_TEST_NODE_MODULES")?.join("wiremock/build");
    let mut jars = Vec::new();
    for entry in std::fs::read_dir(&build).with_context(|| format!("reading {}", build.display()))? {
        jars.push(entry?.path());
    }
    jars.retain(|path| path.extension().is_some_and(|extension| extension == "jar"));
    ensure!(jars.len() == 1, "{} holds one program", build.display());
    jars.pop().context("there is a program")
}
