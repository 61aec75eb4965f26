//! What somebody who mistyped a name probably meant.

/// The candidate most like `name`, if one is like it enough to be worth saying.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR_ENOUGH: f64 = 0.7;
    candidates
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_another_word_does_not() {
        let names = ["orders", "payments", "orders-dlq"];
        for (typed, meant) in [("ordres", Some("orders")), ("order-dlq", Some("orders-dlq")), ("users", None), ("", None)] {
            assert_eq!(nearest(typed, names.into_iter()), meant, "{typed}");
        }
    }
}
