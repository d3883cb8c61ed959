//! Texts as words to search by, whatever their language.
//!
//! No language is detected, since a query is too short for it: words are cut at Unicode's borders, folded (case,
//! accents, widths), and long ones also count by their first letters, which finds inflected forms in most languages
//! that inflect at the end. Scripts without blanks between words are searched by pairs of characters.

use std::borrow::Cow;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use unicode_segmentation::UnicodeSegmentation;

/// How many first letters stand for a longer word; of a word that is just so long, one less (McNamee and Mayfield, "Character N-Gram Tokenization for European
/// Language Text Retrieval", 2004).
const STEM: usize = 5;
/// The longest word that is told apart from others, in characters.
const LONGEST: usize = 64;

/// A text without accents and differences of width; in lower case if asked for.
pub(super) fn fold(text: &str, lower: bool) -> Cow<'_, str> {
    if text.is_ascii() {
        return match lower {
            true if text.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Owned(text.to_ascii_lowercase()),
            _ => Cow::Borrowed(text),
        };
    }
    let text = if lower { text.to_lowercase() } else { text.to_owned() };
    let apart = DecomposingNormalizerBorrowed::new_nfkd().normalize(&text).into_owned();
    let mut folded = String::with_capacity(apart.len());
    for character in apart.chars() {
        match character {
            '\u{300}'..='\u{36f}' => {}
            'ß' => folded.push_str("ss"),
            other => folded.push(other),
        }
    }
    // What is left together belongs together: the parts of a Korean syllable.
    Cow::Owned(ComposingNormalizerBorrowed::new_nfc().normalize(&folded).into_owned())
}

/// Cuts texts into words for `bm25`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words;

impl bm25::Tokenizer for Words {
    fn tokenize(&self, text: &str) -> Vec<String> {
        let folded = fold(text, true);
        let mut words = Vec::with_capacity(folded.len() / 4);
        // The character before, and where it ended, in a script without blanks.
        let mut before: Option<(char, usize)> = None;
        for (at, word) in folded.unicode_word_indices() {
            let mut characters = word.chars();
            if let (Some(character), None) = (characters.next(), characters.next())
                && !character.is_ascii()
            {
                words.push(word.to_owned());
                if let Some((other, end)) = before
                    && end == at
                {
                    words.push([other, character].iter().collect());
                }
                before = Some((character, at + word.len()));
                continue;
            }
            before = None;
            take(word, &mut words);
            // `approve_deploy`, `example.com` and `isn't` count as a whole and in parts.
            if word.contains(JOINTS) {
                for part in word.split(JOINTS).filter(|part| part.len() > 1) {
                    take(part, &mut words);
                }
            }
        }
        words
    }
}

const JOINTS: [char; 5] = ['_', '.', ':', '\'', '’'];

fn take(word: &str, words: &mut Vec<String>) {
    let cut = |count: usize| word.char_indices().nth(count).map(|(at, _)| &word[..at]);
    words.push(cut(LONGEST).unwrap_or(word).to_owned());
    // `rooms` is found by `room`, `refunded` by `refunds`.
    let stem = if cut(STEM - 1).is_some() && cut(STEM).is_none() {
        cut(STEM - 1)
    } else {
        cut(STEM)
    };
    if let Some(stem) = stem
        && stem.chars().all(char::is_alphabetic)
    {
        words.push(stem.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bm25::Tokenizer;

    #[test]
    fn words_are_the_same_however_they_are_written() {
        for (text, expected) in [
            ("The Deploy", vec!["the", "deploy", "deplo"]),
            ("Rückgabe", vec!["ruckgabe", "ruckg"]),
            ("R\u{fc}ck R\u{75}\u{308}ck", vec!["ruck", "ruck"]),
            ("STRASSE Straße", vec!["strasse", "stras", "strasse", "stras"]),
            ("ﬁle ＡＢＣ", vec!["file", "abc"]),
            ("возврат", vec!["возврат", "возвр"]),
            ("rooms room", vec!["rooms", "room", "room"]),
            ("退款政策", vec!["退", "款", "退款", "政", "款政", "策", "政策"]),
            ("한국어", vec!["한국어"]),
            (
                "approve_deploy",
                vec!["approve_deploy", "appro", "approve", "appro", "deploy", "deplo"],
            ),
            ("1234567 v1.2", vec!["1234567", "v1.2", "v1"]),
            ("", vec![]),
            (" \u{0} … ", vec![]),
        ] {
            assert_eq!(Words.tokenize(text), expected, "{text}");
        }
    }
}
