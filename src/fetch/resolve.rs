//! Names to addresses, of which only those come through that may be connected to.
//!
//! The connection is made to exactly what passed here: no second look-up lies between the check and the connection, so
//! a name that changes its address in between gains nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// Finds the addresses of a host's name.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of a name; their ports mean nothing.
    ///
    /// # Errors
    /// When the name is not known, or nobody could be asked.
    async fn lookup(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// What the system knows: its hosts file and its name servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.collect())
    }
}

/// A name has no address that may be connected to. Whether it has another is not said: that would tell which names an
/// internal network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name has no public address")]
pub(super) struct NoAddress;

/// Lets through what may be connected to.
pub(super) struct Filter {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) allow: Arc<[IpNet]>,
}

impl Resolve for Filter {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, allow) = (Arc::clone(&self.lookup), Arc::clone(&self.allow));
        Box::pin(async move {
            let found = lookup.lookup(name.as_str()).await.map_err(|_| NoAddress)?;
            let fit: Vec<SocketAddr> = found
                .into_iter()
                .filter(|found| address::allowed(found.ip(), &allow))
                // The port comes from the URL, never from an answer.
                .map(|found| SocketAddr::new(found.ip(), 0))
                .collect();
            if fit.is_empty() {
                return Err(NoAddress.into());
            }
            Ok(Box::new(fit.into_iter()) as Addrs)
        })
    }
}
