//! The services as processes: they say where they are, and go when their standard input ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

#[test]
fn services_say_where_they_are_and_end_with_their_input() {
    let source_app = ["source-app", "--server", "http://127.0.0.1:1", "--key-file", "missing", "--data", "missing"];
    for arguments in [&["accounting", "--port", "0"][..], &source_app[..]] {
        let mut service = Command::new(env!("CARGO_BIN_EXE_syncwatch-demo"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(service.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("ready http://").unwrap();

        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

        drop(service.stdin.take());
        assert!(service.wait().unwrap().success(), "{arguments:?}");
    }
}
