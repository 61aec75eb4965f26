//! What is wrong with a configuration, told with the place it stands at: the line of the file with the spot underlined, the
//! environment variable, or the argument.

use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::Arc;

/// A configuration file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// Where a value or a problem stands. Spans count bytes of the file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    File { file: Arc<SourceFile>, span: Range<usize> },
    Environment { variable: String },
    CommandLine { argument: String },
}

/// One thing that keeps a configuration from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub message: String,
    pub place: Option<Place>,
    /// What to do about it, and what is allowed.
    pub help: Vec<String>,
}

/// All that is wrong, never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", render(.0))]
pub struct Problems(pub Vec<Problem>);

fn render(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Problem {
    pub fn new(message: impl Into<String>, place: Option<Place>) -> Self {
        Problem { message: message.into(), place, help: Vec::new() }
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", visible(&self.message))?;
        let margin = match &self.place {
            None => 1,
            Some(Place::File { file, span }) => snippet(f, file, span)?,
            Some(Place::Environment { variable }) => {
                writeln!(f, " --> environment variable {}", visible(variable))?;
                1
            }
            Some(Place::CommandLine { argument }) => {
                writeln!(f, " --> command line: {}", visible(argument))?;
                1
            }
        };
        for help in &self.help {
            writeln!(f, "{:margin$}= help: {}", "", visible(help))?;
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file, span } => write!(f, "{}:{}", file.path, Spot::of(&file.text, span).line),
            Place::Environment { variable } => f.write_str(variable),
            Place::CommandLine { .. } => f.write_str("--set"),
        }
    }
}

/// A span in terms of a person's editor: lines and columns count from 1, columns in characters.
struct Spot<'a> {
    line: usize,
    column: usize,
    /// Characters to underline, at least 1 and none beyond the line.
    width: usize,
    text: &'a str,
}

impl<'a> Spot<'a> {
    fn of(text: &'a str, span: &Range<usize>) -> Spot<'a> {
        let start = floor_char_boundary(text, span.start);
        let end = floor_char_boundary(text, span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let width = text[start..end.min(line_end)].trim_end_matches('\r').chars().count().max(1);
        Spot {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width,
            text: text[line_start..line_end].trim_end_matches('\r'),
        }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Writes the place, the line and the underline; returns the width of the margin.
fn snippet(f: &mut fmt::Formatter<'_>, file: &SourceFile, span: &Range<usize>) -> Result<usize, fmt::Error> {
    /// Characters of a line that are shown; configuration lines are shorter, other files may be given by mistake.
    const SHOWN: usize = 160;
    let spot = Spot::of(&file.text, span);
    let number = spot.line.to_string();
    let margin = number.len() + 1;
    let before = spot.column - 1;
    let skipped = before.saturating_sub(SHOWN / 2);
    let shown: String = spot.text.chars().skip(skipped).take(SHOWN).collect();
    let underlined = spot.width.min(SHOWN - (before - skipped));
    writeln!(f, "{:margin$}--> {}:{}:{}", "", visible(&file.path), spot.line, spot.column)?;
    writeln!(f, "{:margin$}|", "")?;
    writeln!(f, "{number} | {}", visible(&shown).trim_end())?;
    writeln!(f, "{:margin$}| {:>2$}{3}", "", "", before - skipped, "^".repeat(underlined))?;
    Ok(margin)
}

/// The text without characters that would move a terminal's cursor or colour it.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let c = match c {
            '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        let _ = shown.write_char(c);
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str, span: Range<usize>) -> Problem {
        let file = Arc::new(SourceFile { path: "klamm.toml".into(), text: text.into() });
        Problem::new("that is wrong", Some(Place::File { file, span })).with_help("write it right")
    }

    #[test]
    fn the_spot_is_underlined_in_its_line() {
        let text = "# größe\r\na = 1\r\n\tünter = \"x\" \r\n";
        let start = text.find("\"x\"").unwrap();
        let expected = "\
error: that is wrong
  --> klamm.toml:3:10
  |
3 |  ünter = \"x\"
  |          ^^^
  = help: write it right
";
        assert_eq!(at(text, start..start + 3).to_string(), expected);
    }

    #[test]
    fn a_problem_without_a_file_names_what_it_came_by() {
        let place = Place::Environment { variable: "KLAMM_NODE_ID".into() };
        let problem = Problem::new("that is wrong", Some(place)).with_help("write it right");
        assert_eq!(
            problem.to_string(),
            "error: that is wrong\n --> environment variable KLAMM_NODE_ID\n = help: write it right\n"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!at("a = \"\u{1b}[31m\"", 4..5).to_string().contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_is_shown(text in "(?s).{0,400}", a in 0usize..500, b in 0usize..500) {
            let shown = at(&text, a.min(b)..a.max(b)).to_string();
            prop_assert!(shown.contains("^"));
            prop_assert!(shown.lines().all(|line| line.chars().count() < 200));
        }
    }
}
