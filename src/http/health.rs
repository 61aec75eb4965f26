//! Whether the broker can serve: every check passed, or which did not and why.

use std::fmt::Write;

use serde::Serialize;

/// One thing that must be so before clients should come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: String,
    pub ok: bool,
    /// What is the matter, or where things stand.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The checks of a broker, in the order in which they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

impl Check {
    pub fn new(name: impl Into<String>, ok: bool, detail: impl Into<String>) -> Self {
        Check { name: name.into(), ok, detail: detail.into() }
    }
}

impl Readiness {
    /// Ready if every check passed.
    pub fn of(checks: Vec<Check>) -> Self {
        Readiness { ready: checks.iter().all(|check| check.ok), checks }
    }

    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// For people: one line in all, and one a check.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(if self.ready { "ready\n" } else { "not ready\n" });
        for Check { name, ok, detail } in &self.checks {
            let mark = if *ok { "ok" } else { "failed" };
            let colon = if detail.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "{name} {mark}{colon}{detail}");
        }
        text
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("strings and booleans can be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_is_enough() {
        let ready = Readiness::of(vec![Check::new("registered", true, "epoch 7")]);
        assert!(ready.is_ready());
        assert_eq!(ready.text(), "ready\nregistered ok: epoch 7\n");
        let failed = Readiness::of(vec![Check::new("registered", true, ""), Check::new("/data/2", false, "offline: I/O error")]);
        assert!(!failed.is_ready());
        assert_eq!(failed.text(), "not ready\nregistered ok\n/data/2 failed: offline: I/O error\n");
        assert_eq!(
            failed.json(),
            r#"{"ready":false,"checks":[{"name":"registered","ok":true},{"name":"/data/2","ok":false,"detail":"offline: I/O error"}]}"#
        );
    }
}
