//! TLS: the certificate and the key from their files, at the start and again when they change.
//!
//! TLS 1.2 and 1.3 with the safe suites of rustls; HTTP/1.1 is the one protocol offered. It does not obtain certificates.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that vouch for it, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM without a passphrase.
    pub key: PathBuf,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is no PEM.
    #[error("the {what} {} cannot be read: {reason}", path.display())]
    File {
        /// The certificate, or the key.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key is another certificate's, or of a kind that is not known.
    #[error("the key {} does not go with the certificate {}: {reason}", files.key.display(), files.certificate.display())]
    Key {
        /// Both of them.
        files: TlsFiles,
        /// What is wrong.
        reason: String,
    },
}

/// A certificate that is in use, renewed when its files change.
pub struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files. A certificate whose time is over, or has not begun, is taken with a warning: clients refuse it,
    /// and its renewal is noticed.
    ///
    /// # Errors
    /// When a file cannot be read, or the two do not go together.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let config = RwLock::new(Arc::new(load(&files)?));
        Ok(Self { files, config })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }

    /// Reads the files again whenever they change, until it is dropped. What cannot be used changes nothing.
    pub(super) async fn renew(&self) {
        let mut known = self.stamps().await;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.stamps().await;
            if now == known {
                continue;
            }
            let files = self.files.clone();
            match tokio::task::spawn_blocking(move || load(&files)).await {
                Ok(Ok(config)) => {
                    *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                    tracing::info!("the certificate was read again: new connections get it");
                    known = now;
                }
                // It is tried again: one file may have changed before the other.
                Ok(Err(error)) => tracing::warn!(%error, "the new certificate cannot be used; the old one stays"),
                Err(error) => tracing::warn!(%error, "the new certificate was not read"),
            }
        }
    }

    async fn stamps(&self) -> [Option<(SystemTime, u64)>; 2] {
        let stamp = async |path: &Path| {
            let data = tokio::fs::metadata(path).await.ok()?;
            Some((data.modified().ok()?, data.len()))
        };
        [stamp(&self.files.certificate).await, stamp(&self.files.key).await]
    }
}

fn load(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let unread = |what, path: &Path, reason: String| TlsError::File {
        what,
        path: path.to_path_buf(),
        reason,
    };
    let said = |error: rustls::pki_types::pem::Error, missing: &str| match error {
        rustls::pki_types::pem::Error::NoItemsFound => missing.to_owned(),
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        error => format!("it is no PEM ({error})"),
    };
    let (what, path) = ("certificate", files.certificate.as_path());
    let no_certificate = "it holds no certificate, expected one that begins with -----BEGIN CERTIFICATE-----";
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unread(what, path, said(error, no_certificate)))?;
    let Some(first) = chain.first() else {
        return Err(unread(what, path, no_certificate.to_owned()));
    };
    let parsed = ParsedCertificate::try_from(first).map_err(|error| unread(what, path, error.to_string()))?;
    if let Some(problem) = out_of_date(&parsed) {
        tracing::warn!(certificate = %path.display(), "the certificate {problem}: clients will refuse it");
    }
    let (what, path) = ("key", files.key.as_path());
    let no_key = "it holds no private key that can be used, expected one that begins with -----BEGIN PRIVATE KEY-----, \
                  without a passphrase";
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| unread(what, path, said(error, no_key)))?;
    let mismatch = |error: rustls::Error| TlsError::Key {
        files: files.clone(),
        reason: error.to_string(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What is wrong with the dates of a certificate, if anything.
fn out_of_date(certificate: &ParsedCertificate<'_>) -> Option<&'static str> {
    // Nobody is trusted here, so that it is refused for certain; its dates are looked at first.
    let refused = rustls::client::verify_server_cert_signed_by_trust_anchor(
        certificate,
        &RootCertStore::empty(),
        &[],
        UnixTime::now(),
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .all,
    );
    match refused {
        Err(rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            Some("has expired")
        }
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Some("is not valid yet"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(change: impl FnOnce(&mut rcgen::CertificateParams)) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        change(&mut params);
        let certificate = params.self_signed(&key).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_file() {
        let home = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let (certificate, key) = pair(|_| {});
        let (_, other_key) = pair(|_| {});
        let good = (write("good.pem", &certificate), write("good.key", &key));
        let missing = home.path().join("missing.pem");
        let empty = write("empty.pem", "");
        let broken = write(
            "broken.pem",
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        );
        let hollow = write(
            "hollow.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        let locked = write(
            "locked.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
        let other = write("other.key", &other_key);
        let open = |certificate: &PathBuf, key: &PathBuf| {
            Tls::open(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            })
        };
        assert!(open(&good.0, &good.1).is_ok());
        for (certificate, key, expected) in [
            (
                &missing,
                &good.1,
                "the certificate MISSING cannot be read: No such file",
            ),
            (&empty, &good.1, "empty.pem cannot be read: it holds no certificate"),
            (&broken, &good.1, "broken.pem cannot be read: it is no PEM"),
            (&hollow, &good.1, "hollow.pem cannot be read: "),
            (&good.1, &good.1, "good.key cannot be read: it holds no certificate"),
            (&good.0, &missing, "the key MISSING cannot be read: No such file"),
            (
                &good.0,
                &locked,
                "locked.key cannot be read: it holds no private key that can be used",
            ),
            (
                &good.0,
                &good.0,
                "good.pem cannot be read: it holds no private key that can be used",
            ),
            (&good.0, &other, "other.key does not go with the certificate"),
        ] {
            let message = open(certificate, key).expect_err(expected).to_string();
            let expected = expected.replace("MISSING", &missing.display().to_string());
            assert!(message.contains(&expected), "{message}");
            assert!(
                !message.contains("BEGIN ENCRYPTED") && !message.contains(key_body(&other_key)),
                "{message}"
            );
        }
    }

    fn key_body(pem: &str) -> &str {
        pem.lines().nth(1).unwrap_or(pem)
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_that_changes_is_read_again_and_one_that_cannot_be_used_is_not_taken() {
        let home = tempfile::tempdir().expect("a directory");
        let files = TlsFiles {
            certificate: home.path().join("certificate.pem"),
            key: home.path().join("key.pem"),
        };
        let write = |certificate: &str, key: &str| {
            std::fs::write(&files.certificate, certificate).expect("written");
            std::fs::write(&files.key, key).expect("written");
        };
        let (certificate, key) = pair(|_| {});
        write(&certificate, &key);
        let tls = Arc::new(Tls::open(files.clone()).expect("usable"));
        let config = |tls: &Tls| Arc::clone(tls.acceptor().config());
        let first = config(&tls);
        let renewed = Arc::clone(&tls);
        let renewing = tokio::spawn(async move { renewed.renew().await });
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert!(Arc::ptr_eq(&config(&tls), &first), "nothing changed");
        write("not yet whole", &key);
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert!(Arc::ptr_eq(&config(&tls), &first), "it cannot be used");
        let (certificate, key) = pair(|params| params.not_after = rcgen::date_time_ymd(2100, 1, 1));
        write(&certificate, &key);
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert!(!Arc::ptr_eq(&config(&tls), &first), "the new one is in use");
        renewing.abort();
    }

    #[test]
    fn the_dates_of_a_certificate_are_looked_at() {
        let problem = |from: i32, to: i32| {
            let (pem, _) = pair(|params| {
                params.not_before = rcgen::date_time_ymd(from, 1, 1);
                params.not_after = rcgen::date_time_ymd(to, 1, 1);
            });
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
            out_of_date(&ParsedCertificate::try_from(&der).expect("a certificate"))
        };
        assert_eq!(problem(2000, 2100), None);
        assert_eq!(problem(2000, 2001), Some("has expired"));
        assert_eq!(problem(2100, 2101), Some("is not valid yet"));
    }
}
