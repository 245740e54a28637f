//! The languages that mails are written in.

use std::fmt;
use std::str::FromStr;

use domain::violation::UnknownWord;
use serde::{Deserialize, Serialize};

/// The language of a mail's recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Norwegian bokmål.
    Nb,
}

impl Language {
    /// The word in JSON and SQL, which is also the BCP 47 tag.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Nb => "nb",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Language {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "en" => Ok(Self::En),
            "nb" => Ok(Self::Nb),
            _ => Err(UnknownWord { expected: "Language", found: word.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for language in [Language::En, Language::Nb] {
            assert_eq!(language.as_str().parse(), Ok(language));
        }
        assert!("no".parse::<Language>().is_err());
    }
}
