//! What hyper itself answers to a request that it cannot parse, in our JSON.
//!
//! Such a request reaches no route: hyper writes a head without a body and closes the connection. It is recognised as it
//! is written, and written anew; everything else passes through.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::wire::{ApiError, ErrorCode, ascii};

/// A connection whose parser's refusals have a body.
pub(super) struct Explained<T> {
    inner: T,
    /// What goes out in the place of what hyper wrote, and how much of it has.
    instead: Option<(Vec<u8>, usize)>,
}

impl<T> Explained<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, instead: None }
    }
}

/// The whole answer for a head that only hyper writes: every refusal of ours has a body.
fn explained(head: &[u8]) -> Option<Vec<u8>> {
    if !head.starts_with(b"HTTP/1.1 4") || !head.ends_with(b"\r\n\r\n") {
        return None;
    }
    let text = std::str::from_utf8(head).ok()?;
    if !text.contains("\r\ncontent-length: 0\r\n") {
        return None;
    }
    let (status_line, _) = text.split_once("\r\n")?;
    let message = match status_line.split(' ').nth(1)? {
        "431" => "the request has more or longer headers than this server takes",
        "414" => "the request's address is longer than this server takes",
        _ => "this is no HTTP/1.1 request that this server can read",
    };
    let body = ascii::to_json(&ApiError::new(ErrorCode::BadRequest, message));
    let length = body.len();
    let head = format!(
        "{status_line}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    Some([head.into_bytes(), body].concat())
}

impl<T: Read + Unpin> Read for Explained<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for Explained<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.instead.is_none() {
            this.instead = explained(buffer).map(|answer| (answer, 0));
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
