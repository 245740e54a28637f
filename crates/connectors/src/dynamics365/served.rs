//! A server on a real socket that answers each request as a function says.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is answered to the request of a number, counted from 0.
type Answers = dyn Fn(usize, &str) -> String + Send + Sync;

pub(super) struct Served {
    pub(super) address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Served {
    pub(super) async fn start(answers: impl Fn(usize, &str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers: Arc<Answers> = Arc::new(answers);
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&seen), Arc::clone(&answers)));
            }
        });
        Self { address, requests }
    }

    /// The requests so far, each with its head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>, answers: Arc<Answers>) {
    let request = read(&mut stream).await;
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    // The client may stop reading early.
    let _ = stream.write_all(answers(number, &request).as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).await.unwrap_or(0);
        read.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
        });
        let is_whole = text.find("\r\n\r\n").is_some_and(|end| read.len() >= end + 4 + length.unwrap_or(0));
        if count == 0 || is_whole {
            return text;
        }
    }
}

/// An answer; each header ends with its line.
pub(super) fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

pub(super) fn json_response(status: &str, body: &Value) -> String {
    response(status, "Content-Type: application/json\r\n", &body.to_string())
}

/// The answer of a token service.
pub(super) fn granted(token: &str, expires_in: u32) -> String {
    json_response("200 OK", &json!({ "access_token": token, "token_type": "Bearer", "expires_in": expires_in }))
}
