//! Datasets: records that a run knows, given whole when they are few, else searched by words (BM25).
//!
//! Which of the two it is, is decided in `prepare` for all datasets of a run together.

use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;

use bm25::{Embedder, EmbedderBuilder, Scorer};
use serde_json::{Value, json};

use super::chunks;
use super::words::Words;
use crate::wire::Object;
use crate::wire::request::{DatasetRecord, InlineDataset};

/// The most pieces that a search gives.
const MOST_RESULTS: usize = 5;
/// The most that is read of a query, in bytes, and the most words of it.
const LONGEST_QUERY: usize = 1_000;
const MOST_WORDS: usize = 32;
/// The longest `meta` of a record that the model is shown, in bytes of its JSON.
const LONGEST_META: usize = 500;
/// What is worse than this share of the best result is left out.
const WORST: f32 = 0.2;

/// One record of a dataset.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The record itself.
    pub text: String,
    /// What else is known about it.
    pub meta: Option<Object>,
}

impl Record {
    /// A record of which nothing else is known.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            meta: None,
        }
    }
}

impl From<&DatasetRecord> for Record {
    fn from(record: &DatasetRecord) -> Self {
        Self {
            text: record.text.clone(),
            meta: record.meta.clone(),
        }
    }
}

/// Records that a run knows.
pub struct Dataset {
    name: Option<String>,
    description: Option<String>,
    records: Vec<Record>,
    size: usize,
    /// Made when it is first searched, which takes a while for many records.
    index: OnceLock<Index>,
}

/// The words of a dataset.
struct Index {
    embedder: Embedder<u32, Words>,
    scorer: Scorer<u32, u32>,
    /// For each piece its record and where it stands there, in bytes.
    pieces: Vec<(usize, std::ops::Range<usize>)>,
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its texts are not for logs.
        f.debug_struct("Dataset")
            .field("records", &self.records.len())
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Dataset {
    /// A dataset; its name and description are for the model. Records without text are left out.
    #[must_use]
    pub fn new(name: impl Into<Option<String>>, description: Option<String>, mut records: Vec<Record>) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        records.retain(|record| !record.text.trim().is_empty());
        Self {
            name: filled(name.into()),
            description: filled(description),
            size: records.iter().map(|record| record.text.len()).sum(),
            records,
            index: OnceLock::new(),
        }
    }

    /// Its name, for the model.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How long all its texts are together, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Everything in it, for the model.
    #[must_use]
    pub fn whole(&self) -> String {
        let mut text = String::with_capacity(self.size + 64 * (self.records.len() + 1));
        text.push_str("What the dataset ");
        if let Some(name) = &self.name {
            text.push_str(&format!("{name:?} "));
        }
        if let Some(description) = &self.description {
            text.push_str(&format!("({}) ", description.trim()));
        }
        text.push_str("holds, one record after the other:");
        for record in &self.records {
            text.push_str("\n---\n");
            text.push_str(record.text.trim());
            if let Some(meta) = shown(record) {
                text.push_str(&format!("\n(meta: {})", json!(meta)));
            }
        }
        text
    }

    /// What a function that searches it does, for the model.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = "Searches the dataset".to_owned();
        if let Some(name) = &self.name {
            text.push_str(&format!(" {name:?}"));
        }
        if let Some(description) = &self.description {
            text.push_str(&format!(", {}", description.trim()));
        }
        let count = self.records.len();
        text.push_str(&format!(
            " ({count} records), and gives what fits best. Search before you say that you do not know."
        ));
        text
    }

    /// Makes the index, so that no search has to wait for it.
    pub fn warm(&self) {
        self.index();
    }

    /// What fits a query best: `{"results": [{"text", "meta"?}, …]}`, the best first. It takes a while for a large
    /// dataset: not for a task that others wait for.
    #[must_use]
    pub fn search(&self, query: &str) -> Value {
        let index = self.index();
        let query = &query[..chunks::border(query, LONGEST_QUERY)];
        let mut words = index.embedder.embed(query);
        let mut seen = HashSet::new();
        words.0.retain(|word| seen.insert(word.index));
        words.0.truncate(MOST_WORDS);
        let mut found = index.scorer.matches(&words);
        // The library leaves equal ones in any order; the same search gives the same.
        found.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.id.cmp(&other.id)));
        let least = found.first().map_or(0.0, |best| best.score * WORST);
        let results: Vec<Value> = found
            .iter()
            .take_while(|found| found.score >= least)
            .take(MOST_RESULTS)
            .filter_map(|found| {
                let (record, range) = index.pieces.get(found.id as usize)?;
                let record = self.records.get(*record)?;
                let mut result = json!({"text": record.text.get(range.clone())?});
                if let Some(meta) = shown(record) {
                    result["meta"] = Value::Object(meta.clone());
                }
                Some(result)
            })
            .collect();
        if results.is_empty() {
            return json!({"results": [], "note": "nothing has any of these words; try others"});
        }
        json!({"results": results})
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut pieces = Vec::new();
            for (number, record) in self.records.iter().enumerate() {
                let begin = record.text.as_ptr() as usize;
                for piece in chunks::pieces(&record.text, false) {
                    let at = piece.as_ptr() as usize - begin;
                    pieces.push((number, at..at + piece.len()));
                }
            }
            let texts: Vec<&str> = pieces
                .iter()
                .map(|(record, range)| &self.records[*record].text[range.clone()])
                .collect();
            let embedder = EmbedderBuilder::with_tokenizer_and_fit_to_corpus(Words, &texts).build();
            let mut scorer = Scorer::new();
            for (number, text) in (0..).zip(&texts) {
                scorer.upsert(&number, embedder.embed(text));
            }
            Index {
                embedder,
                scorer,
                pieces,
            }
        })
    }
}

/// What is known of a record besides its text, unless it is long.
fn shown(record: &Record) -> Option<&Object> {
    let meta = record.meta.as_ref().filter(|meta| !meta.is_empty())?;
    let length = serde_json::to_string(meta).map_or(usize::MAX, |text| text.len());
    (length <= LONGEST_META).then_some(meta)
}

impl From<&InlineDataset> for Dataset {
    fn from(inline: &InlineDataset) -> Self {
        let records = inline.records.iter().map(Record::from).collect();
        Self::new(inline.name.clone(), inline.description.clone(), records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: &Value) -> Vec<&str> {
        let results = found["results"].as_array().expect("results");
        results.iter().filter_map(|result| result["text"].as_str()).collect()
    }

    fn dataset() -> Dataset {
        let records = [
            "Refunds are paid within 14 days, to the card that was charged.",
            "The office opens at nine.",
            "Deployments wait for an approval on weekdays.",
            "Rückgaben sind innerhalb von 30 Tagen möglich.",
            "退款将在十四天内支付。",
            "Возврат денег занимает две недели.",
            "The office closes at five.",
        ];
        Dataset::new("handbook".to_owned(), None, records.map(Record::text).into())
    }

    #[test]
    fn what_fits_best_comes_first_in_every_language() {
        let dataset = dataset();
        for (query, best) in [
            ("How long does a refund take?", "Refunds are paid"),
            ("deployment approvals", "Deployments wait"),
            ("RUCKGABE", "Rückgaben sind"),
            ("多久退款", "退款将在"),
            ("когда возвраты", "Возврат денег"),
            ("when does the office open", "The office opens"),
        ] {
            let found = dataset.search(query);
            assert!(texts(&found)[0].starts_with(best), "{query}: {found}");
        }
        for query in ["", "zebra", "?!"] {
            let found = dataset.search(query);
            assert!(texts(&found).is_empty() && found["note"].is_string(), "{found}");
        }
    }

    #[test]
    fn results_are_few_short_and_always_the_same() {
        let long = "alpha beta gamma. ".repeat(5_000);
        let mut records: Vec<Record> = (0..50).map(|_| Record::text("alpha beta")).collect();
        records.push(Record::text(long));
        let dataset = Dataset::new(None, None, records);
        let query = "alpha beta ".repeat(10_000);
        let found = dataset.search(&query);
        assert_eq!(texts(&found).len(), MOST_RESULTS);
        assert!(texts(&found).iter().all(|text| text.len() <= chunks::LONGEST));
        assert_eq!(found, dataset.search(&query));
    }

    #[test]
    fn meta_is_shown_unless_it_is_long() {
        let record = |text: &str, meta: Value| Record {
            text: text.into(),
            meta: meta.as_object().cloned(),
        };
        let records = vec![
            record("apple", json!({"source": "a.md"})),
            record("pear", json!({"source": "x".repeat(LONGEST_META)})),
            Record::text("  "),
        ];
        let dataset = Dataset::new("fruit".to_owned(), Some("what grows".into()), records);
        assert_eq!(
            dataset.search("apple"),
            json!({"results": [{"text": "apple", "meta": {"source": "a.md"}}]})
        );
        assert_eq!(dataset.search("pear"), json!({"results": [{"text": "pear"}]}));
        assert_eq!(
            dataset.whole(),
            "What the dataset \"fruit\" (what grows) holds, one record after the other:\n---\napple\n(meta: \
             {\"source\":\"a.md\"})\n---\npear"
        );
        assert!(dataset.describe().contains("\"fruit\", what grows (2 records)"));
        assert!(!format!("{dataset:?}").contains("apple"));
    }
}
