//! What a scrub finds, told so that somebody can act on it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::ids::Offset;

/// More of one file than this are counted, not told: what is damaged all over need not be read all over.
const TOLD: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What a broker mends by itself when it starts, or what loses nothing.
    Warning,
    /// Records that cannot be read, or that an index does not lead to.
    Damage,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub file: PathBuf,
    /// Bytes from the start of the file.
    pub position: Option<u64>,
    pub offset: Option<Offset>,
    pub problem: String,
}

/// The findings of one file, kept to a readable number.
#[derive(Debug)]
pub struct Findings {
    file: PathBuf,
    told: Vec<Finding>,
    untold: usize,
}

impl Findings {
    pub fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), told: Vec::new(), untold: 0 }
    }

    pub fn damage(&mut self, position: Option<u64>, offset: Option<Offset>, problem: impl Into<String>) {
        self.add(Severity::Damage, position, offset, problem.into());
    }

    pub fn warning(&mut self, position: Option<u64>, offset: Option<Offset>, problem: impl Into<String>) {
        self.add(Severity::Warning, position, offset, problem.into());
    }

    fn add(&mut self, severity: Severity, position: Option<u64>, offset: Option<Offset>, problem: String) {
        if self.told.len() == TOLD {
            self.untold += 1;
            return;
        }
        self.told.push(Finding { severity, file: self.file.clone(), position, offset, problem });
    }

    pub fn into_vec(mut self) -> Vec<Finding> {
        if self.untold > 0 {
            let problem = format!("{} more findings of this file are not shown", self.untold);
            let severity = self.told.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Warning);
            self.told.push(Finding { severity, file: self.file, position: None, offset: None, problem });
        }
        self.told
    }
}

impl Finding {
    pub fn text(&self) -> String {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Damage => "DAMAGE ",
        };
        let position = self.position.map(|position| format!(" at position {position}")).unwrap_or_default();
        let offset = self.offset.map(|offset| format!(" (offset {offset})")).unwrap_or_default();
        format!("{severity}  {}{position}{offset}: {}", self.file.display(), self.problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_full_of_damage_is_told_in_a_screenful() {
        let mut findings = Findings::of(Path::new("f"));
        for offset in 0..100 {
            findings.damage(Some(7), Some(offset), "it is broken");
        }
        let all = findings.into_vec();
        assert_eq!(all.len(), TOLD + 1);
        assert_eq!(all[0].text(), "DAMAGE   f at position 7 (offset 0): it is broken");
        assert_eq!(all[TOLD].problem, "80 more findings of this file are not shown");
    }
}
