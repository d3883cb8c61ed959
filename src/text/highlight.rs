//! Which parts of code are words of the language, texts, comments, numbers, names.
//!
//! It goes line by line from a state that is kept, so that a finished line is never read again. It runs beside the
//! program's loop: loading the languages takes long, and so may a line. What a role looks like is the theme's matter.

use std::fmt;
use std::sync::Arc;

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use super::Role;

/// A line that is longer is shown plain, in bytes.
const LONGEST_LINE: usize = 2_000;

/// The languages, and what their scopes mean.
pub struct Languages {
    set: SyntaxSet,
    roles: Vec<(Scope, Role)>,
}

impl fmt::Debug for Languages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Languages({})", self.set.syntaxes().len())
    }
}

/// Where each part of a line begins, in bytes, and what it is. A line without parts is plain.
pub type LineRoles = Vec<(usize, Role)>;

/// Where reading stands after a finished line.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    state: ParseState,
    scopes: ScopeStack,
}

/// Scopes and their roles; of those that fit, the innermost and then the longest decides.
const ROLES: &[(&str, Role)] = &[
    ("comment", Role::Comment),
    ("string", Role::Str),
    ("constant.character", Role::Str),
    ("constant", Role::Number),
    ("keyword.operator", Role::CodeText),
    ("keyword", Role::Keyword),
    ("storage", Role::Keyword),
    ("variable.language", Role::Keyword),
    ("entity.name.function", Role::Function),
    ("support.function", Role::Function),
    ("variable.function", Role::Function),
    ("entity.name.tag", Role::Keyword),
    ("entity.name", Role::Type),
    ("entity.other", Role::Type),
    ("support", Role::Type),
    ("markup.inserted", Role::Inserted),
    ("markup.deleted", Role::Deleted),
    ("markup.heading", Role::Keyword),
    ("meta.diff", Role::Comment),
];

/// Names that people write behind a fence and the languages do not know.
const NAMES: &[(&str, &str)] = &[
    ("shell", "bash"),
    ("console", "bash"),
    ("zsh", "bash"),
    ("typescript", "js"),
    ("ts", "js"),
    ("tsx", "js"),
    ("jsx", "js"),
    ("javascript", "js"),
    ("python3", "python"),
    ("golang", "go"),
    ("c++", "cpp"),
    ("jsonl", "json"),
    ("json5", "json"),
    ("patch", "diff"),
];

impl Languages {
    /// Loads them: tens of milliseconds of work.
    #[must_use]
    pub fn load() -> Self {
        let roles = ROLES
            .iter()
            .filter_map(|(scope, role)| Some((Scope::new(scope).ok()?, *role)))
            .collect();
        Self {
            set: SyntaxSet::load_defaults_newlines(),
            roles,
        }
    }

    fn find(&self, language: &str) -> Option<&SyntaxReference> {
        let name = language.to_ascii_lowercase();
        let name = NAMES
            .iter()
            .find(|(other, _)| *other == name)
            .map_or(name.as_str(), |(_, name)| *name);
        self.set.find_syntax_by_token(name)
    }

    fn role(&self, scopes: &ScopeStack) -> Role {
        for scope in scopes.as_slice().iter().rev() {
            let fits = self.roles.iter().filter(|(prefix, _)| prefix.is_prefix_of(*scope));
            if let Some((_, role)) = fits.max_by_key(|(prefix, _)| prefix.len()) {
                return *role;
            }
        }
        Role::CodeText
    }

    fn line(&self, line: &str, progress: &mut Progress) -> LineRoles {
        let mut parts: LineRoles = Vec::new();
        if line.len() > LONGEST_LINE {
            return parts;
        }
        let text = format!("{line}\n");
        let Ok(operations) = progress.state.parse_line(&text, &self.set) else {
            return parts;
        };
        let mut at = 0;
        let mut push = |at: usize, end: usize, role: Role| {
            let same = parts.last().is_some_and(|(_, last)| *last == role);
            if end > at && at < line.len() && !same {
                parts.push((at, role));
            }
        };
        for (place, operation) in operations.iter() {
            let role = self.role(&progress.scopes);
            push(at, *place, role);
            at = (*place).max(at);
            if progress.scopes.apply(operation).is_err() {
                break;
            }
        }
        push(at, line.len(), self.role(&progress.scopes));
        parts
    }
}

/// Lines of a code block that are to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What stands behind the fence.
    pub language: Arc<str>,
    /// Where reading stands; `None`: at the beginning.
    pub progress: Option<Progress>,
    /// The next finished lines, made safe for a terminal.
    pub lines: Vec<String>,
    /// The line after them, as far as it has come.
    pub tail: String,
}

/// What they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Of each finished line.
    pub lines: Vec<LineRoles>,
    /// Of the line after them.
    pub tail: LineRoles,
    /// Where reading stands after the finished lines; `None`: the language is not known.
    pub progress: Option<Progress>,
}

/// Reads lines.
#[must_use]
pub fn read(languages: &Languages, task: &Task) -> Done {
    let progress = task.progress.clone().or_else(|| {
        let syntax = languages.find(&task.language)?;
        Some(Progress {
            state: ParseState::new(syntax),
            scopes: ScopeStack::new(),
        })
    });
    let Some(mut progress) = progress else {
        return Done {
            lines: vec![LineRoles::new(); task.lines.len()],
            tail: LineRoles::new(),
            progress: None,
        };
    };
    let lines = task
        .lines
        .iter()
        .map(|line| languages.line(line, &mut progress))
        .collect();
    let tail = if task.tail.is_empty() {
        LineRoles::new()
    } else {
        languages.line(&task.tail, &mut progress.clone())
    };
    Done {
        lines,
        tail,
        progress: Some(progress),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(language: &str, lines: &[&str], tail: &str) -> Task {
        Task {
            language: language.into(),
            progress: None,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            tail: tail.to_owned(),
        }
    }

    fn parts<'a>(line: &'a str, roles: &LineRoles) -> Vec<(&'a str, Role)> {
        let ends = roles.iter().skip(1).map(|(at, _)| *at).chain([line.len()]);
        roles
            .iter()
            .zip(ends)
            .map(|((at, role), end)| (line[*at..end].trim(), *role))
            .filter(|(text, role)| !text.is_empty() && *role != Role::CodeText)
            .collect()
    }

    #[test]
    fn code_has_roles_line_by_line_from_any_line_on() {
        let languages = Languages::load();
        let lines = [
            "fn main() {",
            "    /* a note",
            "    goes on */ let x = \"é\"; // 1",
            "    f(42)",
        ];
        let whole = read(&languages, &task("Rust", &lines, "}"));
        assert_eq!(
            parts(lines[0], &whole.lines[0]),
            [("fn", Role::Keyword), ("main", Role::Function)]
        );
        assert_eq!(parts(lines[1], &whole.lines[1]), [("/* a note", Role::Comment)]);
        assert_eq!(
            parts(lines[2], &whole.lines[2]),
            [
                ("goes on */", Role::Comment),
                ("let", Role::Keyword),
                ("\"é\"", Role::Str),
                ("// 1", Role::Comment)
            ]
        );
        assert!(parts(lines[3], &whole.lines[3]).contains(&("42", Role::Number)));
        let first = read(&languages, &task("Rust", &lines[..2], ""));
        let mut rest = task("Rust", &lines[2..], "}");
        rest.progress = first.progress;
        let rest = read(&languages, &rest);
        assert_eq!(rest.lines, whole.lines[2..]);
        assert_eq!(rest.progress, whole.progress);
    }

    #[test]
    fn what_is_not_known_or_too_long_is_plain() {
        let languages = Languages::load();
        let unknown = read(&languages, &task("no such language", &["let x = 1;"], "y"));
        assert_eq!((unknown.lines, unknown.progress), (vec![LineRoles::new()], None));
        let long = "x".repeat(LONGEST_LINE + 1);
        let done = read(&languages, &task("python", &[&long, "def f(): pass"], ""));
        assert!(done.lines[0].is_empty() && !done.lines[1].is_empty());
        for name in ["rs", "py", "ts", "shell", "json", "yaml", "go", "diff", "sql", "html"] {
            assert!(languages.find(name).is_some(), "{name}");
        }
    }
}
