//! The bytes of a connection: looked at as they come in, timed as they go out.
//!
//! [`Watched`] reads the messages beside the parser (see `framing`) and gives the parser's own refusals a body; [`Timed`]
//! ends a connection whose client takes too little of what waits for it. Neither knows routes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::framing::{Flaw, Framing, MessageIndex};
use super::unparsed;

/// The least that a client has to take in the time that is given to it, in bytes.
const LEAST_TAKEN: usize = 4096;

/// What was found wrong with the messages of a connection, for those who answer them.
#[derive(Debug)]
pub(super) struct Findings(AtomicU64);

impl Findings {
    fn new() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// What is wrong with a message, or with one before it.
    pub(super) fn flaw(&self, message: MessageIndex) -> Option<Flaw> {
        Flaw::from_code(self.0.load(Ordering::Acquire), message)
    }
}

/// A connection whose messages are read beside the parser.
pub(super) struct Watched<T> {
    inner: T,
    framing: Framing,
    findings: Arc<Findings>,
    limits: Arc<unparsed::HeadLimits>,
    /// What goes out in the place of what the parser wrote, and how much of it has.
    instead: Option<(Vec<u8>, usize)>,
    /// The status of what the parser refused, once it has.
    refused: Option<u16>,
}

impl<T> Watched<T> {
    pub(super) fn new(inner: T, limits: Arc<unparsed::HeadLimits>) -> Self {
        Self {
            inner,
            framing: Framing::new(),
            findings: Arc::new(Findings::new()),
            limits,
            instead: None,
            refused: None,
        }
    }

    /// The status with which the parser refused a request, if it did.
    pub(super) fn refused(&self) -> Option<u16> {
        self.refused
    }

    pub(super) fn findings(&self) -> Arc<Findings> {
        Arc::clone(&self.findings)
    }

    /// Whether the head of a request has begun and not ended.
    pub(super) fn is_in_head(&self) -> bool {
        self.framing.is_in_head()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let had = self.framing.flaw().is_some();
        self.framing.read(&buffer.filled()[before..]);
        if let Some((message, flaw)) = self.framing.flaw().filter(|_| !had) {
            self.findings.0.store(flaw.to_code(message), Ordering::Release);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.instead.is_none() {
            let flaw = this.framing.flaw().map(|(_, flaw)| flaw);
            if let Some((status, answer)) = unparsed::explained(buffer, flaw, &this.limits) {
                this.refused = Some(status);
                this.instead = Some((answer, 0));
            }
        }
        let Some((answer, written)) = &mut this.instead else {
            return Pin::new(&mut this.inner).poll_write(context, buffer);
        };
        while *written < answer.len() {
            let count = ready!(Pin::new(&mut this.inner).poll_write(context, &answer[*written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += count;
        }
        this.instead = None;
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match buffers {
            // The parser's refusals have a head and nothing else.
            [only] => self.poll_write(context, only),
            _ => Pin::new(&mut self.inner).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// What is closed at once, with nothing that waits kept for its other side.
pub(super) trait Cut {
    /// Whatever is sent and not taken is given up when it is closed.
    fn cut(&self);
}

impl Cut for TcpStream {
    fn cut(&self) {
        // Otherwise the system would keep what it holds for a client that does not read, and go on trying.
        if let Err(error) = rustix::net::sockopt::set_socket_linger(self, Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection ends by itself rather than at once");
        }
    }
}

/// A connection that fails when its client, with bytes waiting for it, takes fewer than [`LEAST_TAKEN`] in a given time.
pub(super) struct Timed<T> {
    inner: T,
    limit: Duration,
    /// Counts those that fail so.
    stalled: Counter,
    /// While bytes wait: when the time is over, and how many were taken since it began.
    waiting: Option<Pin<Box<Waiting>>>,
}

struct Waiting {
    sleep: Pin<Box<Sleep>>,
    taken: usize,
}

impl<T: Cut> Timed<T> {
    pub(super) fn new(inner: T, limit: Duration, stalled: Counter) -> Self {
        Self {
            inner,
            limit,
            stalled,
            waiting: None,
        }
    }

    fn written(&mut self, context: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(count)) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.taken += count;
                    if waiting.taken >= LEAST_TAKEN {
                        waiting.taken = 0;
                        let due = Instant::now() + self.limit;
                        waiting.sleep.as_mut().reset(due);
                    }
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Ready(Err(ready!(self.wait(context)))),
        }
    }

    /// Waits on for the client; the error is due when it has had its time.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| {
            Box::pin(Waiting {
                sleep: Box::pin(tokio::time::sleep(limit)),
                taken: 0,
            })
        });
        ready!(waiting.sleep.as_mut().poll(context));
        tracing::info!(
            seconds = limit.as_secs(),
            "a reader takes too little of what waits for it and is cut"
        );
        self.stalled.inc();
        self.inner.cut();
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client takes too little"))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Cut + Unpin> AsyncWrite for Timed<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, buffer);
        self.written(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.written(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(context) {
            // Nothing waits any more.
            Poll::Ready(result) => {
                self.waiting = None;
                Poll::Ready(result)
            }
            Poll::Pending => Poll::Ready(Err(ready!(self.wait(context)))),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => Poll::Ready(Err(ready!(self.wait(context)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    impl Cut for tokio::io::DuplexStream {
        fn cut(&self) {}
    }

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_after_its_time_and_a_slow_one_is_not() {
        let begin = Instant::now();
        let (server, mut client) = tokio::io::duplex(1024);
        let mut server = Timed::new(server, LIMIT, Counter::default());
        let error = server.write_all(&[0; 2000]).await.expect_err("nobody reads");
        assert_eq!((error.kind(), begin.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
        let mut taken = vec![0; 1024];
        client.read_exact(&mut taken).await.expect("what went out before");

        // So slow that it takes an hour, and never too slow.
        let (server, mut client) = tokio::io::duplex(1024);
        let mut server = Timed::new(server, LIMIT, Counter::default());
        let reading = tokio::spawn(async move {
            let mut piece = [0; 1024];
            for _ in 0..600 {
                tokio::time::sleep(LIMIT / 5).await;
                client.read_exact(&mut piece).await.expect("a piece");
            }
        });
        server.write_all(&[0; 600 * 1024]).await.expect("all is taken");
        server.flush().await.expect("flushed");
        reading.await.expect("read");
    }

    #[tokio::test(start_paused = true)]
    async fn single_bytes_do_not_keep_a_connection() {
        let (server, mut client) = tokio::io::duplex(1024);
        let mut server = Timed::new(server, LIMIT, Counter::default());
        let reading = tokio::spawn(async move {
            // A byte every second.
            while client.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let error = server.write_all(&[0; 100_000]).await.expect_err("too slow");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(server);
        reading.await.expect("it saw the end");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_once_and_was_taken_starts_no_clock() {
        let (server, mut client) = tokio::io::duplex(1024);
        let mut server = Timed::new(server, LIMIT, Counter::default());
        let mut piece = [0; 2000];
        for _ in 0..3 {
            let (wrote, read) = tokio::join!(
                async {
                    server.write_all(&[0; 2000]).await?;
                    server.flush().await
                },
                client.read_exact(&mut piece)
            );
            wrote.expect("taken");
            read.expect("read");
            // Silence is no fault of the reader's.
            tokio::time::sleep(LIMIT * 10).await;
        }
    }
}
