//! `[server.attachments]`: whether documents and images are fetched for requests, from where, and how large they may be.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::value;

/// The most bytes that an attachment, or all of a request together, may be allowed.
const LARGEST: u64 = 64 << 20;
/// The most text of one attachment that may be given to a model, in bytes.
const LONGEST_TEXT: u64 = 16 << 20;

/// What the server fetches for requests that name attachments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttachmentsConfig {
    /// Whether requests may have attachments at all.
    pub enabled: bool,
    /// Addresses that are not public and may be fetched from all the same.
    #[serde(deserialize_with = "ranges")]
    pub allow: Vec<IpNet>,
    /// The ports that may be fetched from; none: every port.
    #[serde(deserialize_with = "ports")]
    pub ports: Vec<u16>,
    /// How many attachments a request may have.
    #[serde(deserialize_with = "value::at_least_one")]
    pub count: u64,
    /// The largest attachment, in bytes.
    #[serde(deserialize_with = "value::bytes::<LARGEST, _>")]
    pub size: u64,
    /// All attachments of a request together, in bytes.
    #[serde(deserialize_with = "value::bytes::<LARGEST, _>")]
    pub total: u64,
    /// How much of a text the model is given, in bytes.
    #[serde(deserialize_with = "value::bytes::<LONGEST_TEXT, _>")]
    pub text: u64,
    /// How long one attachment may take.
    #[serde(deserialize_with = "value::duration")]
    pub timeout: Duration,
    /// How many redirects are followed.
    pub redirects: u8,
}

impl Default for AttachmentsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            allow: Vec::new(),
            ports: vec![80, 443],
            count: 8,
            size: 5 << 20,
            total: 10 << 20,
            text: 256 << 10,
            timeout: Duration::from_secs(20),
            redirects: 4,
        }
    }
}

fn ranges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| -> Option<IpNet> {
        let text = text.trim();
        text.parse()
            .ok()
            .or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)))
    };
    let refused = |text: &String| {
        D::Error::custom(format!(
            "`{text}` is not a range of addresses, expected one such as \"10.0.0.0/8\", \"fd00::/8\" or \"127.0.0.1\""
        ))
    };
    texts
        .iter()
        .map(|text| parse(text).ok_or_else(|| refused(text)))
        .collect()
}

fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    let numbers = Vec::<i64>::deserialize(deserializer)?;
    let refused = |number| {
        D::Error::custom(format!(
            "{number} is not a port, expected a whole number from 1 to 65535"
        ))
    };
    let port = |number: i64| {
        u16::try_from(number)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| refused(number))
    };
    numbers.into_iter().map(port).collect()
}
