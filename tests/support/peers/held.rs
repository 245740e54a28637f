//! A server that keeps every request waiting until the test answers it, in whatever order.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::port::Port;
use super::process::PATIENCE;
use super::scripted::{Act, perform, read_request};

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Held {
    url: String,
    requests: mpsc::UnboundedReceiver<HeldRequest>,
    task: JoinHandle<()>,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct HeldRequest {
    text: String,
    act: oneshot::Sender<Act>,
}

impl Held {
    /// Listens on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        Self::listen(0).await
    }

    /// Listens on a port that was kept for it.
    pub async fn start_on(port: &Port) -> anyhow::Result<Self> {
        Self::listen(port.number()).await
    }

    async fn listen(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (sender, requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, sender.clone()));
            }
        });
        Ok(Self { url, requests, task })
    }

    /// The address of a path on the server.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The next request, once it has come.
    pub async fn request(&mut self) -> anyhow::Result<HeldRequest> {
        let request = tokio::time::timeout(PATIENCE, self.requests.recv()).await.context("no request came")?;
        request.context("the server has ended")
    }

    /// Ends it; from then on connections are refused.
    pub async fn stop(mut self) {
        self.task.abort();
        // Until the listener is gone.
        let _ = (&mut self.task).await;
    }

    /// Whether no further request has come so far.
    pub fn is_quiet(&self) -> bool {
        self.requests.is_empty()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HeldRequest {
    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether the request holds a text.
    pub fn contains(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// Answers it, or lets it go without an answer.
    pub fn answer(self, act: Act) {
        // Whoever sent it may have given up.
        let _ = self.act.send(act);
    }
}

async fn serve(mut stream: TcpStream, requests: mpsc::UnboundedSender<HeldRequest>) {
    let Some(text) = read_request(&mut stream).await else { return };
    let (act, told) = oneshot::channel();
    if requests.send(HeldRequest { text, act }).is_ok()
        && let Ok(act) = told.await
    {
        perform(&mut stream, act).await;
    }
}
