//! The rules that a value obeys.
//!
//! Every value is kept as Kafka's plain text: numbers without units, booleans as `true` or `false`, lists joined by commas. That is
//! the form of DescribeConfigs, of AlterConfigs and of the metadata log. [`Key::check`] is the only gate into that form, so a text
//! that passed it can always be read as the key's type.

use super::key::{Allowed, Key, Type};

/// A value that a key does not take, in the words Kafka uses (`ConfigException`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {key}: {why}")]
pub struct InvalidValue {
    pub key: &'static str,
    pub value: String,
    pub why: String,
}

impl Key {
    /// Turns a text into the plain form of this key, as Kafka's `ConfigDef` parses and validates it: blanks around it and around
    /// list elements do not count, repeated list elements count once.
    pub fn check(&self, text: &str) -> Result<String, InvalidValue> {
        let invalid = |value: &str, why: String| InvalidValue { key: self.name, value: value.to_owned(), why };
        let text = text.trim_matches(|c| c <= ' ');
        let not_a_number = || invalid(text, format!("Not a number of type {}", self.value_type.name()));
        match self.value_type {
            Type::Boolean => {
                let plain = text.to_ascii_lowercase();
                if plain != "true" && plain != "false" {
                    return Err(invalid(text, "Expected value to be either true or false".into()));
                }
                self.check_text(&plain).map_err(|why| invalid(text, why))?;
                Ok(plain)
            }
            Type::Int | Type::Short | Type::Long => {
                let number: i64 = text.parse().map_err(|_| not_a_number())?;
                let fits = match self.value_type {
                    Type::Int => i32::try_from(number).is_ok(),
                    Type::Short => i16::try_from(number).is_ok(),
                    _ => true,
                };
                if !fits {
                    return Err(not_a_number());
                }
                self.check_whole(number).map_err(|why| invalid(text, why))?;
                Ok(number.to_string())
            }
            Type::Double => {
                let number: f64 = text.parse().ok().filter(|n: &f64| n.is_finite()).ok_or_else(not_a_number)?;
                self.check_real(number).map_err(|why| invalid(text, why))?;
                Ok(double_text(number))
            }
            Type::String => {
                self.check_text(text).map_err(|why| invalid(text, why))?;
                Ok(text.to_owned())
            }
            Type::List => {
                let mut elements: Vec<&str> = Vec::new();
                for element in elements_of(text) {
                    if let Allowed::EachOf(names) = self.allowed
                        && !names.contains(&element)
                    {
                        return Err(invalid(element, format!("String must be one of: {}", names.join(", "))));
                    }
                    if !elements.contains(&element) {
                        elements.push(element);
                    }
                }
                let plain = elements.join(",");
                self.check_text(&plain).map_err(|why| invalid(text, why))?;
                Ok(plain)
            }
        }
    }

    fn check_whole(&self, number: i64) -> Result<(), String> {
        match self.allowed {
            Allowed::Between(min, _) if number < min => Err(format!("Value must be at least {min}")),
            Allowed::Between(_, max) if number > max => Err(format!("Value must be no more than {max}")),
            Allowed::BetweenOr(min, i64::MAX, or) if number != or && number < min => {
                Err(format!("Value must be at least {min} or equal to {or}"))
            }
            Allowed::BetweenOr(min, max, or) if number != or && !(min..=max).contains(&number) => {
                Err(format!("Value must be between {min} and {max} or equal to {or}"))
            }
            Allowed::Only(value, why) if number.to_string() != value => Err(why.to_owned()),
            _ => Ok(()),
        }
    }

    fn check_real(&self, number: f64) -> Result<(), String> {
        match self.allowed {
            Allowed::Ratio if number < 0.0 => Err("Value must be at least 0".into()),
            Allowed::Ratio if number > 1.0 => Err("Value must be no more than 1".into()),
            Allowed::Positive if number <= 0.0 => Err("Value must be more than 0".into()),
            _ => Ok(()),
        }
    }

    fn check_text(&self, plain: &str) -> Result<(), String> {
        match self.allowed {
            Allowed::OneOf(names) if !names.contains(&plain) => Err(format!("String must be one of: {}", names.join(", "))),
            Allowed::Only(value, why) if plain != value => Err(why.to_owned()),
            Allowed::Form(_, check) => check(plain),
            _ => Ok(()),
        }
    }
}

/// Elements of a list in plain text or as somebody typed it; an empty text is the empty list.
pub(super) fn elements_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|element| element.trim_matches(|c| c <= ' ')).filter(|element| !element.is_empty())
}

/// A real number as Java writes it (`Double.toString`), because that is what DescribeConfigs sends.
fn double_text(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{number:?}");
    }
    let text = format!("{number:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value_type: Type) -> Key {
        Key::new("k", value_type, None, " A key.")
    }

    #[test]
    fn plain_form_is_the_one_kafka_describes() {
        for (key, text, plain) in [
            (key(Type::Boolean), " TRUE ", "true"),
            (key(Type::Int), " 5 ", "5"),
            (key(Type::Int), "+5", "5"),
            (key(Type::Long), "-9223372036854775808", "-9223372036854775808"),
            (key(Type::Short), "007", "7"),
            (key(Type::Double), "1e-1", "0.1"),
            (key(Type::Double), "5", "5.0"),
            (key(Type::Double), "1e7", "1.0E7"),
            (key(Type::Double), "0.00025", "2.5E-4"),
            (key(Type::Double), "1.7976931348623157e308", "1.7976931348623157E308"),
            (key(Type::String), "  a b ", "a b"),
            (key(Type::List), " compact , delete ,", "compact,delete"),
            (key(Type::List), "delete,delete", "delete"),
            (key(Type::List), "", ""),
        ] {
            assert_eq!(key.check(text).as_deref(), Ok(plain), "{text:?} as {:?}", key.value_type);
        }
    }

    #[test]
    fn refusals_are_worded_as_kafka_words_them() {
        let names = key(Type::List).each_of(&["compact", "delete"]);
        for (key, text, message) in [
            (key(Type::Long), "7d", "Invalid value 7d for configuration k: Not a number of type LONG"),
            (key(Type::Int), "99999999999", "Invalid value 99999999999 for configuration k: Not a number of type INT"),
            (key(Type::Short), "40000", "Invalid value 40000 for configuration k: Not a number of type SHORT"),
            (key(Type::Double), "NaN", "Invalid value NaN for configuration k: Not a number of type DOUBLE"),
            (key(Type::Long).at_least(-1), "-2", "Invalid value -2 for configuration k: Value must be at least -1"),
            (key(Type::Int).between(1, 17), "18", "Invalid value 18 for configuration k: Value must be no more than 17"),
            (
                key(Type::Int).allowed(Allowed::BetweenOr(1, 9, -1)),
                "0",
                "Invalid value 0 for configuration k: Value must be between 1 and 9 or equal to -1",
            ),
            (
                key(Type::Double).allowed(Allowed::Ratio),
                "1.5",
                "Invalid value 1.5 for configuration k: Value must be no more than 1",
            ),
            (key(Type::Boolean), "yes", "Invalid value yes for configuration k: Expected value to be either true or false"),
            (
                key(Type::String).one_of(&["gzip", "producer"]),
                "GZIP",
                "Invalid value GZIP for configuration k: String must be one of: gzip, producer",
            ),
            (names, "compact,foo", "Invalid value foo for configuration k: String must be one of: compact, delete"),
            (key(Type::Boolean).only("false", "no tiers"), "true", "Invalid value true for configuration k: no tiers"),
            (key(Type::Long).only("-2", "no tiers"), "5", "Invalid value 5 for configuration k: no tiers"),
        ] {
            assert_eq!(key.check(text).unwrap_err().to_string(), message);
        }
    }
}
