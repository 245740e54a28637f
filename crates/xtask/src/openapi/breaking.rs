//! What breaks a client that was written against an older description of the API.
//!
//! A request that was good must stay good, and an answer must go on holding what it held. New operations, optional
//! parameters and members, and new members of answers break nothing. Nor does a new word in an answer's set of words:
//! clients take one that they don't know for "something else" (`openapi/README.md`).

mod schema;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use schema::{Comparison, Direction};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Every breaking change from one description to another, as lines to read.
pub fn changes(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let known = operations(new);
    for (name, before) in operations(old) {
        match known.get(&name) {
            None => found.push(format!("{name}: the operation is gone")),
            Some(after) => Operation { old, new, name: &name, found: &mut found }.compare(before, after),
        }
    }
    found
}

/// Whether a version may break what an older one promised: its leading number that isn't zero has risen.
pub fn may_break(old: &str, new: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> { version.split('.').map_while(|part| part.parse().ok()).collect() };
    let (old, new) = (numbers(old), numbers(new));
    let leading = old.iter().position(|number| *number > 0).unwrap_or(0);
    new.get(..=leading) > old.get(..=leading)
}

/// Every operation by method and path.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                found.insert(format!("{} {path}", method.to_uppercase()), operation);
            }
        }
    }
    found
}

/// One operation in both descriptions.
struct Operation<'a> {
    old: &'a Value,
    new: &'a Value,
    name: &'a str,
    found: &'a mut Vec<String>,
}

impl Operation<'_> {
    fn compare(mut self, before: &Value, after: &Value) {
        if before["operationId"] != after["operationId"] {
            self.tell(&format!("the operation id was {}, and is {}", before["operationId"], after["operationId"]));
        }
        self.compare_security(&before["security"], &after["security"]);
        self.compare_parameters(before, after);
        self.compare_bodies(before, after);
        self.compare_responses(before, after);
    }

    /// Every way to authenticate that sufficed must still suffice.
    fn compare_security(&mut self, before: &Value, after: &Value) {
        let (before, after) = (requirements(before), requirements(after));
        for needed in before {
            let suffices = |now: &BTreeMap<String, BTreeSet<String>>| {
                now.iter().all(|(scheme, scopes)| needed.get(scheme).is_some_and(|known| scopes.is_subset(known)))
            };
            if !after.iter().any(suffices) {
                self.tell(&format!("what sufficed to authenticate no longer does: {needed:?}"));
            }
        }
    }

    fn compare_parameters(&mut self, before: &Value, after: &Value) {
        let (before, after) = (parameters(self.old, before), parameters(self.new, after));
        for (key, parameter) in &before {
            match after.get(key) {
                None => self.tell(&format!("the {key} is gone")),
                Some(now) => {
                    if now["required"] == true && parameter["required"] != true {
                        self.tell(&format!("the {key} has become required"));
                    }
                    self.compare_schemas(&parameter["schema"], &now["schema"], Direction::Request, key);
                }
            }
        }
        for (key, parameter) in after {
            if parameter["required"] == true && !before.contains_key(&key) {
                self.tell(&format!("the {key} is new and required"));
            }
        }
    }

    fn compare_bodies(&mut self, before: &Value, after: &Value) {
        let before = resolve(self.old, &before["requestBody"]);
        let after = resolve(self.new, &after["requestBody"]);
        match (before.is_object(), after.is_object()) {
            (true, false) => self.tell("takes no body any more"),
            (false, true) if after["required"] == true => self.tell("has come to need a body"),
            (true, true) => {
                if after["required"] == true && before["required"] != true {
                    self.tell("the body has become required");
                }
                self.compare_content(&before["content"], &after["content"], Direction::Request, "the body");
            }
            _ => {}
        }
    }

    fn compare_responses(&mut self, before: &Value, after: &Value) {
        for (status, response) in before["responses"].as_object().into_iter().flatten() {
            let Some(now) = after["responses"].get(status) else {
                // An error that no longer comes is no loss.
                if status.starts_with('2') {
                    self.tell(&format!("the answer {status} is gone"));
                }
                continue;
            };
            let (response, now) = (resolve(self.old, response), resolve(self.new, now));
            let place = format!("the answer {status}");
            self.compare_content(&response["content"], &now["content"], Direction::Response, &place);
            for (name, header) in response["headers"].as_object().into_iter().flatten() {
                let promised = resolve(self.old, header)["required"] == true;
                let kept = now["headers"].get(name).is_some_and(|now| resolve(self.new, now)["required"] == true);
                if promised && !kept {
                    self.tell(&format!("{place} no longer promises the header {name}"));
                }
            }
        }
    }

    fn compare_content(&mut self, before: &Value, after: &Value, direction: Direction, place: &str) {
        for (media_type, content) in before.as_object().into_iter().flatten() {
            match after.get(media_type) {
                None => self.tell(&format!("{place} is no longer {media_type}")),
                Some(now) => self.compare_schemas(&content["schema"], &now["schema"], direction, place),
            }
        }
    }

    fn compare_schemas(&mut self, before: &Value, after: &Value, direction: Direction, place: &str) {
        for change in Comparison::new(self.old, self.new, direction).run(before, after) {
            self.tell(&format!("{place}{change}"));
        }
    }

    fn tell(&mut self, change: &str) {
        self.found.push(format!("{}: {change}", self.name));
    }
}

/// The alternatives of a security requirement, each with its schemes and their scopes.
fn requirements(security: &Value) -> Vec<BTreeMap<String, BTreeSet<String>>> {
    let words = |scopes: &Value| {
        scopes.as_array().into_iter().flatten().filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
    };
    let alternatives = security.as_array().into_iter().flatten();
    alternatives
        .map(|schemes| {
            schemes.as_object().into_iter().flatten().map(|(scheme, scopes)| (scheme.clone(), words(scopes))).collect()
        })
        .collect()
}

/// Parameters by place and name.
fn parameters<'a>(document: &'a Value, operation: &'a Value) -> BTreeMap<String, &'a Value> {
    let all = operation["parameters"].as_array().into_iter().flatten().map(|parameter| resolve(document, parameter));
    all.map(|parameter| {
        let word = |member: &str| parameter[member].as_str().unwrap_or_default();
        (format!("{} parameter {}", word("in"), word("name")), parameter)
    })
    .collect()
}

/// What a reference leads to; anything else is itself.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    match target.and_then(|pointer| document.pointer(pointer)) {
        Some(found) => resolve(document, found),
        None => value,
    }
}

#[cfg(test)]
mod tests;
