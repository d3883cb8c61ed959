//! Where the messages of a connection begin and end (RFC 9112), read strictly beside the parser that serves them.
//!
//! The parser is lenient where the standard lets it be: it takes a bare line feed for the end of a line, one of two
//! lengths, any text behind a chunk's size. A proxy in front that decides otherwise sees other requests than this server
//! does, which is how requests are smuggled. Whatever two readers could understand differently is a [`Flaw`] here, and the
//! request is refused and its connection closed. It neither keeps nor changes what it reads.

use std::fmt;

use memchr::memchr;

/// The longest line that is put together from several reads, in bytes; the parser takes no longer head either way.
const LONGEST_LINE: usize = 1 << 20;
/// The longest size line of a chunk with its extensions, in bytes.
const LONGEST_SIZE_LINE: usize = 256;
/// Digits of a length that cannot overflow.
const MOST_DIGITS: usize = 18;
/// The same for the hexadecimal size of a chunk.
const MOST_HEX_DIGITS: usize = 15;

macro_rules! flaws {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// Why a request is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Flaw {
            $($(#[$doc])* $name,)*
        }

        impl Flaw {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What is wrong, for whoever sent it.
            pub(super) fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

flaws! {
    /// A line ends with a line feed alone.
    BareLineFeed "a line of the request ends with a line feed alone: lines end with a carriage return and a line feed",
    /// A control character inside a line.
    Control "a line of the request's head holds a control character",
    /// A header that goes on in the next line.
    Folded "a header of the request goes on in the next line, which is no longer allowed",
    /// No name, or blanks around it.
    HeaderName "a header of the request has no name, or blanks between its name and the colon",
    /// A length that is no number, or a list of numbers.
    Length "`Content-Length` is not one whole number",
    /// Two lengths, be they the same.
    TwoLengths "the request has two `Content-Length` headers",
    /// A length and chunks.
    LengthAndChunks "the request has both `Content-Length` and `Transfer-Encoding`",
    /// A coding other than chunks.
    Coding "`Transfer-Encoding` is not `chunked`, and nothing else is taken",
    /// The size of a chunk cannot be read.
    ChunkSize "the size of a chunk in the request's body cannot be read",
    /// A chunk is not followed by a line's end.
    ChunkEnd "a chunk of the request's body is longer or shorter than its size says",
    /// What follows the last chunk is no header, or one that would change the message.
    Trailer "what follows the last chunk of the request's body cannot be taken",
    /// `Host` is missing, given twice, or no host.
    Host "the request has to have one `Host` header that names a host",
    /// The address names another host than the header.
    TwoHosts "the request's address and its `Host` header name different hosts",
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Flaw {}

/// Which message of a connection, from 0.
pub(super) type MessageIndex = u32;

impl Flaw {
    /// The flaw and the message that has it, as one number.
    pub(super) fn to_code(self, message: MessageIndex) -> u64 {
        u64::from(message) << 8 | self as u64
    }

    /// The flaw that is in this message or in one before it.
    pub(super) fn from_code(code: u64, message: MessageIndex) -> Option<Self> {
        let flaw = Self::ALL.get(usize::try_from(code & 0xff).ok()?)?;
        (code >> 8 <= u64::from(message)).then_some(*flaw)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first line of a head; empty lines are passed over.
    Start,
    Head,
    /// So many bytes of the body are to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of the chunk are to come.
    Chunk(u64),
    /// The line's end behind a chunk; whether its first byte came.
    ChunkEnd(bool),
    Trailer,
    /// Nothing more is read.
    Lost,
}

/// How a message's body is delimited, as far as its head said so.
#[derive(Debug, Clone, Copy, Default)]
struct Delimiters {
    length: Option<u64>,
    chunked: bool,
}

/// The messages that a client sends on one connection.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    delimiters: Delimiters,
    /// How many heads have ended.
    heads: MessageIndex,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    flaw: Option<(MessageIndex, Flaw)>,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Start,
            delimiters: Delimiters::default(),
            heads: 0,
            partial: Vec::new(),
            flaw: None,
        }
    }

    /// The first flaw, with the message that has it.
    pub(super) fn flaw(&self) -> Option<(MessageIndex, Flaw)> {
        self.flaw
    }

    /// Whether a head has begun and not ended.
    pub(super) fn is_in_head(&self) -> bool {
        self.place == Place::Head || (self.place == Place::Start && !self.partial.is_empty())
    }

    /// Reads on.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let step = match self.place {
                Place::Lost => return,
                Place::Body(left) => self.skip(&mut bytes, left, Place::Body, Place::Start),
                Place::Chunk(left) => self.skip(&mut bytes, left, Place::Chunk, Place::ChunkEnd(false)),
                Place::ChunkEnd(begun) => {
                    let (byte, rest) = (bytes[0], &bytes[1..]);
                    bytes = rest;
                    match (begun, byte) {
                        (false, b'\r') => Ok(Place::ChunkEnd(true)),
                        (true, b'\n') => Ok(Place::ChunkSize),
                        _ => Err(Flaw::ChunkEnd),
                    }
                }
                Place::Start | Place::Head | Place::ChunkSize | Place::Trailer => match memchr(b'\n', bytes) {
                    None => {
                        self.partial.extend_from_slice(bytes);
                        bytes = &[];
                        self.check_unfinished().map(|()| self.place)
                    }
                    Some(end) => {
                        let (line, rest) = bytes.split_at(end + 1);
                        bytes = rest;
                        self.whole_line(line)
                    }
                },
            };
            match step {
                Ok(place) => self.place = place,
                Err(flaw) => self.lose(flaw),
            }
        }
    }

    fn lose(&mut self, flaw: Flaw) {
        // The body of a message belongs to the head that has ended.
        let in_body = matches!(self.place, Place::ChunkSize | Place::ChunkEnd(_) | Place::Trailer);
        self.flaw = Some((self.heads.saturating_sub(u32::from(in_body)), flaw));
        self.place = Place::Lost;
        self.partial = Vec::new();
    }

    fn skip(&self, bytes: &mut &[u8], left: u64, more: fn(u64) -> Place, then: Place) -> Result<Place, Flaw> {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        *bytes = &bytes[taken..];
        let left = left - taken as u64;
        Ok(if left == 0 { then } else { more(left) })
    }

    fn check_unfinished(&self) -> Result<(), Flaw> {
        match self.place {
            Place::ChunkSize if self.partial.len() > LONGEST_SIZE_LINE => Err(Flaw::ChunkSize),
            _ if self.partial.len() > LONGEST_LINE => Err(Flaw::Control),
            _ => Ok(()),
        }
    }

    /// Takes a line with its end; the beginning may have come before.
    fn whole_line(&mut self, line: &[u8]) -> Result<Place, Flaw> {
        if self.partial.is_empty() {
            return self.line(line);
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(line);
        let step = self.line(&whole);
        // The next line of this head may come in pieces too.
        if !matches!(step, Ok(Place::Start | Place::Body(_))) {
            whole.clear();
            self.partial = whole;
        }
        step
    }

    fn line(&mut self, line: &[u8]) -> Result<Place, Flaw> {
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Err(Flaw::BareLineFeed);
        };
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Flaw::Control);
        }
        match self.place {
            Place::Start if line.is_empty() => Ok(Place::Start),
            // What it says is the parser's business.
            Place::Start => {
                self.delimiters = Delimiters::default();
                Ok(Place::Head)
            }
            Place::Head if line.is_empty() => {
                self.heads = self.heads.saturating_add(1);
                Ok(match self.delimiters {
                    Delimiters { chunked: true, .. } => Place::ChunkSize,
                    Delimiters {
                        length: Some(length @ 1..),
                        ..
                    } => Place::Body(length),
                    _ => Place::Start,
                })
            }
            Place::Head => self.header(line).map(|()| Place::Head),
            Place::ChunkSize => chunk_size(line).map(|size| match size {
                0 => Place::Trailer,
                size => Place::Chunk(size),
            }),
            Place::Trailer if line.is_empty() => Ok(Place::Start),
            Place::Trailer => trailer(line).map(|()| Place::Trailer),
            place => Ok(place),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Flaw> {
        let (name, value) = name_and_value(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.delimiters.length.is_some() {
                return Err(Flaw::TwoLengths);
            }
            if value.is_empty() || value.len() > MOST_DIGITS || !value.iter().all(u8::is_ascii_digit) {
                return Err(Flaw::Length);
            }
            let number = value
                .iter()
                .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
            self.delimiters.length = Some(number);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.delimiters.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Flaw::Coding);
            }
            self.delimiters.chunked = true;
        }
        if self.delimiters.chunked && self.delimiters.length.is_some() {
            return Err(Flaw::LengthAndChunks);
        }
        Ok(())
    }
}

fn name_and_value(line: &[u8]) -> Result<(&[u8], &[u8]), Flaw> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Flaw::Folded);
    }
    let colon = memchr(b':', line).ok_or(Flaw::HeaderName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || name.iter().any(|byte| !byte.is_ascii_graphic()) {
        return Err(Flaw::HeaderName);
    }
    Ok((name, value.trim_ascii()))
}

fn chunk_size(line: &[u8]) -> Result<u64, Flaw> {
    if line.len() > LONGEST_SIZE_LINE {
        return Err(Flaw::ChunkSize);
    }
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let extensions = line[digits..].trim_ascii_start();
    // Extensions mean nothing here; without a `;` they are none, and beyond ASCII they are something else.
    if digits == 0
        || digits > MOST_HEX_DIGITS
        || !(extensions.is_empty() || extensions.starts_with(b";"))
        || !extensions.is_ascii()
    {
        return Err(Flaw::ChunkSize);
    }
    let digit = |byte: &u8| u64::from(char::from(*byte).to_digit(16).unwrap_or(0));
    Ok(line[..digits].iter().fold(0, |size, byte| size << 4 | digit(byte)))
}

fn trailer(line: &[u8]) -> Result<(), Flaw> {
    let (name, _) = name_and_value(line).map_err(|_| Flaw::Trailer)?;
    let forbidden: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"host", b"authorization"];
    if forbidden.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
        return Err(Flaw::Trailer);
    }
    Ok(())
}

/// What is wrong with the host that a request names (RFC 9112, section 3.2).
pub(super) fn host_flaw<B>(request: &http::Request<B>) -> Option<Flaw> {
    let mut hosts = request.headers().get_all(http::header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.as_bytes(),
        (None, _) if request.version() < http::Version::HTTP_11 => return None,
        _ => return Some(Flaw::Host),
    };
    // Empty when the address has no host of its own.
    let named: Option<http::uri::Authority> = match host {
        b"" => None,
        host => match http::uri::Authority::try_from(host) {
            Ok(named) if !host.contains(&b'@') => Some(named),
            _ => return Some(Flaw::Host),
        },
    };
    match (request.uri().authority(), named) {
        (Some(address), named) if named.as_ref().is_none_or(|named| named != address) => Some(Flaw::TwoHosts),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flaw_of(text: &[u8]) -> Option<(MessageIndex, Flaw)> {
        let mut framing = Framing::new();
        framing.read(text);
        framing.flaw()
    }

    #[test]
    fn every_form_that_two_readers_could_understand_differently_is_a_flaw() {
        let post = "POST / HTTP/1.1\r\nhost: x\r\n";
        let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n");
        let get = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let table: &[(String, Option<(MessageIndex, Flaw)>)] = &[
            (get.to_owned(), None),
            (format!("\r\n\r\n{get}\r\n{get}"), None),
            (format!("{post}content-length: 3\r\n\r\n\n\n\n{get}"), None),
            (format!("{post}Content-Length:\t3 \r\n\r\nabc{get}"), None),
            (format!("{chunked}3\r\nabc\r\n0\r\n\r\n{get}"), None),
            (
                format!("{chunked}00A;a=b;c=\"d\"\r\n0123456789\r\n0\r\nx: y\r\n\r\n{get}"),
                None,
            ),
            (format!("{chunked}3 ; a\r\nabc\r\n0\r\n\r\n"), None),
            (get.replace("\r\n", "\n"), Some((0, Flaw::BareLineFeed))),
            (
                format!("{get}{}", get.replacen("\r\n", "\n", 1)),
                Some((1, Flaw::BareLineFeed)),
            ),
            (format!("{post}a: b\rc: d\r\n\r\n"), Some((0, Flaw::Control))),
            (format!("{post}a: b\0\r\n\r\n"), Some((0, Flaw::Control))),
            (format!("{post}a: b\r\n c\r\n\r\n"), Some((0, Flaw::Folded))),
            (format!("{post}content-length : 3\r\n\r\n"), Some((0, Flaw::HeaderName))),
            (format!("{post}: 3\r\n\r\n"), Some((0, Flaw::HeaderName))),
            (format!("{post}a\r\n\r\n"), Some((0, Flaw::HeaderName))),
            (format!("{post}content-length: 3, 3\r\n\r\n"), Some((0, Flaw::Length))),
            (format!("{post}content-length: +3\r\n\r\n"), Some((0, Flaw::Length))),
            (format!("{post}content-length: 0x3\r\n\r\n"), Some((0, Flaw::Length))),
            (format!("{post}content-length:\r\n\r\n"), Some((0, Flaw::Length))),
            (
                format!("{post}content-length: {}\r\n\r\n", "9".repeat(30)),
                Some((0, Flaw::Length)),
            ),
            (
                format!("{post}content-length: 3\r\ncontent-length: 3\r\n\r\n"),
                Some((0, Flaw::TwoLengths)),
            ),
            (
                format!("{post}content-length: 3\r\nCONTENT-LENGTH: 5\r\n\r\n"),
                Some((0, Flaw::TwoLengths)),
            ),
            (
                format!("{post}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"),
                Some((0, Flaw::LengthAndChunks)),
            ),
            (
                format!("{post}transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n"),
                Some((0, Flaw::LengthAndChunks)),
            ),
            (
                format!("{post}transfer-encoding: chunked, identity\r\n\r\n"),
                Some((0, Flaw::Coding)),
            ),
            (
                format!("{post}transfer-encoding: gzip, chunked\r\n\r\n"),
                Some((0, Flaw::Coding)),
            ),
            (
                format!("{post}transfer-encoding: xchunked\r\n\r\n"),
                Some((0, Flaw::Coding)),
            ),
            (
                format!("{post}transfer-encoding: \x0bchunked\r\n\r\n"),
                Some((0, Flaw::Control)),
            ),
            (
                format!("{post}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n"),
                Some((0, Flaw::Coding)),
            ),
            (format!("{chunked}3\nabc\r\n"), Some((0, Flaw::BareLineFeed))),
            (format!("{chunked}g\r\n"), Some((0, Flaw::ChunkSize))),
            (format!("{chunked}\r\n"), Some((0, Flaw::ChunkSize))),
            (format!("{chunked}-1\r\n"), Some((0, Flaw::ChunkSize))),
            (format!("{chunked}0x3\r\n"), Some((0, Flaw::ChunkSize))),
            (format!("{chunked}3 junk\r\nabc\r\n"), Some((0, Flaw::ChunkSize))),
            (format!("{chunked}3;\u{e4}\r\nabc\r\n"), Some((0, Flaw::ChunkSize))),
            (format!("{chunked}3;a\rb\r\nabc\r\n"), Some((0, Flaw::Control))),
            (format!("{chunked}{}\r\n", "f".repeat(17)), Some((0, Flaw::ChunkSize))),
            (format!("{chunked}3;{}", "a".repeat(300)), Some((0, Flaw::ChunkSize))),
            (format!("{chunked}3\r\nabcd\r\n"), Some((0, Flaw::ChunkEnd))),
            (format!("{chunked}3\r\nabc\n0\r\n"), Some((0, Flaw::ChunkEnd))),
            (
                format!("{chunked}0\r\ncontent-length: 5\r\n\r\n"),
                Some((0, Flaw::Trailer)),
            ),
            (format!("{chunked}0\r\nabc\r\n\r\n"), Some((0, Flaw::Trailer))),
            (
                format!("{chunked}1\r\na\r\n0\r\n\r\n{chunked}z\r\n"),
                Some((1, Flaw::ChunkSize)),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(flaw_of(text.as_bytes()), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_flaw_is_of_its_message_and_of_all_after_it() {
        let code = Flaw::Trailer.to_code(3);
        assert_eq!(Flaw::from_code(code, 2), None);
        assert_eq!(Flaw::from_code(code, 3), Some(Flaw::Trailer));
        assert_eq!(Flaw::from_code(code, 4), Some(Flaw::Trailer));
        assert_eq!(Flaw::from_code(u64::MAX, 4), None);
    }

    #[test]
    fn a_request_names_one_host() {
        let request = |address: &str, version, hosts: &[&str]| {
            let mut request = http::Request::builder().uri(address).version(version);
            for host in hosts {
                request = request.header("host", *host);
            }
            host_flaw(&request.body(()).expect("a request"))
        };
        use http::Version as V;
        for (address, version, hosts, expected) in [
            ("/", V::HTTP_11, &["x"] as &[&str], None),
            ("/", V::HTTP_11, &["x:80"], None),
            ("/", V::HTTP_11, &["[::1]:80"], None),
            ("/", V::HTTP_11, &[""], None),
            ("/", V::HTTP_11, &[], Some(Flaw::Host)),
            ("/", V::HTTP_10, &[], None),
            ("/", V::HTTP_11, &["x", "x"], Some(Flaw::Host)),
            ("/", V::HTTP_10, &["x", "y"], Some(Flaw::Host)),
            ("/", V::HTTP_11, &["x/y"], Some(Flaw::Host)),
            ("/", V::HTTP_11, &["a@x"], Some(Flaw::Host)),
            ("/", V::HTTP_11, &["x y"], Some(Flaw::Host)),
            ("http://x/", V::HTTP_11, &["X"], None),
            ("http://x/", V::HTTP_11, &["y"], Some(Flaw::TwoHosts)),
            ("http://x/", V::HTTP_11, &["x:81"], Some(Flaw::TwoHosts)),
            ("http://x/", V::HTTP_11, &[""], Some(Flaw::TwoHosts)),
            ("http://x/", V::HTTP_10, &[], None),
        ] {
            assert_eq!(request(address, version, hosts), expected, "{address} {hosts:?}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_the_same_whatever_the_pieces(
            parts in proptest::collection::vec(prop_oneof![
                Just("POST / HTTP/1.1\r\n"), Just("host: x\r\n"), Just("content-length: 4\r\n"), Just("\r\n"), Just("abcd"),
                Just("transfer-encoding: chunked\r\n"), Just("4\r\n"), Just("0\r\n"), Just("\n"), Just("\r"), Just(" x\r\n"),
            ], 0..24),
            cuts in proptest::collection::vec(1_usize..9, 1..8),
        ) {
            let text = parts.concat().into_bytes();
            let whole = flaw_of(&text);
            let mut framing = Framing::new();
            let (mut rest, mut cut) = (text.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let size = (*cut.next().unwrap_or(&1)).min(rest.len());
                framing.read(&rest[..size]);
                rest = &rest[size..];
            }
            prop_assert_eq!(framing.flaw(), whole);
        }

        #[test]
        fn no_bytes_at_all_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            flaw_of(&bytes);
        }
    }
}
