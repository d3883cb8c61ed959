//! What a refused request still sends is read, within bounds, before the refusal goes out: a client that is writing
//! when its connection closes sees only that, never the refusal, and sends everything again.
//!
//! It does not look at what it reads.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, StatusCode, Version, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

/// How much is read, in bytes.
const DRAINED: usize = 64 * 1024 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Where a body that was not read to its end comes back to.
type Rest<B> = Arc<Mutex<Option<B>>>;

/// Has a request answered, and reads what is left of its body when it was refused.
pub(super) async fn unread_bodies<B, F>(request: Request<B>, answer: impl FnOnce(Request<Body>) -> F) -> Response
where
    B: http_body::Body<Data = Bytes, Error = axum::Error> + Send + Unpin + 'static,
    F: Future<Output = Response>,
{
    if request.body().is_end_stream() {
        return answer(request.map(|_| Body::empty())).await;
    }
    let unasked = !is_asked_for(&request);
    let rest = Rest::default();
    let lent = Arc::clone(&rest);
    let request = request.map(|body| {
        Body::new(Lent {
            body: Some(body),
            rest: lent,
            coming: unasked,
        })
    });
    let response = answer(request).await;
    let status = response.status();
    // Whoever was too slow is not waited for again.
    if (status.is_client_error() || status.is_server_error()) && status != StatusCode::REQUEST_TIMEOUT {
        let rest = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(rest) = rest {
            // The refusal goes out whether or not everything came.
            let _ = tokio::time::timeout(DRAIN_TIME, drain(rest)).await;
        }
    }
    response
}

/// Whether a body comes only when it is asked for, which reading it does (RFC 9110, 10.1.1).
fn is_asked_for<B>(request: &Request<B>) -> bool {
    let mut expected = request.headers().get_all(header::EXPECT).iter();
    request.version() >= Version::HTTP_11
        && expected.any(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"100-continue"))
}

async fn drain<B: http_body::Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > DRAINED {
            return;
        }
    }
}

/// A body that is given back when it is dropped before its end.
struct Lent<B: http_body::Body> {
    body: Option<B>,
    rest: Rest<B>,
    /// Whether it is being sent: it was not to be asked for, or it was.
    coming: bool,
}

impl<B: http_body::Body<Data = Bytes, Error = axum::Error> + Unpin> http_body::Body for Lent<B> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.coming = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

impl<B: http_body::Body> Drop for Lent<B> {
    fn drop(&mut self) {
        let coming = self.coming;
        if let Some(body) = self.body.take().filter(|body| coming && !body.is_end_stream()) {
            *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}
