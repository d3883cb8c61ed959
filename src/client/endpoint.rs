//! Where a server is and what opens it: name, base URL, route prefix, secret.
//!
//! It builds addresses; it makes no connection. No secret and no channel id is ever part of an error.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use crate::wire::Secret;

/// The host of the hosted service.
pub const HOSTED_HOST: &str = "api.chatbotkit.com";

/// What kind of server an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    /// The hosted service.
    Hosted,
    /// A server at an address of the user's own: a self-hosted edition or our server.
    Custom,
    /// Our server on this machine, found or started by this program.
    Local,
}

/// Why an address is not a server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL.
    #[error("the server's address is not a URL ({reason}); write it like https://host or http://127.0.0.1:8080")]
    NotUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// It is neither http nor https.
    #[error("the server's address begins with `{scheme}:`; write it with http:// or https://")]
    BadScheme {
        /// The scheme as it came.
        scheme: String,
    },
    /// It holds a user name, a password, a query or a fragment.
    #[error("the server's address holds {what}; leave that out, the secret is given on its own")]
    Surplus {
        /// What it holds.
        what: &'static str,
    },
    /// The secret cannot stand in a header.
    #[error("the secret for {name} is empty or holds characters that no secret has; copy it again")]
    BadSecret {
        /// The server's name.
        name: String,
    },
}

/// Where a server is and what opens it.
#[derive(Clone)]
pub struct Endpoint {
    name: String,
    base: Url,
    prefix: &'static [&'static str],
    secret: Secret,
    kind: EndpointKind,
}

impl Endpoint {
    /// The hosted service.
    #[must_use]
    pub fn hosted(secret: impl Into<Secret>) -> Self {
        Self {
            name: "chatbotkit".to_owned(),
            base: fixed_url(&format!("https://{HOSTED_HOST}")),
            prefix: &["v1"],
            secret: secret.into(),
            kind: EndpointKind::Hosted,
        }
    }

    /// A server at an origin of the user's own; the hosted service if the address is its.
    ///
    /// The address may end in `/api`, `/v1` or `/api/v1`: the routes' prefix is put there once.
    ///
    /// # Errors
    /// When the address is not an http or https URL, or holds more than an origin and a path, or the
    /// secret cannot stand in a header.
    pub fn custom(name: impl Into<String>, base: &str, secret: impl Into<Secret>) -> Result<Self, EndpointError> {
        let (name, secret) = (name.into(), secret.into());
        let mut url = Url::parse(base.trim()).map_err(|error| EndpointError::NotUrl {
            reason: error.to_string(),
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(EndpointError::BadScheme {
                scheme: url.scheme().to_owned(),
            });
        }
        let surplus = [
            (
                !url.username().is_empty() || url.password().is_some(),
                "a user name or a password",
            ),
            (url.query().is_some(), "a query"),
            (url.fragment().is_some(), "a fragment"),
        ];
        if let Some((_, what)) = surplus.into_iter().find(|(found, _)| *found) {
            return Err(EndpointError::Surplus { what });
        }
        if secret.expose().is_empty() || !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(EndpointError::BadSecret { name });
        }
        if url.host_str() == Some(HOSTED_HOST) && url.scheme() == "https" {
            return Ok(Self {
                name,
                ..Self::hosted(secret)
            });
        }
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path);
        let path = path.strip_suffix("/api").unwrap_or(path).to_owned();
        url.set_path(&path);
        Ok(Self {
            name,
            base: url,
            prefix: &["api", "v1"],
            secret,
            kind: EndpointKind::Custom,
        })
    }

    /// Our server on this machine.
    #[must_use]
    pub fn local(port: u16, secret: impl Into<Secret>) -> Self {
        Self {
            name: "local".to_owned(),
            base: fixed_url(&format!("http://127.0.0.1:{port}")),
            prefix: &["v1"],
            secret: secret.into(),
            kind: EndpointKind::Local,
        }
    }

    /// The server's name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of server it is.
    #[must_use]
    pub fn kind(&self) -> EndpointKind {
        self.kind
    }

    /// Whether the server is on this machine, as far as its address says.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }

    /// The server's origin (`https://host:port`), for people.
    #[must_use]
    pub fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    pub(super) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The address of a route; every segment is escaped.
    pub(super) fn route(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(self.prefix).extend(segments);
        }
        url
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("base", &self.base.as_str())
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// An address that this program wrote itself.
fn fixed_url(text: &str) -> Url {
    Url::parse(text).expect("an address written in this file is a URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_go_where_the_protocol_says() {
        let route = |endpoint: &Endpoint| endpoint.route(&["channel", "a/b c", "subscribe"]).to_string();
        assert_eq!(
            route(&Endpoint::hosted("s")),
            "https://api.chatbotkit.com/v1/channel/a%2Fb%20c/subscribe"
        );
        assert_eq!(
            route(&Endpoint::local(80, "s")),
            "http://127.0.0.1/v1/channel/a%2Fb%20c/subscribe"
        );
        for (base, expected) in [
            ("https://api.chatbotkit.com/", "https://api.chatbotkit.com/v1/"),
            ("https://own.example", "https://own.example/api/v1/"),
            ("https://own.example/api/v1/", "https://own.example/api/v1/"),
            (
                " http://own.example:3000/deep/ ",
                "http://own.example:3000/deep/api/v1/",
            ),
        ] {
            let endpoint = Endpoint::custom("x", base, "s").expect(base);
            assert!(route(&endpoint).starts_with(expected), "{base}: {}", route(&endpoint));
        }
    }

    #[test]
    fn loopback_is_told_by_the_address() {
        for (base, loopback) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9", true),
            ("http://[::1]:8", true),
            ("http://10.0.0.1", false),
            ("https://localhost.example", false),
        ] {
            assert_eq!(
                Endpoint::custom("x", base, "s").expect(base).is_loopback(),
                loopback,
                "{base}"
            );
        }
    }

    #[test]
    fn bad_addresses_are_refused_without_the_secret() {
        for (base, secret) in [
            ("nonsense", "hidden"),
            ("localhost:80", "hidden"),
            ("ftp://x", "hidden"),
            ("https://user:hidden@x", "hidden"),
            ("https://x/?a", "hidden"),
            ("https://x/#a", "hidden"),
            ("https://x", ""),
            ("https://x", "hid\nden"),
        ] {
            let error = Endpoint::custom("x", base, secret).expect_err(base);
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
        }
        let endpoint = Endpoint::custom("x", "https://x", "hidden").expect("an endpoint");
        assert!(!format!("{endpoint:?} {:?}", endpoint.secret()).contains("hidden"));
    }
}
