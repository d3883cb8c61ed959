//! The structure of the crate, held to the table in `ARCHITECTURE.md`: modules have ranks, a file uses
//! its own rank and lower ones, and nothing that its module never knows.
//!
//! Paths are read from the parsed source, macro arguments included, not from `use` lines alone. Test
//! modules inside the sources are left out: they may reach anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// Module, rank, and what it never knows: modules of this crate and names of other crates.
const MODULES: &[(&str, u8, &[&str])] = &[
    ("wire", 0, &["tokio", "ratatui", "reqwest", "axum"]),
    ("config", 1, &["app", "ui", "client", "tokio", "reqwest", "ratatui"]),
    (
        "measure",
        1,
        &["app", "client", "config", "hub", "server", "tokio", "ratatui"],
    ),
    ("record", 1, &["app", "client", "tokio", "ratatui"]),
    ("transcript", 1, &["ratatui", "tokio", "crossterm"]),
    ("text", 1, &["app", "client", "server", "tokio"]),
    ("client", 2, &["app", "ui", "server", "ratatui", "crossterm"]),
    (
        "app",
        2,
        &[
            "client",
            "hub",
            "store",
            "llm",
            "tokio",
            "ratatui",
            "crossterm",
            "reqwest",
        ],
    ),
    (
        "functions",
        2,
        &["app", "ui", "client", "server", "ratatui", "crossterm"],
    ),
    ("hub", 2, &["axum", "hyper", "http", "engine", "server"]),
    ("store", 2, &["axum", "hyper", "http", "engine", "server"]),
    ("llm", 2, &["hub", "store", "server"]),
    ("fetch", 2, &["hub", "store", "llm", "server", "config"]),
    ("engine", 3, &["axum", "hyper", "http", "server"]),
    ("ui", 3, &["tokio", "client", "reqwest"]),
    ("term", 3, &["app", "client"]),
    ("server", 4, &["ui", "app", "ratatui", "crossterm"]),
    ("local", 4, &["ui", "app", "ratatui", "crossterm"]),
    ("tui", 5, &["tui_textarea"]),
    ("cli", 5, &["ui", "ratatui"]),
    ("main", 6, &[]),
    ("lib", 6, &[]),
];

const LONGEST_FILE: usize = 800;

struct Source {
    path: PathBuf,
    text: String,
    /// Its place in the module tree: `["client", "feed"]`.
    module: Vec<String>,
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("src can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file can be read");
            let mut module: Vec<String> = path
                .strip_prefix(&root)
                .expect("below src")
                .with_extension("")
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            if module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            Source { path, text, module }
        })
        .collect()
}

fn row(module: &str) -> Option<&'static (&'static str, u8, &'static [&'static str])> {
    MODULES.iter().find(|(name, _, _)| *name == module)
}

/// Collects the absolute paths (`["client", "feed", …]` inside the crate, or `["tokio", …]`) of a file.
struct Paths<'a> {
    module: Vec<String>,
    source: &'a Source,
    inside: Vec<Vec<String>>,
    outside: Vec<String>,
}

impl Paths<'_> {
    fn add(&mut self, segments: &[String]) {
        let Some(first) = segments.first() else { return };
        match first.as_str() {
            "crate" | "switchboard" => self.inside.push(segments[1..].to_vec()),
            "self" => self.inside.push([&self.module[..], &segments[1..]].concat()),
            "super" => {
                let ups = segments.iter().take_while(|segment| *segment == "super").count();
                let keep = self.module.len().saturating_sub(ups);
                self.inside.push([&self.module[..keep], &segments[ups..]].concat());
            }
            other => self.outside.push(other.to_owned()),
        }
    }

    fn add_use(&mut self, prefix: &[String], tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => self.add_use(&[prefix, &[path.ident.to_string()]].concat(), &path.tree),
            syn::UseTree::Name(name) => self.add(&[prefix, &[name.ident.to_string()]].concat()),
            syn::UseTree::Rename(name) => self.add(&[prefix, &[name.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.add(prefix),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_use(prefix, item)),
        }
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => {
                    self.add_tokens(group.stream());
                    at += 1;
                }
                TokenTree::Ident(first) => {
                    let mut segments = vec![first.to_string()];
                    let mut next = at + 1;
                    while let (Some(TokenTree::Punct(a)), Some(TokenTree::Punct(b)), Some(TokenTree::Ident(name))) =
                        (tokens.get(next), tokens.get(next + 1), tokens.get(next + 2))
                    {
                        if a.as_char() != ':' || b.as_char() != ':' {
                            break;
                        }
                        segments.push(name.to_string());
                        next += 3;
                    }
                    if segments.len() > 1 {
                        self.add(&segments);
                    }
                    at = next;
                }
                _ => at += 1,
            }
        }
    }
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .meta
                .require_list()
                .is_ok_and(|list| list.tokens.to_string().trim() == "test")
    })
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test_only(&item.attrs) {
            return;
        }
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            syn::visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test_only(&item.attrs) {
            self.add_use(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.add(&segments);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.add_tokens(invocation.tokens.clone());
        syn::visit::visit_macro(self, invocation);
    }
}

fn paths(source: &Source) -> Paths<'_> {
    let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path.display()));
    let mut paths = Paths {
        module: source.module.clone(),
        source,
        inside: Vec::new(),
        outside: Vec::new(),
    };
    paths.visit_file(&file);
    paths
}

#[test]
fn no_arrow_runs_back_up_and_nobody_knows_what_it_should_not() {
    let mut faults = Vec::new();
    let mut arrows = 0;
    for source in &sources() {
        let own = source.module.first().map_or("lib", String::as_str);
        let Some((_, rank, never)) = row(own) else {
            faults.push(format!(
                "{}: module `{own}` has no rank in tests/layering.rs",
                source.path.display()
            ));
            continue;
        };
        let paths = paths(source);
        for path in &paths.inside {
            let Some(target) = path.first().filter(|target| *target != own) else {
                continue;
            };
            let Some((_, target_rank, _)) = row(target) else {
                continue;
            };
            arrows += 1;
            if target_rank > rank {
                faults.push(format!(
                    "{}: `{own}` (rank {rank}) uses `{target}` (rank {target_rank})",
                    paths.source.path.display()
                ));
            }
            if never.contains(&target.as_str()) {
                faults.push(format!(
                    "{}: `{own}` never knows `{target}`",
                    paths.source.path.display()
                ));
            }
        }
        for name in &paths.outside {
            if never.contains(&name.as_str()) && row(name).is_none() {
                faults.push(format!(
                    "{}: `{own}` never knows the crate `{name}`",
                    paths.source.path.display()
                ));
            }
        }
    }
    faults.sort();
    faults.dedup();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(
        arrows > 20,
        "the reader of paths found only {arrows} arrows: it is broken"
    );
}

#[test]
fn every_file_says_what_it_does_and_none_is_too_long() {
    let mut faults = Vec::new();
    for source in &sources() {
        let lines = source.text.lines().count();
        if !source.text.starts_with("//! ") {
            faults.push(format!("{}: no `//!` header", source.path.display()));
        }
        if lines > LONGEST_FILE {
            faults.push(format!(
                "{}: {lines} lines, at most {LONGEST_FILE}",
                source.path.display()
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_reader_of_paths_sees_all_forms() {
    let source = Source {
        path: "made-up.rs".into(),
        text: "use crate::ui::{self, draw}; use super::super::server::Route;\n\
               fn f() { crate::hub::x(); println!(\"{}\", crate::llm::NAME); let _: tokio::Runtime; }\n\
               #[cfg(test)] mod tests { use crate::cli::x; }"
            .into(),
        module: vec!["client".into(), "feed".into()],
    };
    let paths = paths(&source);
    let targets: Vec<&str> = paths
        .inside
        .iter()
        .filter_map(|path| path.first())
        .map(String::as_str)
        .collect();
    assert_eq!(targets, ["ui", "ui", "server", "hub", "llm"]);
    assert!(paths.outside.contains(&"tokio".to_owned()));
}
