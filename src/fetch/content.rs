//! What came: a text, an image, or something that no model takes.
//!
//! The content type decides; where it says nothing (absent, `application/octet-stream`) the first bytes do, and an image
//! is what its first bytes say in any case. It fetches nothing and decodes no image.

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::{Content, html};

/// What is taken, for whoever sent something else.
pub(super) const TAKEN: &str =
    "text of any kind (plain, HTML, Markdown, JSON, XML, CSV, YAML, source code) and PNG, JPEG, GIF and WebP images";

/// How far into a page its character set is looked for (WHATWG HTML, "prescan").
const PRESCAN: usize = 1024;

/// Media types beside `text/*`, `*+json`, `*+xml` and `*+yaml` that are text.
const TEXTS: [&str; 23] = [
    "application/csv",
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json5",
    "application/jsonl",
    "application/jsonlines",
    "application/ld+json",
    "application/markdown",
    "application/ndjson",
    "application/sql",
    "application/toml",
    "application/typescript",
    "application/x-javascript",
    "application/x-jsonlines",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-tex",
    "application/x-yaml",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
];

/// Why something is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("it is of the type {0:?}; what is taken is {TAKEN}")]
    Type(String),
    #[error("it is binary data without a content type; what is taken is {TAKEN}")]
    Binary,
    #[error("it is said to be an image of the type {0:?}, but its first bytes are those of no PNG, JPEG, GIF or WebP")]
    NoImage(String),
    #[error("it is said to be text, but is binary data")]
    NoText,
}

/// What a body is, with the media type that it turned out to have. Of a text, at most `limit` bytes are given.
pub(super) fn understand(content_type: Option<&str>, body: Bytes, limit: usize) -> Result<(String, Content), NotTaken> {
    let (media, charset) = content_type.map(parse).unwrap_or_default();
    let unsaid = matches!(
        media.as_str(),
        "" | "application/octet-stream" | "binary/octet-stream" | "application/x-unknown"
    );
    // An SVG is a drawing in text form, which no model takes as an image.
    if media.starts_with("image/") && media != "image/svg+xml" {
        return match image(&body) {
            Some(kind) => Ok((kind.to_owned(), Content::Image(body))),
            None if matches!(
                media.as_str(),
                "image/png" | "image/jpeg" | "image/jpg" | "image/gif" | "image/webp"
            ) =>
            {
                Err(NotTaken::NoImage(media))
            }
            None => Err(NotTaken::Type(media)),
        };
    }
    if unsaid && let Some(kind) = image(&body) {
        return Ok((kind.to_owned(), Content::Image(body)));
    }
    if !unsaid && !is_text(&media) {
        return Err(NotTaken::Type(media));
    }
    let page = matches!(media.as_str(), "text/html" | "application/xhtml+xml") || unsaid && looks_like_html(&body);
    let refusal = if unsaid { NotTaken::Binary } else { NotTaken::NoText };
    let text = decode(&body, charset.as_deref(), page, unsaid).ok_or(refusal)?;
    let text = if page { html::text(&text) } else { text };
    let media = match media.as_str() {
        _ if page => "text/html".to_owned(),
        _ if unsaid => "text/plain".to_owned(),
        _ => media,
    };
    Ok((media, cut(text, limit)))
}

/// Media type and character set of a `Content-Type`, in lower case.
fn parse(content_type: &str) -> (String, Option<String>) {
    let mut parts = content_type.split(';').map(str::trim);
    // It is repeated in errors, so it is no longer than a media type is.
    let media = parts.next().unwrap_or_default();
    let media: String = media.to_ascii_lowercase().chars().take(100).collect();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches(['"', '\'']).to_ascii_lowercase())
    });
    (media, charset)
}

fn is_text(media: &str) -> bool {
    media.starts_with("text/")
        || TEXTS.contains(&media)
        || ["+json", "+xml", "+yaml"].iter().any(|suffix| media.ends_with(suffix))
}

/// The media type of an image by its first bytes.
fn image(body: &[u8]) -> Option<&'static str> {
    if body.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if body.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if body.starts_with(b"GIF87a") || body.starts_with(b"GIF89a") {
        Some("image/gif")
    } else if body.starts_with(b"RIFF") && body.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

fn looks_like_html(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    ["<!doctype html", "<html"].iter().any(|begin| {
        start
            .get(..begin.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(begin.as_bytes()))
    })
}

/// The body as text: by its byte order mark, the character set that is said, UTF-8, or what the web's old pages are
/// written in. `None` when it is no text; `strict` takes UTF-8 alone besides the first two.
fn decode(body: &[u8], charset: Option<&str>, page: bool, strict: bool) -> Option<String> {
    let said = charset
        .map(str::to_owned)
        .or_else(|| page.then(|| prescan(body)).flatten());
    let said = said.and_then(|label| Encoding::for_label(label.as_bytes()));
    let text = match (Encoding::for_bom(body), said) {
        (Some((encoding, length)), _) => encoding.decode_without_bom_handling(&body[length..]).0,
        // A page that says it is UTF-16 in ASCII is not (WHATWG HTML).
        (None, Some(encoding)) if encoding == UTF_8 || page && !encoding.is_ascii_compatible() => UTF_8.decode(body).0,
        (None, Some(encoding)) => encoding.decode(body).0,
        (None, None) => match std::str::from_utf8(body) {
            Ok(text) => text.into(),
            Err(_) if strict => return None,
            Err(_) => WINDOWS_1252.decode(body).0,
        },
    };
    // No text holds NUL; it is what binary data is told by.
    (!text.contains('\0')).then(|| text.into_owned())
}

/// The character set that a page names in its `<meta>`.
fn prescan(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(PRESCAN)]).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let label = after.trim_start_matches(['"', '\'']);
    let end = label.find(['"', '\'', ' ', '/', '>', ';'])?;
    Some(label[..end].to_owned())
}

fn cut(mut text: String, limit: usize) -> Content {
    let whole = text.len();
    let end = (0..=limit.min(whole)).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    Content::Text { text, whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n....";

    fn got(content_type: &str, body: &[u8]) -> Result<(String, Content), NotTaken> {
        let content_type = (!content_type.is_empty()).then_some(content_type);
        understand(content_type, Bytes::copy_from_slice(body), 1000)
    }

    #[test]
    fn texts_are_read_in_their_character_set() {
        let utf16: Vec<u8> = "\u{feff}h€".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "h€".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let table: &[(&str, &[u8], &str, &str)] = &[
            ("text/plain", b"plain", "text/plain", "plain"),
            ("text/plain", "€".as_bytes(), "text/plain", "€"),
            ("text/plain; charset=utf-8", b"\xef\xbb\xbfx", "text/plain", "x"),
            (
                "TEXT/Plain; format=flowed; Charset=\"ISO-8859-1\"",
                b"caf\xe9",
                "text/plain",
                "café",
            ),
            ("text/plain", b"caf\xe9", "text/plain", "café"),
            ("text/plain; charset=nonsense", b"caf\xc3\xa9", "text/plain", "café"),
            ("text/plain; charset=utf-8", b"a\xffb", "text/plain", "a\u{fffd}b"),
            ("text/plain", &utf16, "text/plain", "h€"),
            ("text/plain; charset=utf-16be", &big, "text/plain", "h€"),
            ("text/markdown", b"# x", "text/markdown", "# x"),
            ("text/csv", b"a,b", "text/csv", "a,b"),
            ("application/json", b"{}", "application/json", "{}"),
            ("application/problem+json", b"{}", "application/problem+json", "{}"),
            ("application/yaml", b"a: 1", "application/yaml", "a: 1"),
            ("image/svg+xml", b"<svg/>", "image/svg+xml", "<svg/>"),
            ("", b"no type", "text/plain", "no type"),
            ("application/octet-stream", b"no type", "text/plain", "no type"),
            ("", b"", "text/plain", ""),
            ("text/html", b"<p>a<p>b", "text/html", "a\nb"),
            ("text/html", b"<meta charset=\"windows-1251\"><p>\xcf", "text/html", "П"),
            ("text/html", b"<meta charset=utf-16><p>x", "text/html", "x"),
            ("", b" <!DOCTYPE HTML><p>a", "text/html", "a"),
        ];
        for (content_type, body, media, text) in table {
            let whole = text.len();
            let expected = Content::Text {
                text: (*text).to_owned(),
                whole,
            };
            assert_eq!(
                got(content_type, body),
                Ok(((*media).to_owned(), expected)),
                "{content_type}"
            );
        }
    }

    #[test]
    fn images_are_told_by_their_first_bytes() {
        let table: &[(&str, &[u8], &str)] = &[
            ("image/png", PNG, "image/png"),
            ("image/jpeg", PNG, "image/png"),
            ("", PNG, "image/png"),
            ("application/octet-stream", b"\xff\xd8\xff\xe0", "image/jpeg"),
            ("image/gif", b"GIF89a...", "image/gif"),
            ("image/webp", b"RIFF....WEBPVP8 ", "image/webp"),
        ];
        for (content_type, body, media) in table {
            let expected = Content::Image(Bytes::from_static(body));
            assert_eq!(
                got(content_type, body),
                Ok(((*media).to_owned(), expected)),
                "{content_type}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_taken() {
        let table: &[(&str, &[u8], NotTaken)] = &[
            ("application/pdf", b"%PDF-1.7", NotTaken::Type("application/pdf".into())),
            ("application/zip", b"PK", NotTaken::Type("application/zip".into())),
            ("video/mp4", b"x", NotTaken::Type("video/mp4".into())),
            ("image/tiff", b"II*\0", NotTaken::Type("image/tiff".into())),
            ("nonsense", b"x", NotTaken::Type("nonsense".into())),
            ("image/png", b"<html>", NotTaken::NoImage("image/png".into())),
            ("text/plain", b"a\0b", NotTaken::NoText),
            ("", b"%PDF-1.7\xff\xfe", NotTaken::Binary),
            ("application/octet-stream", b"a\0b", NotTaken::Binary),
        ];
        for (content_type, body, refusal) in table {
            assert_eq!(got(content_type, body).as_ref(), Err(refusal), "{content_type}");
        }
        assert!(NotTaken::Type("application/pdf".into()).to_string().contains("PNG"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let (_, content) = understand(Some("text/plain"), Bytes::from("€€€"), 5).expect("a text");
        assert_eq!(
            content,
            Content::Text {
                text: "€".into(),
                whole: 9
            }
        );
    }

    proptest! {
        #[test]
        fn anything_is_understood_or_refused(
            content_type in proptest::option::of("(text/html|text/plain|image/png|application/octet-stream|\\PC{0,20})(;charset=(utf-16le|utf-8|shift_jis|[a-z]{0,5}))?"),
            body: Vec<u8>,
            limit in 0_usize..64,
        ) {
            if let Ok((_, Content::Text { text, whole })) = understand(content_type.as_deref(), body.into(), limit) {
                prop_assert!(text.len() <= limit && text.len() <= whole && !text.contains('\0'));
            }
        }
    }
}
