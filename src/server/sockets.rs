//! What the operating system is told about the server's sockets: how many there may be, when a silent one is given up, how
//! much it holds for a client that does not read.

use std::time::Duration;

use rustix::net::sockopt;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;

/// After how much silence a client is asked whether it is there, how often again, and how many times.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;
/// How long what was sent may stay without an acknowledgement, at least.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// What the system holds for a client that does not read, in bytes. Left alone it would grow to megabytes.
const SEND_BUFFER: usize = 256 * 1024;
/// Files that are not connections: the listener, the store, what runs fetch, the models' connections.
const OTHER_FILES: u64 = 128;

/// Raises the limit of open files to what the system allows, each connection being one, and says how many connections of
/// those that are wanted that is enough for.
pub(super) fn affordable(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    let Some(files) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    // Half of very few is still something.
    let most = files.saturating_sub(OTHER_FILES).max(files / 2);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if wanted > most {
        tracing::warn!(
            files,
            most,
            wanted,
            "the system's limit of open files allows fewer connections"
        );
    }
    wanted.min(most)
}

/// Sets up a connection: small writes go out at once, a half-open one ends by itself, and one whose client does not read
/// holds little.
///
/// # Errors
/// When the connection is gone already.
pub(super) fn prepare(stream: &TcpStream, reader_timeout: Duration) -> rustix::io::Result<()> {
    sockopt::set_tcp_nodelay(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
        sockopt::set_tcp_keepintvl(stream, PROBE_EVERY)?;
        sockopt::set_tcp_keepcnt(stream, PROBES)?;
        // A reader that may take its time is not to be given up before.
        let limit = UNACKNOWLEDGED.max(reader_timeout.saturating_mul(2));
        // In milliseconds; the system keeps it as a signed number.
        let limit = limit.as_millis().min(1 << 30);
        sockopt::set_tcp_user_timeout(stream, u32::try_from(limit).unwrap_or(0))?;
    }
    sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_is_set_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, _) = accepted.expect("accepted");
        prepare(&stream, Duration::from_secs(45)).expect("it is open");
        assert_eq!(sockopt::tcp_nodelay(&stream), Ok(true));
        assert_eq!(sockopt::socket_keepalive(&stream), Ok(true));
        assert_eq!(sockopt::tcp_keepidle(&stream), Ok(PROBE_AFTER));
        assert_eq!(sockopt::tcp_keepintvl(&stream), Ok(PROBE_EVERY));
        assert_eq!(sockopt::tcp_keepcnt(&stream), Ok(PROBES));
        assert_eq!(sockopt::tcp_user_timeout(&stream), Ok(90_000));
        // The system doubles it for its own use, and may allow less.
        let size = sockopt::socket_send_buffer_size(&stream).expect("a size");
        assert!((SEND_BUFFER / 4..=2 * SEND_BUFFER).contains(&size), "{size}");
        prepare(&stream, Duration::MAX).expect("as long as it likes");
    }

    #[test]
    fn connections_are_no_more_than_files() {
        assert_eq!(affordable(10), 10);
        let most = affordable(usize::MAX);
        assert!(most > 10);
    }
}
