//! What is declared of a configuration key.

use std::fmt;

/// Type of a value, in Kafka's words; the number is the one DescribeConfigs sends (`DescribeConfigsResponse.ConfigType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Type {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
}

impl Type {
    /// Name as Kafka spells it in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Boolean => "BOOLEAN",
            Type::String => "STRING",
            Type::Int => "INT",
            Type::Short => "SHORT",
            Type::Long => "LONG",
            Type::Double => "DOUBLE",
            Type::List => "LIST",
        }
    }
}

/// What a number counts. Only the file, the environment and the command line may write units; the wire never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Plain,
    Bytes,
    Millis,
    Minutes,
    Hours,
}

/// Who may change a key while the broker runs (KIP-226). Topic and group keys may always be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    ReadOnly,
    /// For one broker or as the default of all.
    ClusterWide,
}

/// The values a key takes beyond its type.
#[derive(Clone, Copy)]
pub enum Allowed {
    Any,
    /// Whole numbers, both ends included; the second end is `i64::MAX` where Kafka names none.
    Between(i64, i64),
    /// As `Between`, and one number more.
    BetweenOr(i64, i64, i64),
    /// Real numbers from 0 to 1.
    Ratio,
    /// Real numbers above 0.
    Positive,
    OneOf(&'static [&'static str]),
    /// Every element of a list.
    EachOf(&'static [&'static str]),
    /// Known to Kafka, but klamm lacks what it controls: the value that says so, and the reason why there is no other.
    Only(&'static str, &'static str),
    /// A form of its own: what it looks like, and a check that tells what is wrong.
    Form(&'static str, fn(&str) -> Result<(), String>),
}

/// A broker key that gives a topic or group key its default.
#[derive(Clone, Copy, Debug)]
pub struct Synonym {
    pub name: &'static str,
    /// How many of the topic's units one unit of this key is: 3,600,000 for hours behind milliseconds.
    pub factor: i64,
}

/// One declared key.
#[derive(Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub value_type: Type,
    pub unit: Unit,
    /// Plain text of the default; `None` is Kafka's null.
    pub default: Option<&'static str>,
    pub allowed: Allowed,
    pub update: Update,
    /// Broker keys behind a topic or group key, most important first.
    pub synonyms: &'static [Synonym],
    doc: &'static str,
    /// Shown uncommented in `config/klamm.toml`.
    pub shown: bool,
    /// A value in plain form for keys whose default is null.
    pub example: &'static str,
}

impl Key {
    pub(super) const fn new(name: &'static str, value_type: Type, default: Option<&'static str>, doc: &'static str) -> Self {
        Key {
            name,
            value_type,
            unit: Unit::Plain,
            default,
            allowed: Allowed::Any,
            update: Update::ReadOnly,
            synonyms: &[],
            doc,
            shown: false,
            example: "",
        }
    }

    pub(super) const fn bytes(mut self) -> Self {
        self.unit = Unit::Bytes;
        self
    }

    pub(super) const fn millis(mut self) -> Self {
        self.unit = Unit::Millis;
        self
    }

    pub(super) const fn minutes(mut self) -> Self {
        self.unit = Unit::Minutes;
        self
    }

    pub(super) const fn hours(mut self) -> Self {
        self.unit = Unit::Hours;
        self
    }

    pub(super) const fn allowed(mut self, allowed: Allowed) -> Self {
        self.allowed = allowed;
        self
    }

    pub(super) const fn at_least(self, min: i64) -> Self {
        self.allowed(Allowed::Between(min, i64::MAX))
    }

    pub(super) const fn between(self, min: i64, max: i64) -> Self {
        self.allowed(Allowed::Between(min, max))
    }

    pub(super) const fn one_of(self, names: &'static [&'static str]) -> Self {
        self.allowed(Allowed::OneOf(names))
    }

    pub(super) const fn each_of(self, names: &'static [&'static str]) -> Self {
        self.allowed(Allowed::EachOf(names))
    }

    pub(super) const fn only(self, value: &'static str, why: &'static str) -> Self {
        self.allowed(Allowed::Only(value, why))
    }

    pub(super) const fn form(self, looks: &'static str, check: fn(&str) -> Result<(), String>) -> Self {
        self.allowed(Allowed::Form(looks, check))
    }

    pub(super) const fn cluster_wide(mut self) -> Self {
        self.update = Update::ClusterWide;
        self
    }

    pub(super) const fn synonyms(mut self, synonyms: &'static [Synonym]) -> Self {
        self.synonyms = synonyms;
        self
    }

    pub(super) const fn shown(mut self) -> Self {
        self.shown = true;
        self
    }

    pub(super) const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    /// What the key does, in a sentence or two.
    pub fn doc(&self) -> &'static str {
        self.doc.trim_start()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

/// What may be written, for people; empty where the type says it all.
impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Allowed::Any => Ok(()),
            Allowed::Between(min, i64::MAX) => write!(f, "at least {min}"),
            Allowed::Between(min, max) => write!(f, "{min} to {max}"),
            Allowed::BetweenOr(min, i64::MAX, or) => write!(f, "at least {min}, or {or}"),
            Allowed::BetweenOr(min, max, or) => write!(f, "{min} to {max}, or {or}"),
            Allowed::Ratio => f.write_str("0 to 1"),
            Allowed::Positive => f.write_str("above 0"),
            Allowed::OneOf(names) => f.write_str(&names.join(", ")),
            Allowed::EachOf(names) => write!(f, "any of {}", names.join(", ")),
            Allowed::Only("", _) => f.write_str("only the empty list"),
            Allowed::Only(value, _) => write!(f, "only {value}"),
            Allowed::Form(looks, _) => f.write_str(looks),
        }
    }
}
