//! Files that a prompt names with `@path`: which words do, what is said of them before the prompt is sent, and how
//! their text is put into it. Reading them is `tui`'s matter.

use crate::text::sanitise_line;

/// The longest file that is attached, in bytes.
pub const LONGEST_FILE: u64 = 256 * 1024;
/// What all files of a prompt may take, in bytes.
pub const LONGEST_IN_ALL: u64 = 1024 * 1024;
/// The most files of a prompt.
pub const MOST_FILES: usize = 32;

/// A file that a prompt names, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The word behind the `@`, as it was typed.
    pub word: String,
    /// What was found.
    pub found: Found,
}

/// What was found where a prompt names a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A text.
    Text {
        /// The path under which it was found: the word, perhaps without a full stop at its end.
        path: String,
        /// Its length in bytes.
        bytes: u64,
        /// The text itself, if it was asked for.
        text: Option<String>,
    },
    /// Nothing.
    Missing,
    /// Something that cannot be attached, and why.
    Refused(String),
}

/// The paths that a text names: words that begin with `@`, or `@"…"` where a path has blanks.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let begins = c == '@' && (before.is_whitespace() || matches!(before, '(' | '['));
        before = c;
        if !begins {
            continue;
        }
        let word = match rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
            Some((quoted, behind)) if !quoted.contains('\n') => {
                rest = behind;
                before = '"';
                quoted
            }
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                rest = behind;
                word
            }
        };
        // A lone `@` names nothing.
        if word.chars().any(char::is_alphanumeric) && !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    words.truncate(MOST_FILES + 1);
    words
}

/// The paths that a word may mean, the likeliest first: a full stop behind it may end the sentence.
#[must_use]
pub fn candidates(word: &str) -> Vec<&str> {
    let mut candidates = vec![word];
    let mut short = word;
    while let Some(cut) = short.strip_suffix(['.', ',', ';', ':', '!', '?', ')', ']', '"', '\'']) {
        short = cut;
        if !short.is_empty() {
            candidates.push(short);
        }
    }
    candidates
}

/// A prompt with the texts of its files behind it.
#[must_use]
pub fn attach(prompt: &str, files: &[File]) -> String {
    let mut whole = prompt.to_owned();
    for file in files {
        let Found::Text {
            path, text: Some(text), ..
        } = &file.found
        else {
            continue;
        };
        // The fence is longer than any in the text.
        let mut longest = 0;
        let mut run = 0;
        for c in text.chars() {
            run = if c == '`' { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let fence = "`".repeat((longest + 1).max(3));
        let language = path
            .rsplit('/')
            .next()
            .and_then(|name| name.rsplit_once('.'))
            .map_or("", |(_, extension)| extension)
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect::<String>();
        let path = sanitise_line(path);
        let end = if text.ends_with('\n') { "" } else { "\n" };
        whole.truncate(whole.trim_end().len());
        whole.push_str(&format!("\n\n{path}:\n{fence}{language}\n{text}{end}{fence}"));
    }
    whole
}

/// What is attached, and what is not, in a line.
#[must_use]
pub fn summary(files: &[File]) -> String {
    let mut count = 0_usize;
    let mut total = 0;
    let mut others = Vec::new();
    for file in files {
        let word = sanitise_line(&file.word);
        match &file.found {
            Found::Text { bytes, .. } => {
                count += 1;
                total += bytes;
            }
            Found::Missing => others.push(format!("@{word} is no file here")),
            Found::Refused(reason) => others.push(format!("@{word} {reason}")),
        }
    }
    let mut parts = Vec::new();
    if count > 0 {
        let noun = if count == 1 { "file" } else { "files" };
        parts.push(format!("{count} {noun}, {} attached", size(total)));
    }
    parts.extend(others);
    parts.join("   ")
}

/// A size as people say it.
#[must_use]
pub fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let tenths = bytes * 10 / 1024;
    if tenths < 10_240 {
        return format!("{}.{} KB", tenths / 10, tenths % 10);
    }
    let tenths = tenths / 1024;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_begin_with_an_at_sign_name_files() {
        for (text, expected) in [
            ("", vec![]),
            ("mail a@b.example", vec![]),
            ("@ alone @. here", vec![]),
            ("see @src/main.rs, and @~/notes.md", vec!["src/main.rs,", "~/notes.md"]),
            ("@a @a (@b)", vec!["a", "b)"]),
            ("@\"my notes.txt\" too", vec!["my notes.txt"]),
            ("@\"open end", vec!["\"open"]),
            ("one\n@two\n", vec!["two"]),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
        assert_eq!(candidates("src/main.rs,"), ["src/main.rs,", "src/main.rs"]);
        assert_eq!(candidates("b)."), ["b).", "b)", "b"]);
    }

    #[test]
    fn a_text_is_fenced_under_its_path_whatever_it_holds() {
        let file = |path: &str, text: &str| File {
            word: path.into(),
            found: Found::Text {
                path: path.into(),
                bytes: text.len() as u64,
                text: Some(text.into()),
            },
        };
        let missing = File {
            word: "gone".into(),
            found: Found::Missing,
        };
        let files = [file("src/a.rs", "fn a() {}\n"), missing, file("b", "```\nx\n```")];
        assert_eq!(
            attach("look\n", &files),
            "look\n\nsrc/a.rs:\n```rs\nfn a() {}\n```\n\nb:\n````\n```\nx\n```\n````"
        );
        assert_eq!(summary(&files), "2 files, 19 B attached   @gone is no file here");
    }

    #[test]
    fn sizes_are_said_as_people_do() {
        let sizes: Vec<String> = [0, 1023, 1024, 3174, 262_144, 1_048_576].map(size).to_vec();
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KB", "3.0 KB", "256.0 KB", "1.0 MB"]);
    }
}
