//! What answers in a database's place, on a bare socket: who it is has to be shown, and it is not listened to for ever.

#![expect(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use connectors::{ConnectionTest, OutboundPolicy, build_source};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use serde_json::{Value, json};

/// Who says that the host below is who it says.
const AUTHORITY: &str = include_str!("databases/tls/authority.pem");
/// The certificate of `localhost`.
const CERTIFICATE: &str = include_str!("databases/tls/localhost.pem");
const KEY: &str = include_str!("databases/tls/localhost.key.pem");

/// A server that does this with each connection.
fn server(serve: impl Fn(TcpStream) -> io::Result<()> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that hangs up is what the tests are about.
            let _ = stream.and_then(&serve);
        }
    });
    address
}

/// What a client says first: a length, which counts itself, and as much.
fn take_greeting(stream: &mut impl Read) -> io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let rest = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
    io::copy(&mut stream.take(rest), &mut io::sink()).map(drop)
}

/// A message of a kind.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

async fn tested(settings: &[(&str, Value)], address: SocketAddr) -> ConnectionTest {
    let mut source = json!({
        "kind": "postgresql", "type": "expense_claim", "host": "127.0.0.1", "port": address.port(), "database": "claims",
        "list_query": "SELECT id FROM claims", "fetch_query": "SELECT id FROM claims WHERE id = $1",
        "timeout_ms": 60_000,
    });
    for (name, value) in settings {
        source[*name] = value.clone();
    }
    let settings = json!({ "url": "https://books.example/", "source": source });
    let credentials =
        json!({ "source": { "type": "basic", "username": "reader", "password": "only-the-reader-knows" } });
    let policy = OutboundPolicy::parse("127.0.0.1/32").unwrap();
    build_source(&settings, Some(&credentials), &policy).unwrap().unwrap().test().await
}

#[tokio::test]
async fn only_who_shows_a_certificate_for_the_name_is_shown_the_password() {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(CERTIFICATE.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let config = Arc::new(config);
    let address = server(move |mut stream| {
        take_greeting(&mut stream)?;
        stream.write_all(b"S")?;
        let mut session = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        let mut secure = rustls::Stream::new(&mut session, &mut stream);
        take_greeting(&mut secure)?;
        secure.write_all(&message(b'E', b"SFATAL\0VFATAL\0C28P01\0Mwrong password\0\0"))?;
        secure.flush()
    });
    let authority = ("ca_certificate", json!(AUTHORITY));
    let localhost = ("host", json!("localhost"));
    let found = tested(&[authority.clone(), localhost.clone()], address).await;
    assert_eq!(found.code, "CREDENTIALS_REFUSED", "{}", found.message);
    assert!(found.message.contains("wrong password (28P01)"), "{}", found.message);
    // A certificate for another name, and one by nobody who is known.
    for wrong in [authority, localhost] {
        let found = tested(&[wrong], address).await;
        assert_eq!(found.code, "TLS_FAILURE", "{}", found.message);
        assert!(found.message.contains("certificate"), "{}", found.message);
    }
}

#[tokio::test]
async fn what_never_ends_is_not_read_to_its_end() {
    let address = server(|mut stream| {
        take_greeting(&mut stream)?;
        stream.write_all(&message(b'R', &[0; 4]))?;
        let setting = message(b'S', &[&b"name\0"[..], &[b'a'; 1_000], b"\0"].concat());
        loop {
            stream.write_all(&setting)?;
        }
    });
    let found = tested(&[("tls", json!("disable"))], address).await;
    assert_eq!(found.code, "ANSWER_TOO_LARGE", "{}", found.message);
}

/// A description of columns by their types.
fn columns(types: &[u32]) -> Vec<u8> {
    let mut body = u16::try_from(types.len()).unwrap().to_be_bytes().to_vec();
    for kind in types {
        body.extend_from_slice(b"column\0");
        body.extend_from_slice(&[0; 6]);
        body.extend_from_slice(&kind.to_be_bytes());
        body.extend_from_slice(&[0; 8]);
    }
    message(b'T', &body)
}

/// A row; what is not there is null.
fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(value.unwrap_or_default());
    }
    message(b'D', &body)
}

/// Reads up to what ends a question, in either protocol.
fn take_question(stream: &mut TcpStream) -> io::Result<()> {
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        take_greeting(stream)?;
        if matches!(kind[0], b'S' | b'Q') {
            return Ok(());
        }
    }
}

/// Answers the next question.
fn answer(stream: &mut TcpStream, said: &[Vec<u8>]) -> io::Result<()> {
    take_question(stream)?;
    stream.write_all(&said.concat())
}

#[tokio::test]
async fn types_that_stand_on_others_for_ever_are_not_followed() {
    let [char, name, text, oid] = [18, 19, 25, 26];
    let address = server(move |mut stream| {
        let (done, ready) = (message(b'C', b"SELECT 1\0"), message(b'Z', b"T"));
        let prepared = |parameter: u32, columns: Vec<u8>| {
            let parameters = [&[0_u8, 1][..], &parameter.to_be_bytes()].concat();
            [message(b'1', b""), message(b't', &parameters), columns, ready.clone()].concat()
        };
        take_greeting(&mut stream)?;
        stream.write_all(&[message(b'R', &[0; 4]), ready.clone()].concat())?;
        // The role may not do everything, and a transaction has begun.
        answer(&mut stream, &[columns(&[text]), row(&[Some(b"f")]), done.clone(), ready.clone()])?;
        answer(&mut stream, &[done.clone(), ready.clone()])?;
        // The query has a parameter of a type that nobody knows, so it is asked for.
        answer(&mut stream, &[prepared(100_000, message(b'n', b""))])?;
        answer(&mut stream, &[prepared(oid, columns(&[name, char, oid, oid, oid, name, oid]))])?;
        for next in 100_001_u32.. {
            let (none, next) = (0_u32.to_be_bytes(), next.to_be_bytes());
            let domain = row(&[Some(b"x"), Some(b"d"), Some(&none), None, Some(&next), Some(b"x"), Some(&none)]);
            answer(&mut stream, &[message(b'2', b""), domain, done.clone(), ready.clone()])?;
        }
        Ok(())
    });
    let found = tested(&[("tls", json!("disable"))], address).await;
    assert_eq!(found.code, "ANSWER_TOO_LARGE", "{}", found.message);
}

/// Takes a message: its kind, and what it says.
fn take_message(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let mut body = vec![0; u32::from_be_bytes(length).saturating_sub(4) as usize];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}

/// A database without records, for so many simple questions: then it ends the connection, and says so. What it is asked is
/// noted: the first words of simple questions, and the kinds of other messages.
fn empty_database(stream: &mut TcpStream, questions: usize, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let [text, uuid] = [25, 2950];
    let (done, ready) = (message(b'C', b"SELECT 0\0"), message(b'Z', b"T"));
    take_greeting(stream)?;
    stream.write_all(&[message(b'R', &[0; 4]), ready.clone()].concat())?;
    let (mut begun, mut parameters) = (0, Vec::new());
    loop {
        let (kind, body) = take_message(stream)?;
        let word = if kind == b'Q' {
            begun += 1;
            String::from_utf8_lossy(&body).split([' ', '\0']).next().unwrap().to_owned()
        } else {
            char::from(kind).to_string()
        };
        asked.lock().unwrap().push(word);
        if begun > questions {
            return stream.write_all(&message(b'E', b"SFATAL\0VFATAL\0C08P01\0Mclient_idle_timeout\0\0"));
        }
        let answer = match kind {
            // Where it is about the role: it may not do everything.
            b'Q' => [columns(&[text]), row(&[Some(b"f")]), done.clone(), ready.clone()].concat(),
            b'P' => {
                // Behind the statement's name and its text come the types of its parameters.
                parameters = body.splitn(3, |byte| *byte == 0).nth(2).unwrap().to_vec();
                message(b'1', b"")
            }
            b'D' => [message(b't', &parameters), columns(&[uuid, text, text, text, text])].concat(),
            b'B' => message(b'2', b""),
            b'E' => done.clone(),
            b'C' => message(b'3', b""),
            b'S' => ready.clone(),
            _ => return Ok(()),
        };
        stream.write_all(&answer)?;
    }
}

#[tokio::test]
async fn a_connection_is_given_back_as_it_was() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&asked);
    let address = server(move |mut stream| empty_database(&mut stream, usize::MAX, &said));
    let found = tested(&[("tls", json!("disable"))], address).await;
    assert!(found.ok, "{} {}", found.code, found.message);
    // A statement is closed, and what was done undone, before anybody else may be given the connection.
    let question = ["BEGIN", "P", "D", "S", "B", "E", "S", "C", "S", "ROLLBACK"];
    let expected = [&["BEGIN"][..], &question, &question].concat();
    let asked = asked.lock().unwrap();
    assert_eq!(asked[..expected.len()], expected);
}

#[tokio::test]
async fn a_connection_that_was_ended_meanwhile_is_no_answer() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&asked);
    // The role, and a part of the list: the record is asked for in vain, and then on another connection.
    let address = server(move |mut stream| empty_database(&mut stream, 3, &said));
    let found = tested(&[("tls", json!("disable"))], address).await;
    assert!(found.ok, "{} {}", found.code, found.message);
    let begun = asked.lock().unwrap().iter().filter(|word| *word == "BEGIN").count();
    assert_eq!(begun, 5, "the role twice, the list once, the record twice");
}

#[tokio::test]
async fn who_hangs_up_has_said_nothing() {
    let address = server(|mut stream| take_greeting(&mut stream));
    for (tls, code) in [("disable", "NO_ANSWER"), ("verify-full", "NO_ANSWER")] {
        assert_eq!(tested(&[("tls", json!(tls))], address).await.code, code, "{tls}");
    }
}
