//! What checking a value against a schema can cost, before it is done.
//!
//! A schema is a graph: subschemas that apply to the same value, and subschemas that apply to what a value holds.
//! Along any way from a value down to one inside it, the subschemas that are evaluated can be counted from how deep
//! the way is; no value is evaluated more often than that. It evaluates nothing itself.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Size;

/// Subschemas that hold each other, in schema and references.
const DEEPEST: usize = 192;
/// Subschemas that are evaluated within each other, at most, on the way down a value.
const DEEPEST_CHECK: u32 = 2_048;

/// The graph of a schema.
#[derive(Debug)]
pub(super) struct Cost {
    nodes: Vec<Node>,
    root: usize,
}

/// What a node costs on a way of a depth: evaluated keywords, and how deep the check goes. `None`: beyond counting.
type Known = HashMap<(usize, usize), Option<(u64, u32)>>;

/// One subschema.
#[derive(Debug, Default)]
struct Node {
    /// Its own keywords.
    weight: u64,
    /// Subschemas that apply to the same value.
    same: Vec<usize>,
    /// Subschemas of which at most one applies to what the value holds under a name or at a place.
    one: Vec<usize>,
    /// Subschemas that may apply to anything that it holds.
    any: Vec<usize>,
    /// Whether its own subschemas are evaluated once more, to find out what they left over.
    twice: bool,
}

impl Cost {
    /// Follows a schema.
    ///
    /// # Errors
    /// When it refers to something outside itself, or to itself without end, or is nested too deeply.
    pub(super) fn new(schema: &Value) -> Result<Self, String> {
        let mut graph = Graph {
            document: schema,
            anchors: HashMap::new(),
            nodes: Vec::new(),
            places: HashMap::new(),
        };
        graph.find_anchors(schema)?;
        let root = graph.node(schema, 0)?;
        let nodes = graph.nodes;
        check_ends(&nodes)?;
        Ok(Self { nodes, root })
    }

    /// The most that a check of a value of this size can cost; `None` when it is beyond counting.
    pub(super) fn of(&self, size: &Size) -> Option<u64> {
        let (path, _) = self.path(&mut Known::new(), self.root, size.depth, 0)?;
        // Expressions and comparisons look at every byte.
        let values = (size.values + size.bytes / 256) as u64;
        values.checked_mul(path)
    }

    fn path(&self, known: &mut Known, node: usize, depth: usize, level: u32) -> Option<(u64, u32)> {
        if level > DEEPEST_CHECK {
            return None;
        }
        if let Some(cost) = known.get(&(node, depth)) {
            return *cost;
        }
        let cost = self.path_anew(known, node, depth, level);
        known.insert((node, depth), cost);
        cost
    }

    fn path_anew(&self, known: &mut Known, at: usize, depth: usize, level: u32) -> Option<(u64, u32)> {
        let node = self.nodes.get(at)?;
        let mut deepest = 0;
        let mut same = 0u64;
        for &inner in &node.same {
            let (cost, deep) = self.path(known, inner, depth, level + 1)?;
            same = same.checked_add(cost)?;
            deepest = deepest.max(deep);
        }
        if node.twice {
            same = same.checked_mul(2)?;
        }
        let mut cost = node.weight.checked_add(same)?;
        if depth > 0 {
            let mut most = 0;
            for &inner in &node.one {
                let (cost, deep) = self.path(known, inner, depth - 1, level + 1)?;
                most = most.max(cost);
                deepest = deepest.max(deep);
            }
            cost = cost.checked_add(most)?;
            for &inner in &node.any {
                let (inner, deep) = self.path(known, inner, depth - 1, level + 1)?;
                cost = cost.checked_add(inner)?;
                deepest = deepest.max(deep);
            }
        }
        (deepest < DEEPEST_CHECK).then_some((cost, deepest + 1))
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
}

impl<'a> Graph<'a> {
    /// Finds the names that references may use.
    fn find_anchors(&mut self, value: &'a Value) -> Result<(), String> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.find_anchors(item)),
            Value::Object(fields) => {
                if let Some(Value::String(anchor)) = fields.get("$anchor")
                    && self.anchors.insert(anchor, value).is_some()
                {
                    return Err(format!("the `$anchor` {anchor:?} is there twice"));
                }
                fields.values().try_for_each(|value| self.find_anchors(value))
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
            for (name, value) in fields {
                self.keyword(&mut node, name, value, level)?;
            }
            if level > 0 && fields.get("$id").is_some_and(Value::is_string) {
                return Err(
                    "`$id` is taken at its beginning alone, because references would mean something else".into(),
                );
            }
        }
        self.nodes[at] = node;
        Ok(at)
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
                self.each(&mut node.one, fields, level)?;
            }
            ("patternProperties", Value::Object(fields)) => self.each(&mut node.any, fields, level)?,
            ("prefixItems" | "items", Value::Array(items)) => self.all(&mut node.one, items, level)?,
            ("unevaluatedProperties" | "unevaluatedItems", _) => {
                node.twice = true;
                node.any.push(self.node(value, level)?);
            }
            ("additionalProperties" | "additionalItems" | "items" | "contains" | "propertyNames", _) => {
                node.any.push(self.node(value, level)?);
            }
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

    fn each(&mut self, into: &mut Vec<usize>, schemas: &'a Map<String, Value>, level: usize) -> Result<(), String> {
        for schema in schemas.values() {
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
            self.document.pointer(&fragment)
        } else {
            self.anchors.get(fragment.as_str()).copied()
        };
        found.ok_or_else(|| format!("`$ref` {reference:?}: there is nothing of this name in the schema"))
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
