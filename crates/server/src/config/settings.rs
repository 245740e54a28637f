//! Where settings come from, and the errors found in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Everything wrong with the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<String>);

impl Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not valid:")?;
        for error in &self.0 {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Settings by name, with the errors found while reading them.
#[derive(Debug, Default)]
pub struct Settings {
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    known: BTreeSet<String>,
    errors: Vec<String>,
}

impl Settings {
    /// The process's environment and the file that `SYNCWATCH_CONFIG` names.
    pub fn from_process() -> Result<Self, ConfigErrors> {
        let mut settings = Self::default();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("SYNCWATCH_") || *name == "DATABASE_URL")
            else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(settings.environment.insert(name.to_owned(), value)),
                Err(_) => settings.error(name, "is not UTF-8"),
            }
        }
        let Some(path) = settings.text("SYNCWATCH_CONFIG") else { return Ok(settings) };
        match std::fs::read_to_string(&path) {
            Ok(text) => settings.with_file(&text),
            Err(error) => Err(ConfigErrors(vec![format!("SYNCWATCH_CONFIG: {path} cannot be read: {error}")])),
        }
    }

    /// Settings by environment names, for tests.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { environment, ..Self::default() }
    }

    /// Adds the TOML file's settings, which the environment overrides.
    pub fn with_file(mut self, text: &str) -> Result<Self, ConfigErrors> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| ConfigErrors(vec![format!("the configuration file: {error}")]))?;
        for (name, value) in table {
            match plain_text(&value) {
                Some(text) => drop(self.file.insert(name, text)),
                None => self.errors.push(format!("{name}: is a text, a number, true, false, or a list of texts")),
            }
        }
        Ok(self)
    }

    /// A setting's text; empty counts as not set.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let in_file = file_name(name);
        self.known.insert(in_file.clone());
        self.environment.get(name).or_else(|| self.file.get(&in_file)).filter(|text| !text.is_empty()).cloned()
    }

    /// A parsed setting, or its default.
    pub fn parse<T: FromStr>(&mut self, name: &str, what: &str, default: impl FnOnce() -> T) -> T {
        match self.text(name).map(|text| text.parse()) {
            None => default(),
            Some(Ok(value)) => value,
            Some(Err(_)) => {
                self.error(name, &format!("is {what}"));
                default()
            }
        }
    }

    /// A number within a range, or its default.
    pub fn parse_within<T>(&mut self, name: &str, range: RangeInclusive<T>, default: T) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let what = format!("a number from {} to {}", range.start(), range.end());
        let value = self.parse(name, &what, || default);
        if !range.contains(&value) {
            self.error(name, &format!("is {what}"));
        }
        value
    }

    /// A list, separated by commas.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// Remembers that something is wrong with a setting.
    pub fn error(&mut self, name: &str, what: &str) {
        self.errors.push(format!("{name} {what}"));
    }

    /// Every error at once; names in the file that nobody asked for are errors too.
    pub fn finish(mut self) -> Result<(), ConfigErrors> {
        for name in self.file.keys().filter(|name| !self.known.contains(*name)) {
            self.errors.push(format!("{name} in the configuration file is not known"));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(self.errors)) }
    }
}

/// `SYNCWATCH_LISTEN` is `listen` in the file.
fn file_name(name: &str) -> String {
    name.strip_prefix("SYNCWATCH_").unwrap_or(name).to_ascii_lowercase()
}

fn plain_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let words: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            words.map(|words| words.join(","))
        }
        _ => None,
    }
}
