//! `[server.http]`, `[server.tls]` and `[server.cors]`: how much of a request is taken, how long clients are waited for,
//! and over what they come.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::config::value;

/// Bounds of requests and connections.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// The largest body, in bytes.
    #[serde(deserialize_with = "value::bytes_between::<1024, { 256 << 20 }, _>")]
    pub max_body: u64,
    /// The largest address and headers together, in bytes.
    #[serde(deserialize_with = "value::bytes_between::<4096, { 1 << 20 }, _>")]
    pub max_head: u64,
    /// The most headers.
    #[serde(deserialize_with = "value::from_one_to::<1000, _>")]
    pub max_headers: u64,
    /// How long the head of a request may take, and how long a connection may stay without one.
    #[serde(deserialize_with = "value::duration")]
    pub head_timeout: Duration,
    /// How long the body of a request may take.
    #[serde(deserialize_with = "value::duration")]
    pub body_timeout: Duration,
    /// The most connections at the same time.
    #[serde(deserialize_with = "value::from_one_to::<1_000_000, _>")]
    pub connections: u64,
    /// How long a reader that takes too little of what waits for it is waited for.
    #[serde(deserialize_with = "value::duration")]
    pub reader_timeout: Duration,
    /// What a channel holds of published messages for readers that have not taken them, in bytes.
    #[serde(deserialize_with = "value::bytes_between::<{ 64 << 10 }, { 1 << 30 }, _>")]
    pub reader_backlog: u64,
    /// Requests a second of one account; as many as it likes when absent.
    #[serde(deserialize_with = "value::optional_from_one_to::<1_000_000, _>")]
    pub requests_per_second: Option<u64>,
    /// Requests at once after a time of quiet; ten seconds' worth when absent.
    #[serde(deserialize_with = "value::optional_from_one_to::<10_000_000, _>")]
    pub burst: Option<u64>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            max_body: 4 << 20,
            max_head: 32 << 10,
            max_headers: 100,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            connections: 16_384,
            reader_timeout: Duration::from_secs(30),
            reader_backlog: 8 << 20,
            requests_per_second: None,
            burst: None,
        }
    }
}

/// Where the certificate and its key are; plain HTTP without them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate and those that vouch for it, as PEM.
    #[serde(deserialize_with = "value::path")]
    pub certificate: Option<PathBuf>,
    /// Its private key, as PEM.
    #[serde(deserialize_with = "value::path")]
    pub key: Option<PathBuf>,
}

/// Web pages that may call the API from a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Their origins; `*` stands for all.
    pub origins: Vec<Origin>,
}

/// Where a web page comes from: scheme, host and perhaps port, as browsers write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin as it stands in a header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let uri = text.parse::<http::Uri>().ok().filter(|uri| {
            // Browsers compare the text, so it has to be written as they do.
            let authority = uri.authority().map_or("", http::uri::Authority::as_str);
            matches!(uri.scheme_str(), Some("http" | "https"))
                && !authority.is_empty()
                && !authority.contains(['@', '*'])
                && text
                    == format!(
                        "{}://{}",
                        uri.scheme_str().unwrap_or_default(),
                        authority.to_ascii_lowercase()
                    )
        });
        if text == "*" || uri.is_some() {
            return Ok(Self(text));
        }
        Err(D::Error::custom(format!(
            "`{text}` is not the origin of a web page, expected one such as \"https://dash.example.com\", in small letters \
             and without a path, or \"*\""
        )))
    }
}
