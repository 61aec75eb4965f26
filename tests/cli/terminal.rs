//! A command line of klamm in a directory of its own, with the variables of this process left out.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::TestNode;

/// Where commands are typed.
pub struct Terminal {
    broker: Option<String>,
    dir: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Terminal {
    /// Commands ask this node.
    pub fn at(node: &TestNode) -> Self {
        Self { broker: Some(node.address().to_string()), ..Self::without_broker() }
    }

    /// Commands ask nobody, or whom they name.
    pub fn without_broker() -> Self {
        Self { broker: None, dir: TempDir::new().expect("a temporary directory") }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file to the directory.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.dir().join(name), content).expect("a temporary directory can be written to");
    }

    /// Runs `klamm LINE`; words in single quotes are one.
    pub fn run(&self, line: &str) -> Ran {
        self.pipe("", line)
    }

    /// Runs `klamm LINE` with this standard input.
    pub fn pipe(&self, input: &str, line: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_klamm"));
        command.args(words(line)).current_dir(self.dir());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KLAMM_")) {
            command.env_remove(name);
        }
        if let Some(broker) = &self.broker {
            command.env("KLAMM_BOOTSTRAP_SERVER", broker);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        // A command that does not read its input may end before it is written.
        let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it can be waited for");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("klamm writes UTF-8");
        let ran = Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!ran.stderr.contains("panicked"), "klamm {line}: {}", ran.stderr);
        assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "colours on a pipe: klamm {line}");
        ran
    }

    /// The standard output of a command that does what it is told.
    pub fn ok(&self, line: &str) -> String {
        self.ok_with("", line)
    }

    pub fn ok_with(&self, input: &str, line: &str) -> String {
        let ran = self.pipe(input, line);
        assert_eq!(ran.code, Some(0), "klamm {line}\n{}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// The JSON that a command answers.
    pub fn json(&self, line: &str) -> Value {
        let text = self.ok(&format!("{line} --output json"));
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("klamm {line}: {why}: {text}"))
    }

    /// Asserts that a command ends with this code, and says all of this on its standard error, and nothing on its standard output.
    pub fn fails(&self, code: i32, line: &str, says: &[&str]) {
        self.run(line).failed(code, line, says);
    }
}

impl Ran {
    pub fn failed(&self, code: i32, line: &str, says: &[&str]) {
        assert_eq!(self.code, Some(code), "klamm {line}\n{}{}", self.stdout, self.stderr);
        for words in says {
            assert!(self.stderr.contains(words), "klamm {line}: {words:?} is not in what it says:\n{}", self.stderr);
        }
    }
}

/// Splits a line at blanks outside of single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
