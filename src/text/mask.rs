//! Secrets and ids hidden in a text that strangers see: what looks like one keeps its first characters.
//!
//! It goes by looks, so it hides rather too much than too little. It is for a screen on a wall, and changes nothing
//! that is kept.

use std::borrow::Cow;

/// From this length on a word of letters and digits mixed counts as an id.
const SHORTEST_ID: usize = 14;
/// From this length on a word in which letters and digits take turns counts as one.
const SHORTEST_TOKEN: usize = 18;
/// From this length on a word of one alphabet without any sense to it counts as one.
const LONGEST_WORD: usize = 28;
/// How secrets of well-known services begin.
const PREFIXES: [&str; 14] = [
    "sk-",
    "pk-",
    "rk-",
    "sk_",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xox",
    "AKIA",
    "eyJ",
];
/// What is said in front of a secret.
const NAMES: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "authorization",
    "bearer",
    "credential",
];

/// The text with its secrets and ids hidden. Borrowed when there was nothing to hide.
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut named = false;
    for (start, word) in words(text) {
        let end = start + word.len();
        let lower = word.to_ascii_lowercase();
        let is_name = NAMES.iter().any(|name| lower.contains(name));
        let hide = (named && !is_name && is_value_of(&text[..start])) || is_secret(word);
        if hide {
            out.push_str(&text[copied..start]);
            let shown: String = if named {
                String::new()
            } else {
                word.chars().take(4).collect()
            };
            out.push_str(&shown);
            out.push('…');
            copied = end;
        }
        named = is_name || (named && !hide && lower == "basic");
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The words of which secrets are made, with where they begin.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | '~' | '.' | '$' | '!' | '*');
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(is_part)?;
        let length = text[start..].find(|c| !is_part(c)).unwrap_or(text.len() - start);
        rest = start + length;
        let word = text[start..rest].trim_end_matches(['.', '!', '/', '-', '*']);
        Some((start, word))
    })
    .filter(|(_, word)| !word.is_empty())
}

/// Whether what follows is the value of a name before it: `token: x`, `"token": "x"`, `token=x`, `Bearer x`.
fn is_value_of(before: &str) -> bool {
    let gap: String = before
        .chars()
        .rev()
        .take_while(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'))
        .collect();
    gap.len() <= 6 && (gap.contains([':', '=']) || before.trim_end().to_ascii_lowercase().ends_with("bearer"))
}

fn is_secret(word: &str) -> bool {
    if PREFIXES
        .iter()
        .any(|prefix| word.starts_with(prefix) && word.len() >= prefix.len() + 8)
    {
        return true;
    }
    // A path or a name with dots is looked at piece by piece.
    word.split(['/', '.']).any(looks_random)
}

fn looks_random(word: &str) -> bool {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    // Words that are joined by hyphens or underscores, such as `release-notes-for-1`, are names.
    let mixed_piece = word
        .split(['-', '_'])
        .any(|piece| piece.len() >= 8 && digits(piece) >= 2 && digits(piece) < piece.len());
    let longest_piece = word.split(['-', '_']).map(str::len).max().unwrap_or(0);
    (word.len() >= SHORTEST_ID && mixed_piece)
        || (word.len() >= SHORTEST_TOKEN && digits(word) >= 2 && changes(word) >= 5)
        || longest_piece >= LONGEST_WORD
}

/// How often small letters, capitals and digits take turns.
fn changes(word: &str) -> usize {
    let kind = |byte: &u8| match byte {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        _ => None,
    };
    let kinds: Vec<u8> = word.as_bytes().iter().filter_map(kind).collect();
    kinds.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn secrets_and_ids_are_hidden_and_words_are_not() {
        for (text, shown) in [
            ("deploy check", "deploy check"),
            (
                "the first alert came at 14:02 from eu-west-1",
                "the first alert came at 14:02 from eu-west-1",
            ),
            ("key sk-proj-abcdefghijkl used", "key sk-p… used"),
            ("ghp_0123456789abcdef", "ghp_…"),
            ("on channel wait-8f3c0123456789abcdef now", "on channel wait… now"),
            ("Zx81kQp0aaBB34vvQWer", "Zx81…"),
            (
                "approve(password: hunter2, env: prod)",
                "approve(password: …, env: prod)",
            ),
            ("{\"api_key\":\"short\",\"n\":1}", "{\"api_key\":\"…\",\"n\":1}"),
            ("TOKEN=abc go", "TOKEN=… go"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
            ("the token count is 42", "the token count is 42"),
            ("1,204 tokens, 38/s", "1,204 tokens, 38/s"),
            ("release-notes-for-version-1-8-2", "release-notes-for-version-1-8-2"),
            (
                "/usr/share/doc/postgresql-15/README.md",
                "/usr/share/doc/postgresql-15/README.md",
            ),
            (
                "postgresql-cluster-15 approveDeployRequestNow",
                "postgresql-cluster-15 approveDeployRequestNow",
            ),
            ("run 550e8400-e29b-41d4-a716-446655440000", "run 550e…"),
            ("aB3-x_9Kq-7Zd-e5F_g1", "aB3-…"),
            ("e3b0c44298fc1c149afbf4c8996fb924", "e3b0…"),
            ("Donaudampfschifffahrtsgesellschaft", "Dona…"),
            ("日本語 text ünïcode", "日本語 text ünïcode"),
            ("", ""),
        ] {
            assert_eq!(mask(text), shown, "{text:?}");
        }
    }
}
