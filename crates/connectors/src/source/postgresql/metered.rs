//! A connection on which only so much may come: who answers is not to fill the memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How much may still come.
#[derive(Clone)]
pub(super) struct Allowance(Arc<Left>);

struct Left {
    bytes: AtomicUsize,
    used_up: AtomicBool,
}

impl Allowance {
    pub(super) fn of(bytes: usize) -> Self {
        Self(Arc::new(Left { bytes: AtomicUsize::new(bytes), used_up: AtomicBool::new(false) }))
    }

    /// From now on so much may come.
    pub(super) fn renew(&self, bytes: usize) {
        self.0.bytes.store(bytes, Ordering::Release);
    }

    /// Whether more came than might.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.used_up.load(Ordering::Acquire)
    }

    /// Whether so much might come.
    fn take(&self, bytes: usize) -> bool {
        let taken = self.0.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes));
        if taken.is_err() {
            self.0.used_up.store(true, Ordering::Release);
        }
        taken.is_ok()
    }
}

/// The connection.
pub(super) struct Metered {
    stream: TcpStream,
    allowance: Allowance,
}

impl Metered {
    pub(super) fn new(stream: TcpStream, allowance: Allowance) -> Self {
        Self { stream, allowance }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        let came = into.filled().len() - before;
        Poll::Ready(if self.allowance.take(came) { Ok(()) } else { Err(io::Error::other("more came than is read")) })
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn no_more_comes_than_is_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut other_end, _) = listener.accept().await.unwrap();
        let allowance = Allowance::of(4);
        let mut metered = Metered::new(stream, allowance.clone());
        other_end.write_all(b"1234").await.unwrap();
        let mut four = [0; 4];
        metered.read_exact(&mut four).await.unwrap();
        assert!(!allowance.is_used_up());
        allowance.renew(3);
        other_end.write_all(b"5678").await.unwrap();
        assert!(metered.read_exact(&mut four).await.is_err());
        assert!(allowance.is_used_up());
    }
}
