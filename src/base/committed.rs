//! Holds a committed page to what it is made from. For tests.

use std::path::Path;

/// Compares the file at `path`, from the top of the tree, with `expected`; or writes it if the environment's `KLAMM_REGENERATE` asks for that.
///
/// # Panics
/// If they differ; says from which line on, and that `test` writes it anew.
pub fn up_to_date(path: &str, expected: &str, test: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("KLAMM_REGENERATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    let line = differing.unwrap_or(found.lines().count().min(expected.lines().count())) + 1;
    assert!(found == expected, "{}:{line} is out of date: KLAMM_REGENERATE=1 cargo test {test}", path.display());
}
