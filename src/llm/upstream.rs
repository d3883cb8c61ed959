//! One HTTP endpoint of an OpenAI-compatible API: how it is asked, and its errors as types.
//!
//! It sends one request at a time and repeats none; what a good answer means is read elsewhere.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use tokio::time::timeout;

use super::delta::{UpstreamError, upstream_error};
use super::reader::ReadError;
use super::retry::{Attempts, chance, parse_retry_after};
use super::{ModelError, ModelOptions, Secret, client};

/// The most of an error's body that is read, in bytes.
const LARGEST_ERROR: usize = 64 * 1024;
/// The most of an upstream's message that is shown, in characters.
const LONGEST_MESSAGE: usize = 300;
/// How long an error's body may take: what has come of it by then is enough.
const ERROR_GRACE: Duration = Duration::from_secs(5);

/// An endpoint and how to ask it.
#[derive(Debug)]
pub(super) struct Upstream {
    client: reqwest::Client,
    endpoint: reqwest::Url,
    /// The base URL as errors show it.
    shown: String,
    authorization: Option<HeaderValue>,
    pub(super) options: ModelOptions,
    /// Counts the requests that are made again, once somebody wants them counted.
    pub(super) retried: OnceLock<Counter>,
}

impl Upstream {
    /// The endpoint at a path below the base URL. It is not asked for anything yet.
    ///
    /// # Errors
    /// When the base URL is not one, the key cannot stand in a header, or no HTTP client can be built.
    pub(super) fn new(options: ModelOptions, path: &str) -> Result<Self, ModelError> {
        let (client, url) = client::for_url(&options.base_url)?;
        let mut endpoint = url.clone();
        endpoint.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        let authorization = match options.key.as_ref().map(Secret::expose).filter(|key| !key.is_empty()) {
            Some(key) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| ModelError::Config {
                    reason: "its key holds characters that no header can carry; copy it again".into(),
                })?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self {
            client,
            endpoint,
            shown: client::shown(&url),
            authorization,
            options,
            retried: OnceLock::new(),
        })
    }

    /// Sends a body once; gives an answer whose status is a success.
    pub(super) async fn send(&self, accept: &'static str, body: Bytes) -> Result<reqwest::Response, ModelError> {
        let mut builder = self
            .client
            .post(self.endpoint.clone())
            .header(ACCEPT, accept)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        let response = match timeout(self.options.silence, builder.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(ModelError::Unreachable {
                    url: self.shown.clone(),
                    reason: self.cleaned(&client::chain(&error)),
                });
            }
            Err(_) => return Err(self.silent()),
        };
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.status_error(response).await)
        }
    }

    /// How long to wait before the next attempt after this error; `None` when it is final.
    pub(super) fn wait(&self, attempts: &Attempts, error: &ModelError) -> Option<Duration> {
        let wait = attempts.next(error, chance())?;
        tracing::warn!(
            upstream = self.shown,
            attempt = attempts.made(),
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            reason = error.kind(),
            status = error.status(),
            "a model could not answer and is asked again"
        );
        Some(wait)
    }

    /// Tells the log of a failure that is final. What the upstream said may repeat a text, and is not in it.
    pub(super) fn say_failed(&self, error: &ModelError) {
        tracing::warn!(
            upstream = self.shown,
            reason = error.kind(),
            status = error.status(),
            "a model could not answer"
        );
    }

    async fn status_error(&self, mut response: reqwest::Response) -> ModelError {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| parse_retry_after(value.to_str().ok()?, SystemTime::now()));
        let mut body = Vec::new();
        let _ = timeout(self.options.silence.min(ERROR_GRACE), async {
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk[..chunk.len().min(LARGEST_ERROR - body.len())]);
                if body.len() >= LARGEST_ERROR {
                    break;
                }
            }
        })
        .await;
        let error = body_error(&body);
        let message = self.cleaned(&error.message);
        let url = self.shown.clone();
        if status == 429 && !error.out_of_quota {
            ModelError::RateLimited {
                url,
                message,
                retry_after,
            }
        } else {
            ModelError::Status {
                url,
                status,
                message,
                retry_after,
            }
        }
    }

    /// What was wrong with an answer, as an error.
    pub(super) fn read_error(&self, error: ReadError) -> ModelError {
        let url = self.shown.clone();
        match error {
            ReadError::TooLarge { limit } => ModelError::TooLarge { limit },
            ReadError::Cut => self.cut(),
            ReadError::Noise { limit } => ModelError::Garbage {
                url,
                reason: format!("{limit} bytes came without a word of an answer"),
            },
            ReadError::Garbage(data) if data.trim_ascii_start().starts_with(b"<") => ModelError::Garbage {
                url,
                reason: "a web page came".into(),
            },
            ReadError::Garbage(data) => ModelError::Garbage {
                url,
                reason: self.cleaned(&format!("it begins with: {}", String::from_utf8_lossy(&data))),
            },
            ReadError::Upstream(error) => {
                let message = self.cleaned(&error.message);
                if error.rate_limited {
                    ModelError::RateLimited {
                        url,
                        message,
                        retry_after: None,
                    }
                } else {
                    ModelError::Failed {
                        url,
                        message,
                        status: error.status,
                    }
                }
            }
        }
    }

    pub(super) fn cut(&self) -> ModelError {
        ModelError::Cut {
            url: self.shown.clone(),
        }
    }

    pub(super) fn silent(&self) -> ModelError {
        ModelError::Silent {
            url: self.shown.clone(),
            silence: self.options.silence,
        }
    }

    pub(super) fn garbage(&self, reason: &str) -> ModelError {
        ModelError::Garbage {
            url: self.shown.clone(),
            reason: reason.to_owned(),
        }
    }

    /// A foreign text for an error: without the key, on one line, without control characters, shortened.
    pub(super) fn cleaned(&self, text: &str) -> String {
        let key = self.options.key.as_ref().map_or("", Secret::expose);
        // Shorter ones are placeholders, and taking those out would only garble the message.
        let text = if key.len() >= 4 {
            text.replace(key, "…")
        } else {
            text.to_owned()
        };
        let mut line = String::new();
        for word in text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
        {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if line.chars().count() > LONGEST_MESSAGE {
            line = line.chars().take(LONGEST_MESSAGE).chain(['…']).collect();
        }
        line
    }
}

/// What an error's body says.
fn body_error(body: &[u8]) -> UpstreamError {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let said = |message: &str| UpstreamError {
        message: message.to_owned(),
        ..UpstreamError::default()
    };
    if text.is_empty() {
        return said("no reason given");
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        if let Some(error) = upstream_error(&value) {
            return error;
        }
        let named = ["message", "detail"].iter().find_map(|name| value.get(name)?.as_str());
        return said(named.unwrap_or(text));
    }
    if text.starts_with('<') {
        return said("a web page instead of an error");
    }
    said(text)
}
