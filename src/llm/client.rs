//! The HTTP client for models: TLS only where it is needed, proxies never for this machine's own addresses.
//!
//! It sends nothing by itself.

use std::sync::OnceLock;
use std::time::Duration;

use super::ModelError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client for a base URL, and the URL checked.
///
/// # Errors
/// When the URL is none, has another scheme than http or https, or no client can be built.
pub(super) fn for_url(base_url: &str) -> Result<(reqwest::Client, reqwest::Url), ModelError> {
    let config = |reason: String| ModelError::Config { reason };
    // The error of the URL parser does not repeat its input; a base URL may hold a password.
    let url = reqwest::Url::parse(base_url.trim()).map_err(|error| {
        config(format!(
            "its base URL is not a URL ({error}); write it like http://127.0.0.1:11434/v1"
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(config("its base URL has to begin with http:// or https://".into()));
    }
    install_crypto();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")));
    if is_loopback(&url) {
        // A proxy would receive the key; and with certificates asked for, no client can be built on a machine that
        // has none.
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().map_err(|error| {
        config(format!(
            "no HTTP client can be built ({}); are CA certificates installed?",
            chain(&error)
        ))
    })?;
    Ok((client, url))
}

/// Whether a URL names this machine itself.
fn is_loopback(url: &reqwest::Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// rustls is built without a provider of its own; whoever comes first installs ring for the whole process.
fn install_crypto() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // An error says that another part of the program was first, with the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// The innermost cause of an HTTP error: the outer ones repeat the URL and say nothing.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A URL as errors and screens show it: without user, password and query.
pub(super) fn shown(url: &reqwest::Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_checked() {
        for bad in ["", "nonsense", "ftp://host/v1", "file:///etc/passwd"] {
            assert!(for_url(bad).is_err(), "{bad}");
        }
        for good in [
            "http://127.0.0.1:1/v1",
            "http://[::1]:1/v1",
            "http://localhost:8080/v1/",
        ] {
            assert!(for_url(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let is = |url: &str| is_loopback(&reqwest::Url::parse(url).expect("a URL"));
        assert!(is("http://127.0.0.1/") && is("http://127.9.9.9/") && is("http://[::1]/") && is("http://LOCALHOST/"));
        assert!(!is("http://10.0.0.1/") && !is("http://localhost.example/") && !is("https://api.example/"));
    }

    #[test]
    fn a_shown_url_holds_no_secret() {
        let url = reqwest::Url::parse("http://user:secret@host:1/v1/?key=secret#secret").expect("a URL");
        assert_eq!(shown(&url), "http://host:1/v1");
    }
}
