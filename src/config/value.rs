//! From plain text to the types that the code reads.

use super::check::elements_of;
use super::key::Type;

/// A type that a key's field can have.
pub(super) trait Value: Sized {
    const TYPE: Type;

    /// `None` for a text that is not of this type; a null (`None`) is one only of `Option`.
    fn read(text: Option<&str>) -> Option<Self>;
}

macro_rules! parsed {
    ($($rust:ty = $kafka:ident),*) => {$(
        impl Value for $rust {
            const TYPE: Type = Type::$kafka;

            fn read(text: Option<&str>) -> Option<Self> {
                text?.parse().ok()
            }
        }
    )*};
}

parsed!(bool = Boolean, i16 = Short, i32 = Int, i64 = Long, f64 = Double, String = String);

impl Value for Vec<String> {
    const TYPE: Type = Type::List;

    fn read(text: Option<&str>) -> Option<Self> {
        Some(elements_of(text?).map(str::to_owned).collect())
    }
}

impl<T: Value> Value for Option<T> {
    const TYPE: Type = T::TYPE;

    fn read(text: Option<&str>) -> Option<Self> {
        match text {
            None => Some(None),
            some => T::read(some).map(Some),
        }
    }
}

/// Declares an enum whose variants are the values of a string key.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant),*
        }

        impl $name {
            /// Every value as it is written.
            pub const WORDS: &'static [&'static str] = &[$($word),*];
        }

        impl $crate::config::value::Value for $name {
            const TYPE: $crate::config::key::Type = $crate::config::key::Type::String;

            fn read(text: Option<&str>) -> Option<Self> {
                match text? {
                    $($word => Some($name::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
pub(super) use words;
