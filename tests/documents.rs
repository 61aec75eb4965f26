//! What the documents tell people to type does what they say. A block of commands begins with ```` ```sh ```` and is run here, one document
//! after its beginning to its end in one directory, beside one broker:
//!
//! * `sh`: needs klamm and a shell. A block that is `klamm serve` alone must start a broker;
//! * `sh stopped`: the same, while the broker is stopped;
//! * `sh clients`: needs somebody else's client; `.ci/check-docs --clients` runs it;
//! * `sh machine`: changes the machine or takes it over; the flags are checked by `.ci/check-docs`, and nothing else.
//!
//! A comment `<!-- sh … -->` sets up what a reader has already. Each line of a `text` block behind commands is part of what they print.

use std::path::Path;
use std::process::{Command, Stdio};

use support::process::{BrokerProcess, Launch};
use tempfile::TempDir;

#[allow(unused)]
mod support;

const ADDRESS: &str = "127.0.0.1:9092";
const OTHER_ADDRESS: &str = "old.example:9092";
/// What a block of `sh` may use beside klamm.
const SHELL: &[&str] = &["seq", "sed", "echo", "printf", "wc"];

struct Block {
    info: String,
    text: String,
    line: usize,
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fenced blocks, and comments that set something up, in their order.
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut end = None;
    for (number, line) in document.lines().enumerate() {
        match end {
            Some(mark) if line == mark => end = None,
            Some(_) => {
                let block = blocks.last_mut().expect("one was begun");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {
                let (info, mark) = match (line.strip_prefix("```"), line) {
                    (Some(info), _) => (info, "```"),
                    (None, "<!-- sh") => ("sh", "-->"),
                    _ => continue,
                };
                blocks.push(Block { info: info.to_owned(), text: String::new(), line: number + 1 });
                end = Some(mark);
            }
        }
    }
    assert!(end.is_none(), "a block is not closed");
    blocks
}

/// A directory in which `klamm` is a command, with a broker.
struct Reader {
    dir: TempDir,
    broker: BrokerProcess,
    other: Option<BrokerProcess>,
}

impl Reader {
    fn new(document: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_klamm"), dir.path().join("bin/klamm")).unwrap();
        let settings = ["group.initial.rebalance.delay.ms=0"];
        let broker = Launch::with(&settings).data(dir.path().join("klamm-data")).start();
        let other = document.contains(OTHER_ADDRESS).then(|| BrokerProcess::start(&settings));
        Self { dir, broker, other }
    }

    /// The commands with the addresses that are true here.
    fn localized(&self, text: &str) -> String {
        let text = text.replace("cargo run --release -- ", "klamm ").replace(ADDRESS, &self.broker.bootstrap());
        match &self.other {
            Some(other) => text.replace(OTHER_ADDRESS, &other.bootstrap()),
            None => text,
        }
    }

    fn run(&self, place: &str, text: &str) -> String {
        let output = self
            .shell(&format!("set -eu -o pipefail\n{}", self.localized(text)))
            .stdin(Stdio::null())
            .output()
            .expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {}\n{text}{said}", output.status);
        String::from_utf8(output.stdout).expect("commands print text")
    }

    fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("bash");
        let path = std::env::var("PATH").unwrap_or_default();
        shell.args(["-c", script]).current_dir(self.dir.path());
        shell.env("PATH", format!("{}:{path}", self.dir.path().join("bin").display()));
        shell.env("KLAMM_BOOTSTRAP_SERVER", self.broker.bootstrap());
        shell
    }
}

/// Commands that a block of `sh` uses although not every machine has them.
fn foreign_commands(text: &str) -> Vec<&str> {
    let joined = text.split(['\n', '|', ';']).flat_map(|part| part.split("&&"));
    let programs = joined.filter_map(|part| part.split_whitespace().next());
    let words = programs.filter(|word| !word.starts_with(['-', '#', '\'']));
    words.filter(|word| *word != "klamm" && *word != "cargo" && !SHELL.contains(word)).collect()
}

fn read_through(name: &str) {
    let document = std::fs::read_to_string(top().join(name)).expect(name);
    let mut reader = Reader::new(&document);
    let mut printed = None;
    let mut ran = 0;
    for block in blocks(&document) {
        let place = format!("{name}:{}", block.line);
        match block.info.as_str() {
            "sh" | "sh stopped" => {
                let foreign = foreign_commands(&block.text);
                assert!(foreign.is_empty(), "{place}: {foreign:?} is not on every machine: say who runs it, as in ```sh clients");
                let text = block.text.trim();
                let serves = ["klamm serve", "cargo run --release -- serve"].contains(&text);
                if serves {
                    // The broker beside the reader was started by this very command.
                } else if block.info == "sh" {
                    printed = Some(reader.run(&place, text));
                } else {
                    reader.broker.stop();
                    printed = Some(reader.run(&place, text));
                    reader.broker.start_again();
                }
                ran += 1;
            }
            "sh clients" | "sh machine" => printed = None,
            "text" => {
                let Some(printed) = printed.take() else { continue };
                for line in block.text.lines() {
                    assert!(printed.lines().any(|found| found == line), "{place}: {line:?} is not in\n{printed}");
                }
            }
            other => assert!(!other.starts_with("sh") && !other.starts_with("console"), "{place}: nobody runs ```{other}"),
        }
    }
    assert!(ran > 0, "{name} has no commands that are run here");
}

#[test]
fn the_readme_is_true() {
    read_through("README.md");
}

#[test]
fn the_quickstart_is_true() {
    read_through("docs/quickstart.md");
}

#[test]
fn moving_over_from_kafka_works_as_told() {
    read_through("docs/from-kafka.md");
}

#[test]
fn what_operators_are_told_works() {
    read_through("docs/operations.md");
}

/// Documents elsewhere tell nobody to type anything that nobody has tried.
#[test]
fn every_document_with_commands_is_run() {
    let run = ["README.md", "docs/quickstart.md", "docs/from-kafka.md", "docs/operations.md"];
    let listed = Command::new("git").args(["ls-files", "*.md"]).current_dir(top()).output().expect("there is git");
    for name in String::from_utf8(listed.stdout).unwrap().lines().filter(|name| !run.contains(name)) {
        let document = std::fs::read_to_string(top().join(name)).expect(name);
        let untried = |block: &Block| ["sh", "bash", "console", "sh stopped"].contains(&block.info.as_str());
        if let Some(block) = blocks(&document).iter().find(|block| untried(block)) {
            panic!("{name}:{}: these commands are run by nobody", block.line);
        }
    }
}

#[test]
fn the_rust_program_is_the_one_that_runs() {
    let program = std::fs::read_to_string(top().join("docs/quickstart/hello.rs")).unwrap();
    let document = std::fs::read_to_string(top().join("docs/quickstart.md")).unwrap();
    let shown = blocks(&document).into_iter().find(|block| block.info == "rust").expect("the quickstart has a Rust program");
    assert_eq!(shown.text, program, "docs/quickstart.md shows another program than docs/quickstart/hello.rs");

    let broker = BrokerProcess::start(&["group.initial.rebalance.delay.ms=0"]);
    // `cargo test` has built it already.
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "--example", "hello", "--", &broker.bootstrap()])
        .current_dir(top())
        .output()
        .expect("there is cargo");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.ends_with("9: hello 9\n"), "{printed}{said}");
}

#[test]
fn blocks_are_found_with_what_they_are_for() {
    let document = "x\n```sh clients\na\nb\n```\n<!-- sh\nc\n-->\n```text\n```\n";
    let found: Vec<_> = blocks(document).into_iter().map(|block| (block.info, block.text, block.line)).collect();
    let expected = [("sh clients", "a\nb\n", 2), ("sh", "c\n", 6), ("text", "", 9)];
    assert_eq!(found, expected.map(|(info, text, line)| (info.to_owned(), text.to_owned(), line)));
    assert_eq!(foreign_commands("seq 1 3 | kcat -P\nklamm topic list && curl x\n"), ["kcat", "curl"]);
}
