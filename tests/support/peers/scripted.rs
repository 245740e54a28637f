//! A server on a bare socket, for what no framework answers: rubbish, silence, ten megabytes.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with every request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers with these bytes.
    Answer(Vec<u8>),
    /// Takes the request and says nothing.
    Hang,
    /// Takes the request and closes the connection.
    Close,
}

impl Act {
    /// An HTTP answer of a status line, a content type and a body.
    pub fn answer(status: &str, content_type: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        Self::Answer([head.as_bytes(), body.as_bytes()].concat())
    }
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Scripted {
    url: String,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Listens on a free port.
    pub async fn start(act: Act) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, act.clone(), Arc::clone(&counter)));
            }
        });
        Ok(Self { url, requests, task })
    }

    /// The address of a path on the server.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Requests that were read so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, act: Act, requests: Arc<AtomicUsize>) {
    if read_request(&mut stream).await.is_some() {
        requests.fetch_add(1, Ordering::SeqCst);
        perform(&mut stream, act).await;
    }
}

/// Does with a request that was read what is to be done with it.
pub(super) async fn perform(stream: &mut TcpStream, act: Act) {
    match act {
        Act::Answer(bytes) => {
            // The client may stop reading early.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::Hang => {
            // Until the client hangs up.
            let _ = stream.read(&mut [0; 64]).await;
        }
        Act::Close => {}
    }
}

/// Reads one request: its head and as much body as its length says. `None` if it doesn't come whole.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => read.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
        let text = String::from_utf8_lossy(&read);
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
            });
            if read.len() >= end + 4 + length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
    }
}
