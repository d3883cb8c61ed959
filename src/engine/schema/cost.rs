//! What checking a value against a schema costs, before it is done.
//!
//! A schema is a graph: subschemas that apply to the same value, and subschemas that apply to what a value holds. The
//! graph is gone through with the value as a check would go through the schema, but nothing is compared and no way is
//! left out; it ends where the work is more than what is allowed. It evaluates nothing itself.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Size;
use super::pattern::Pattern;

/// Subschemas that hold each other, in schema and references.
const DEEPEST: usize = 192;
/// Subschemas that are evaluated within each other, at most, on the way down a value.
const DEEPEST_CHECK: u32 = 2_048;
/// How deep what stands beside `unevaluatedProperties` may be: it is compiled and evaluated once more on each level.
const DEEPEST_UNEVALUATED: usize = 16;

/// Why a schema is refused that holds another one.
const ANOTHER: &str =
    "`$id` and `$schema` are taken at its beginning alone, because references would mean something else";

/// The graph of a schema.
#[derive(Debug)]
pub(super) struct Cost {
    nodes: Vec<Node>,
    root: usize,
}

/// The values of `pattern` in a schema, compiled.
pub(super) type Patterns = HashMap<String, Arc<Pattern>>;

/// One subschema.
#[derive(Debug, Default)]
struct Node {
    /// Its own keywords.
    weight: u64,
    /// Subschemas that apply to the same value.
    same: Vec<usize>,
    /// Subschemas of the values under these names.
    fields: HashMap<String, usize>,
    /// Subschemas of the values at the first places of a list.
    places: Vec<usize>,
    /// Subschemas that may apply to every value under a name.
    any_field: Vec<usize>,
    /// Subschemas that may apply to the values under all other names.
    other_fields: Vec<usize>,
    /// Subschemas that may apply to every value of a list.
    any_item: Vec<usize>,
    /// Subschemas that may apply to the values of a list at all other places.
    other_items: Vec<usize>,
    /// Subschemas of the names themselves.
    names: Vec<usize>,
    /// Expressions that names are matched with.
    name_patterns: Vec<Arc<Pattern>>,
    /// The expression that a text is matched with.
    pattern: Option<Arc<Pattern>>,
    /// Whether the values of a list are compared with each other.
    compares: bool,
    /// How often it is evaluated again, to find out what is left over.
    again: usize,
}

/// What a subschema applies to.
#[derive(Clone, Copy)]
enum Thing<'a> {
    Value(&'a Value),
    Name(&'a str),
}

/// The work that is left of what is allowed, and the keywords that were evaluated so far.
struct Left {
    work: u64,
    keywords: u64,
}

impl Left {
    /// `None`: there is not so much left.
    fn spend(&mut self, work: u64) -> Option<()> {
        self.work = self.work.checked_sub(work)?;
        Some(())
    }
}

impl Cost {
    /// Follows a schema, each part of whose expressions may take so many bytes; gives the compiled expressions too.
    ///
    /// # Errors
    /// When it refers to something outside itself, or to itself without end, is nested too deeply, or has an
    /// expression that cannot be used.
    pub(super) fn new(schema: &Value, pattern_bytes: usize) -> Result<(Self, Patterns), String> {
        let mut graph = Graph {
            document: schema,
            anchors: HashMap::new(),
            nodes: Vec::new(),
            places: HashMap::new(),
            patterns: Patterns::new(),
            pattern_bytes,
            has_old_ids: schema["$schema"]
                .as_str()
                .is_some_and(|draft| draft.contains("draft-0")),
        };
        graph.find_anchors(schema, true)?;
        let root = graph.node(schema, 0)?;
        let (nodes, patterns) = (graph.nodes, graph.patterns);
        check_ends(&nodes)?;
        Ok((Self { nodes, root }, patterns))
    }

    /// How many keywords a check of a value evaluates, at most; `None` when its work, in keywords too, would be more
    /// than is `left`, or it goes too deep. The work of a check that can be made is taken off.
    pub(super) fn of(&self, value: &Value, left: &mut u64) -> Option<u64> {
        let mut after = Left {
            work: *left,
            keywords: 0,
        };
        self.visit(self.root, Thing::Value(value), 0, &mut after)?;
        *left = after.work;
        Some(after.keywords)
    }

    fn visit(&self, at: usize, thing: Thing, level: u32, left: &mut Left) -> Option<()> {
        if level > DEEPEST_CHECK {
            return None;
        }
        let level = level + 1;
        let node = self.nodes.get(at)?;
        let text = match thing {
            Thing::Name(text) => Some(text),
            Thing::Value(value) => value.as_str(),
        };
        left.keywords += node.weight;
        // Comparisons look at every byte.
        let bytes = text.map_or(0, str::len);
        left.spend(node.weight.saturating_mul(1 + bytes as u64 / 256))?;
        if let (Some(_), Some(pattern)) = (text, &node.pattern) {
            left.spend(pattern.work(bytes))?;
        }
        for _ in 0..=node.again {
            for &inner in &node.same {
                self.visit(inner, thing, level, left)?;
            }
        }
        match thing {
            Thing::Value(Value::Object(fields)) => self.visit_fields(node, fields, level, left),
            Thing::Value(Value::Array(items)) => self.visit_items(node, items, level, left),
            _ => Some(()),
        }
    }

    fn visit_fields(&self, node: &Node, fields: &Map<String, Value>, level: u32, left: &mut Left) -> Option<()> {
        for (name, value) in fields {
            let (value, text) = (Thing::Value(value), Thing::Name(name));
            left.spend(1)?;
            for pattern in &node.name_patterns {
                left.spend(pattern.work(name.len()).saturating_mul(1 + node.again as u64))?;
            }
            let own = node.fields.get(name);
            if let Some(&inner) = own {
                self.visit(inner, value, level, left)?;
            }
            for &inner in &node.names {
                self.visit(inner, text, level, left)?;
            }
            for _ in 0..=node.again {
                let others = node.other_fields.iter().filter(|_| own.is_none());
                for &inner in node.any_field.iter().chain(others) {
                    self.visit(inner, value, level, left)?;
                }
            }
        }
        Some(())
    }

    fn visit_items(&self, node: &Node, items: &[Value], level: u32, left: &mut Left) -> Option<()> {
        for (place, value) in items.iter().enumerate() {
            left.spend(1)?;
            if node.compares {
                let size = Size::of(value);
                left.spend((size.values + size.bytes / 64) as u64)?;
            }
            let own = node.places.get(place);
            for _ in 0..=node.again {
                let others = node.other_items.iter().filter(|_| own.is_none());
                for &inner in node.any_item.iter().chain(own).chain(others) {
                    self.visit(inner, Thing::Value(value), level, left)?;
                }
            }
        }
        Some(())
    }
}

/// Makes sure that no subschema applies to a value again before anything of the value was consumed.
fn check_ends(nodes: &[Node]) -> Result<(), String> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        Open,
        Done,
    }
    let mut seen = vec![Seen::Not; nodes.len()];
    for start in 0..nodes.len() {
        if seen[start] != Seen::Not {
            continue;
        }
        seen[start] = Seen::Open;
        let mut way = vec![(start, 0)];
        while let Some((at, next)) = way.last_mut() {
            let Some(&inner) = nodes[*at].same.get(*next) else {
                seen[*at] = Seen::Done;
                way.pop();
                continue;
            };
            *next += 1;
            match seen[inner] {
                Seen::Open => return Err("it refers to itself without end".to_owned()),
                Seen::Done => {}
                Seen::Not => {
                    seen[inner] = Seen::Open;
                    way.push((inner, 0));
                }
            }
        }
    }
    Ok(())
}

/// A schema while it is followed.
struct Graph<'a> {
    document: &'a Value,
    anchors: HashMap<&'a str, &'a Value>,
    nodes: Vec<Node>,
    /// Subschemas by where they are in memory, which does not change meanwhile.
    places: HashMap<*const Value, usize>,
    patterns: Patterns,
    /// What each part of an expression may take, in bytes.
    pattern_bytes: usize,
    /// Whether `id` says what `$id` does, as in the first drafts.
    has_old_ids: bool,
}

impl<'a> Graph<'a> {
    /// Finds the names that references may use.
    fn find_anchors(&mut self, value: &'a Value, is_root: bool) -> Result<(), String> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.find_anchors(item, false)),
            Value::Object(fields) => {
                if !is_root && self.is_another(value) {
                    // References into it, and its own, mean something else; none of its names is known here.
                    return Ok(());
                }
                if let Some(Value::String(anchor)) = fields.get("$anchor")
                    && self.anchors.insert(anchor, value).is_some()
                {
                    return Err(format!("the `$anchor` {anchor:?} is there twice"));
                }
                fields.values().try_for_each(|value| self.find_anchors(value, false))
            }
            _ => Ok(()),
        }
    }

    fn node(&mut self, schema: &'a Value, level: usize) -> Result<usize, String> {
        if let Some(&at) = self.places.get(&std::ptr::from_ref(schema)) {
            return Ok(at);
        }
        if level > DEEPEST {
            return Err(format!("its subschemas are nested more than {DEEPEST} deep"));
        }
        let at = self.nodes.len();
        self.nodes.push(Node::default());
        self.places.insert(std::ptr::from_ref(schema), at);
        let mut node = Node {
            weight: 1,
            ..Node::default()
        };
        if let Value::Object(fields) = schema {
            node.again = unevaluated(fields)?;
            for (name, value) in fields {
                self.keyword(&mut node, name, value, level)?;
            }
            if level > 0 && self.is_another(schema) {
                return Err(ANOTHER.to_owned());
            }
        }
        self.nodes[at] = node;
        Ok(at)
    }

    /// Whether a schema within this one is a document of its own, with other references or rules.
    fn is_another(&self, schema: &Value) -> bool {
        let has = |name: &str| schema.get(name).is_some_and(Value::is_string);
        has("$id") || has("$schema") || (self.has_old_ids && has("id"))
    }

    fn keyword(&mut self, node: &mut Node, name: &str, value: &'a Value, level: usize) -> Result<(), String> {
        node.weight += 1;
        let level = level + 1;
        match (name, value) {
            ("$ref", Value::String(reference)) => {
                let target = self.find(reference)?;
                let inner = self.node(target, level)?;
                node.same.push(inner);
            }
            ("$dynamicRef" | "$recursiveRef", _) => return Err(format!("`{name}` is not taken, use `$ref`")),
            ("not" | "if" | "then" | "else", _) => node.same.push(self.node(value, level)?),
            ("allOf" | "anyOf" | "oneOf", Value::Array(items)) => self.all(&mut node.same, items, level)?,
            ("dependentSchemas" | "dependencies", Value::Object(fields)) => {
                node.weight += Size::of(value).values as u64;
                for schema in fields.values().filter(|value| !value.is_array()) {
                    let inner = self.node(schema, level)?;
                    node.same.push(inner);
                }
            }
            ("properties", Value::Object(fields)) => {
                node.weight += fields.len() as u64;
                for (name, schema) in fields {
                    let inner = self.node(schema, level)?;
                    node.fields.insert(name.clone(), inner);
                }
            }
            ("patternProperties", Value::Object(fields)) => {
                for (name, schema) in fields {
                    node.name_patterns
                        .push(Arc::new(Pattern::plain(name, self.pattern_bytes)?));
                    node.any_field.push(self.node(schema, level)?);
                }
            }
            ("pattern", Value::String(text)) => {
                let known = self.patterns.get(text).cloned();
                let pattern = match known {
                    Some(pattern) => pattern,
                    None => Arc::new(Pattern::new(text, self.pattern_bytes)?),
                };
                self.patterns.insert(text.clone(), Arc::clone(&pattern));
                node.pattern = Some(pattern);
            }
            ("prefixItems" | "items", Value::Array(items)) => self.all(&mut node.places, items, level)?,
            ("additionalProperties" | "unevaluatedProperties", _) => node.other_fields.push(self.node(value, level)?),
            ("additionalItems" | "unevaluatedItems" | "items", _) => node.other_items.push(self.node(value, level)?),
            ("contains", _) => node.any_item.push(self.node(value, level)?),
            ("propertyNames", _) => node.names.push(self.node(value, level)?),
            ("uniqueItems", Value::Bool(true)) => node.compares = true,
            ("enum" | "const" | "required" | "dependentRequired", _) => node.weight += Size::of(value).values as u64,
            _ => {}
        }
        Ok(())
    }

    fn all(&mut self, into: &mut Vec<usize>, schemas: &'a [Value], level: usize) -> Result<(), String> {
        for schema in schemas {
            into.push(self.node(schema, level)?);
        }
        Ok(())
    }

    fn find(&self, reference: &str) -> Result<&'a Value, String> {
        let Some(fragment) = reference.strip_prefix('#') else {
            let shown: String = reference.chars().take(100).collect();
            return Err(format!(
                "`$ref` {shown:?}: only references within the schema are followed, such as \"#/$defs/name\""
            ));
        };
        let fragment = percent_decoded(fragment);
        let found = if fragment.is_empty() || fragment.starts_with('/') {
            // The way leads through no other document: what stands there would be understood otherwise.
            for (end, _) in fragment.match_indices('/').skip(1).chain([(fragment.len(), "")]) {
                let passed = self.document.pointer(&fragment[..end]);
                if end > 0 && passed.is_some_and(|passed| self.is_another(passed)) {
                    return Err(ANOTHER.to_owned());
                }
            }
            self.document.pointer(&fragment)
        } else {
            self.anchors.get(fragment.as_str()).copied()
        };
        found.ok_or_else(|| format!("`$ref` {reference:?}: there is nothing of this name in the schema"))
    }
}

/// How often what stands beside `unevaluatedProperties` or `unevaluatedItems` is evaluated again because of them. Each
/// of them has everything beside it compiled once more, and everything that this refers to: within each other, or with
/// references, that would grow without end.
fn unevaluated(fields: &Map<String, Value>) -> Result<usize, String> {
    let is_one = |name: &str| matches!(name, "unevaluatedProperties" | "unevaluatedItems");
    let Some(keyword) = fields.keys().find(|name| is_one(name)) else {
        return Ok(0);
    };
    let beside = fields
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "properties" | "$defs" | "definitions"));
    let mut deepest = 0;
    for (name, value) in beside {
        if name == "$ref" || holds(value, &|name| name == "$ref" || is_one(name)) {
            return Err(format!(
                "`{keyword}` is taken where nothing beside it but `properties` has a `$ref` or another such keyword; \
                 use `additionalProperties`"
            ));
        }
        deepest = deepest.max(Size::of(value).depth);
    }
    if deepest > DEEPEST_UNEVALUATED {
        return Err(format!(
            "what stands beside `{keyword}` is nested more than {DEEPEST_UNEVALUATED} deep"
        ));
    }
    Ok(1 + deepest)
}

/// Whether anything in a value has a name.
fn holds(value: &Value, wanted: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
        Value::Object(fields) => fields.iter().any(|(name, value)| wanted(name) || holds(value, wanted)),
        _ => false,
    }
}

/// A fragment of an address as the text that it stands for.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
