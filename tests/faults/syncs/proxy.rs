//! The way between Syncwatch and the external system: it counts the requests, loses some of them or their answers, and
//! lets a blow fall while it has one in its hands.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::plan::{Blow, Fault, Moment, Trouble};

const TURNED_AWAY: &str = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n\
                           Content-Length: 28\r\n\r\n{\"detail\":\"Slow down a bit\"}";
const LOST: &str =
    "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<h1>Bad Gateway</h1>";

/// A blow that is to fall; whoever strikes says when it has fallen.
#[derive(Debug)]
pub struct Asked {
    /// Which.
    pub blow: Blow,
    /// Dropped or used once it has fallen.
    pub fallen: oneshot::Sender<()>,
}

/// The running proxy; it ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    way: Arc<Way>,
    task: JoinHandle<()>,
}

/// What all connections share.
struct Way {
    system: SocketAddr,
    blows: mpsc::UnboundedSender<Asked>,
    seen: Mutex<Seen>,
}

/// How far it is.
struct Seen {
    requests: u32,
    in_hand: usize,
    storm: u32,
    troubles: BTreeMap<u32, Trouble>,
    last_sign: Instant,
}

impl Proxy {
    /// Listens on a free port before a system on this machine; blows are asked for by the channel.
    pub async fn start(
        system: &str,
        troubles: BTreeMap<u32, Trouble>,
        blows: mpsc::UnboundedSender<Asked>,
    ) -> anyhow::Result<Self> {
        let system = system.trim_start_matches("http://").trim_end_matches('/');
        let system = system.parse().with_context(|| format!("{system} is no address"))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let seen = Seen { requests: 0, in_hand: 0, storm: 0, troubles, last_sign: Instant::now() };
        let way = Arc::new(Way { system, blows, seen: Mutex::new(seen) });
        let shared = Arc::clone(&way);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&shared), stream));
            }
        });
        Ok(Self { address, way, task })
    }

    /// The address of a path on the system, by this way.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.way.with(|seen| seen.in_hand == 0)
    }

    /// When a request came, or left its hands, most lately.
    pub fn last_sign(&self) -> Instant {
        self.way.with(|seen| seen.last_sign)
    }

    /// Requests so far.
    pub fn requests(&self) -> u32 {
        self.way.with(|seen| seen.requests)
    }

    /// What has not happened yet.
    pub fn left(&self) -> BTreeMap<u32, Trouble> {
        self.way.with(|seen| seen.troubles.clone())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request in the proxy's hands.
struct InHand {
    way: Arc<Way>,
    trouble: Option<Trouble>,
}

impl Way {
    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a request, and says what is to befall it.
    fn take(self: &Arc<Self>) -> InHand {
        let trouble = self.with(|seen| {
            seen.requests += 1;
            seen.in_hand += 1;
            seen.last_sign = Instant::now();
            let trouble = seen.troubles.remove(&seen.requests);
            if let Some(Trouble::Fault(Fault::Storm(length))) = trouble {
                seen.storm = length;
            }
            if matches!(trouble, None | Some(Trouble::Fault(Fault::Storm(_)))) && seen.storm > 0 {
                seen.storm -= 1;
                return Some(Trouble::Fault(Fault::Storm(1)));
            }
            trouble
        });
        InHand { way: Arc::clone(self), trouble }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.way.with(|seen| {
            seen.in_hand -= 1;
            seen.last_sign = Instant::now();
        });
    }
}

async fn serve(way: Arc<Way>, mut stream: TcpStream) {
    let mut read = Vec::new();
    while let Some(request) = read_message(&mut stream, &mut read).await {
        if carry(&way, &mut stream, &request).await.is_none() {
            return;
        }
    }
}

/// Carries a request to the system and its answer back, or not. `None` when the connection is of no more use.
async fn carry(way: &Arc<Way>, stream: &mut TcpStream, request: &[u8]) -> Option<()> {
    let in_hand = way.take();
    match in_hand.trouble {
        None => {
            let answer = asked(way.system, request).await?;
            stream.write_all(&answer).await.ok()
        }
        Some(Trouble::Fault(fault)) => suffer(way.system, stream, request, fault).await,
        Some(Trouble::Blow(moment, blow)) => {
            if moment == Moment::Before {
                strike(way, blow).await;
            }
            let answer = asked(way.system, request).await?;
            if moment == Moment::Held {
                strike(way, blow).await;
            }
            // Whoever sent the request may have been killed.
            let handed_over = stream.write_all(&answer).await.ok();
            if moment == Moment::After {
                strike(way, blow).await;
            }
            handed_over
        }
    }
}

async fn suffer(system: SocketAddr, stream: &mut TcpStream, request: &[u8], fault: Fault) -> Option<()> {
    match fault {
        Fault::ResetBefore => {
            reset(stream);
            None
        }
        Fault::ResetAfter => {
            asked(system, request).await?;
            reset(stream);
            None
        }
        Fault::Silence => {
            asked(system, request).await?;
            given_up(stream).await;
            None
        }
        Fault::Late => {
            given_up(stream).await;
            asked(system, request).await?;
            None
        }
        Fault::Lost => {
            asked(system, request).await?;
            stream.write_all(LOST.as_bytes()).await.ok()
        }
        Fault::Storm(_) => stream.write_all(TURNED_AWAY.as_bytes()).await.ok(),
    }
}

async fn strike(way: &Way, blow: Blow) {
    let (fallen, told) = oneshot::channel();
    if way.blows.send(Asked { blow, fallen }).is_ok() {
        // Also when the case is over before it could fall.
        let _ = told.await;
    }
}

/// Lets the connection end with a reset as soon as it is dropped.
fn reset(stream: &TcpStream) {
    // Where that cannot be, the connection is closed, which loses the answer as well.
    let _ = stream.set_zero_linger();
}

/// Waits until the other side has closed the connection.
async fn given_up(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 1]).await;
}

/// The system's answer to a request, on a connection of its own.
async fn asked(system: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(system).await.ok()?;
    stream.write_all(request).await.ok()?;
    read_message(&mut stream, &mut Vec::new()).await
}

/// Reads one message, its head and as much body as its length says, and leaves what follows in `read`. `None` if it does
/// not come whole.
async fn read_message(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(length) = length_of(read)
            && read.len() >= length
        {
            let rest = read.split_off(length);
            return Some(std::mem::replace(read, rest));
        }
        if !stream.read_buf(read).await.is_ok_and(|count| count > 0) {
            return None;
        }
    }
}

/// Bytes of the message that begins here, once that can be said.
fn length_of(read: &[u8]) -> Option<usize> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&read[..end]);
    let header = |wanted: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_ascii_lowercase())
    };
    let begin = end + 4;
    if header("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
        return chunked(&read[begin..]).map(|length| begin + length);
    }
    Some(begin + header("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or(0))
}

/// Bytes of a body in chunks, once the last one is there; nobody here sends trailers.
fn chunked(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = body.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&body[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        at += line + 2 + size + 2;
        if size == 0 {
            return (at <= body.len()).then_some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_its_own_are_as_long_as_they_say() {
        for answer in [TURNED_AWAY, LOST] {
            assert_eq!(length_of(answer.as_bytes()), Some(answer.len()), "{answer}");
        }
    }

    #[test]
    fn a_message_ends_where_its_length_says() {
        let message = b"POST /claims HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}POST";
        assert_eq!(length_of(message), Some(message.len() - 4));
        assert_eq!(length_of(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Some(27));
        assert_eq!(length_of(b"GET / HTTP/1.1\r\nContent-Length: 2\r\n"), None);
    }

    #[test]
    fn a_body_in_chunks_ends_with_the_empty_one() {
        let message = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\r\n}\r\n0\r\n\r\nHTTP/1.1";
        let length = message.len() - "HTTP/1.1".len();
        assert_eq!(length_of(message), Some(length));
        for cut in 45..length {
            assert_eq!(length_of(&message[..cut]), None, "{cut}");
        }
    }
}
