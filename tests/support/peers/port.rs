//! Ports that are named before anybody listens on them.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of the loopback address, kept free for whoever was told of it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    // Bound, and not listening: connections are refused, and the system gives the port to nobody who takes any.
    _socket: TcpSocket,
}

impl Port {
    /// Keeps one free until this is dropped.
    pub fn reserve() -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // So that somebody can listen there while this is held; servers set it for themselves too.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self { number: socket.local_addr()?.port(), _socket: socket })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
