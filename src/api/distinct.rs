//! What a request names more than once is answered once: else a few bytes, said again and again, would make an answer of gigabytes.

use std::collections::HashSet;
use std::hash::Hash;

/// `named` without what repeats an earlier element, by `key`. No client relies on being told the same twice.
pub fn distinct<T, K: Eq + Hash>(mut named: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    if named.len() > 1 {
        let mut seen = HashSet::with_capacity(named.len());
        named.retain(|element| seen.insert(key(element)));
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_stays_in_its_place() {
        assert_eq!(distinct(vec![3, 1, 3, 2, 1, 13], |n| n % 10), [3, 1, 2]);
    }
}
