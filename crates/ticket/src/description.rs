//! Descriptions: what a file of ours says about itself, so that nothing is asked twice.
//!
//! JSON under the one safetensors metadata key [`METADATA_KEY`]; docs/formats.md, "Description", goes through it field
//! by field. Strict in reading: an unknown version, an unknown field or a repeated one is refused, since two readers
//! could otherwise understand two things. A description is a statement, not evidence: the verifier never relies on it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use crate::{Architecture, Pattern};

/// The safetensors metadata key that holds the description.
pub const METADATA_KEY: &str = "counterfoil";

/// The version written, and the only one read.
pub const DESCRIPTION_VERSION: u32 = 1;

/// Longest description read, in bytes: a history of some hundred commands fits a hundred times.
pub const MAX_DESCRIPTION: usize = 1 << 20;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A mask and rewound weights, no mark yet.
    Ticket,
    /// A ticket that carries its owner's mark.
    Stamped,
    /// A ticket of which a key mask is held back.
    Locked,
    /// A trained model, or one that says nothing about itself.
    Model,
}

/// How images are normalised before they enter the network: (v / 255 − mean) / std for each channel.
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Means, one for each channel, on the scale of v / 255.
    pub mean: Vec<f32>,
    /// Standard deviations, one for each channel, above 0.
    pub std: Vec<f32>,
}

/// Where the initial weights came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeriveDeserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Drawn at random by the finder.
    Random,
    /// A checkpoint that others can get too, and which one.
    PublicCheckpoint(String),
    /// Nobody said.
    Unknown,
}

/// What a file says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`DESCRIPTION_VERSION`].
    pub version: u32,
    /// What the file holds.
    pub kind: Kind,
    /// The network, if it is one that counterfoil knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// How its inputs are normalised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Normalisation>,
    /// Semi-structured sparsity that its masks have, and stamping keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Where the initial weights came from.
    pub provenance: Provenance,
    /// One object for each command that made the file, in order: what was run with which settings.
    pub history: Vec<serde_json::Value>,
}

/// Why a text is no description that this version understands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// Another version of counterfoil wrote it.
    #[error("the description has version {found}, expected {DESCRIPTION_VERSION}")]
    Version {
        /// The version it states.
        found: u64,
    },
    /// It is no JSON of the documented form: a field is unknown, missing, repeated or of the wrong type.
    #[error("the description is not of the documented form")]
    Form(#[source] serde_json::Error),
    /// Longer than [`MAX_DESCRIPTION`].
    #[error("the description has {found} bytes, expected at most {MAX_DESCRIPTION}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// Its form is right, but a value makes no sense.
    #[error("the description's {field} is out of bounds, expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
}

impl Default for Description {
    /// What is known about a file that says nothing about itself.
    fn default() -> Self {
        Self {
            version: DESCRIPTION_VERSION,
            kind: Kind::Model,
            architecture: None,
            normalisation: None,
            pattern: None,
            provenance: Provenance::Unknown,
            history: Vec::new(),
        }
    }
}

impl Description {
    /// Reads and checks the JSON text.
    pub fn from_json(text: &str) -> Result<Self, DescriptionError> {
        #[derive(DeriveDeserialize)]
        struct Version {
            version: u64,
        }
        if text.len() > MAX_DESCRIPTION {
            return Err(DescriptionError::TooLong { found: text.len() });
        }
        serde_json::from_str::<UniqueKeys>(text).map_err(DescriptionError::Form)?;
        // The version comes first: fields of a later version are no mistake of the file's.
        let Version { version } = serde_json::from_str(text).map_err(DescriptionError::Form)?;
        if version != u64::from(DESCRIPTION_VERSION) {
            return Err(DescriptionError::Version { found: version });
        }
        let description: Self = serde_json::from_str(text).map_err(DescriptionError::Form)?;
        description.check()?;
        Ok(description)
    }

    /// The JSON text: fields in the documented order, no white space.
    pub fn to_json(&self) -> Result<String, DescriptionError> {
        self.check()?;
        let text = serde_json::to_string(self).map_err(DescriptionError::Form)?;
        if text.len() > MAX_DESCRIPTION {
            return Err(DescriptionError::TooLong { found: text.len() });
        }
        Ok(text)
    }

    /// The bounds that the types do not state.
    fn check(&self) -> Result<(), DescriptionError> {
        let field = |field, expected| Err(DescriptionError::Field { field, expected });
        if self.version != DESCRIPTION_VERSION {
            return Err(DescriptionError::Version { found: self.version.into() });
        }
        if self.architecture.as_ref().is_some_and(|a| !a.is_within_bounds()) {
            return field("architecture", "dimensions of a network that fits a computer");
        }
        if let Some(Normalisation { mean, std }) = &self.normalisation {
            let channels = self.architecture.as_ref().map_or(mean.len(), |a| a.input().channels as usize);
            if mean.len() != channels || std.len() != channels || channels == 0 {
                return field("normalisation", "one mean and one deviation for each channel");
            }
            if mean.iter().chain(std).any(|v| !v.is_finite()) || std.iter().any(|&v| v <= 0.0) {
                return field("normalisation", "finite means and deviations above 0");
            }
        }
        if !self.history.iter().all(serde_json::Value::is_object) {
            return field("history", "one object for each command");
        }
        Ok(())
    }
}

/// Any JSON value in which no object repeats a key. `serde_json` alone would keep the last, in free-form values
/// silently.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = UniqueKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON without repeated keys")
            }
            fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys)
            }
            fn visit_bool<E>(self, _: bool) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys)
            }
            fn visit_i64<E>(self, _: i64) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys)
            }
            fn visit_u64<E>(self, _: u64) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys)
            }
            fn visit_f64<E>(self, _: f64) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys)
            }
            fn visit_str<E>(self, _: &str) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UniqueKeys, A::Error> {
                while items.next_element::<UniqueKeys>()?.is_some() {}
                Ok(UniqueKeys)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<UniqueKeys, A::Error> {
                let mut keys = std::collections::BTreeSet::new();
                while let Some((key, UniqueKeys)) = entries.next_entry::<String, UniqueKeys>()? {
                    if keys.contains(&key) {
                        return Err(de::Error::custom(format_args!("the key '{key}' is repeated")));
                    }
                    keys.insert(key);
                }
                Ok(UniqueKeys)
            }
        }
        deserializer.deserialize_any(Walk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageShape;

    fn full() -> Description {
        Description {
            kind: Kind::Stamped,
            architecture: Some(Architecture::Resnet20 {
                input: ImageShape { channels: 1, height: 8, width: 8 },
                width: 4,
                classes: 10,
            }),
            normalisation: Some(Normalisation { mean: vec![0.25], std: vec![0.5] }),
            pattern: Pattern::new(2, 4),
            provenance: Provenance::PublicCheckpoint("akamaster resnet20".to_owned()),
            history: vec![serde_json::json!({"command": "find", "rounds": 5, "decay": 0.0005})],
            ..Description::default()
        }
    }

    const FULL: &str = concat!(
        r#"{"version":1,"kind":"stamped","architecture":{"name":"resnet20","input":[1,8,8],"width":4,"classes":10},"#,
        r#""normalisation":{"mean":[0.25],"std":[0.5]},"pattern":[2,4],"provenance":{"public_checkpoint":"akamaster resnet20"},"#,
        r#""history":[{"command":"find","decay":0.0005,"rounds":5}]}"#
    );

    #[test]
    fn the_text_is_the_documented_one_and_reads_back() {
        assert_eq!(full().to_json().unwrap(), FULL);
        assert_eq!(Description::from_json(FULL).unwrap(), full());
        let least = r#"{"version":1,"kind":"model","provenance":"unknown","history":[]}"#;
        assert_eq!(Description::default().to_json().unwrap(), least);
        assert_eq!(Description::from_json(least).unwrap(), Description::default());
    }

    #[test]
    fn another_version_is_told_apart_from_a_mistake() {
        let later = r#"{"version":2,"kind":"forest","novelty":true}"#;
        assert!(matches!(Description::from_json(later), Err(DescriptionError::Version { found: 2 })));
    }

    #[test]
    fn unknown_repeated_and_missing_fields_are_refused() {
        for (from, to) in [
            (r#""width":4"#, r#""width":4,"depth":20"#),
            (r#""width":4"#, r#""width":4,"width":8"#),
            (r#""name":"resnet20""#, r#""name":"resnet20","name":"mlp""#),
            (r#""kind":"stamped""#, r#""kind":"stamped","kind":"model""#),
            (r#""kind":"stamped""#, r#""kind":"stamped","colour":"blue""#),
            (r#""kind":"stamped","#, ""),
            (r#""rounds":5"#, r#""rounds":5,"rounds":6"#),
            (r#""std":[0.5]"#, r#""std":[0.5],"var":[0.25]"#),
            (r#""pattern":[2,4]"#, r#""pattern":[4,4]"#),
        ] {
            let text = FULL.replacen(from, to, 1);
            assert_ne!(text, FULL);
            assert!(matches!(Description::from_json(&text), Err(DescriptionError::Form(_))), "{text}");
        }
    }

    #[test]
    fn values_out_of_bounds_name_their_field() {
        for (from, to, expected) in [
            ("\"width\":4", "\"width\":4294967295", "architecture"),
            ("[1,8,8]", "[1,4294967295,4294967295]", "architecture"),
            ("\"std\":[0.5]", "\"std\":[0]", "normalisation"),
            ("\"std\":[0.5]", "\"std\":[0.5,0.5]", "normalisation"),
            ("\"std\":[0.5]", "\"std\":[-0.5]", "normalisation"),
            ("[{\"command\"", "[7,{\"command\"", "history"),
        ] {
            match Description::from_json(&FULL.replacen(from, to, 1)) {
                Err(DescriptionError::Field { field, .. }) => assert_eq!(field, expected),
                other => panic!("{to}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_text_beyond_the_limit_is_not_parsed() {
        let text = " ".repeat(MAX_DESCRIPTION + 1);
        assert!(
            matches!(Description::from_json(&text), Err(DescriptionError::TooLong { found }) if found == text.len())
        );
    }
}
