//! `docs/cli.md`, made from the declarations of the commands, and the test that keeps it true.
//!
//! After a change of a command, `KLAMM_REGENERATE=1 cargo test cli::reference` writes the page anew.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command, CommandFactory};

const INTRODUCTION: &str = "\
# The command line

This page is made from the declarations in `src/cli` by `KLAMM_REGENERATE=1 cargo test cli::reference`; a test keeps it true.

One binary runs the broker, works with it, looks into it and measures it. Everything but `serve`, `dump` and the commands that ask
nobody (`completion`, `man`, `version`, `config keys`, `config import`) speaks Kafka's protocol and works with any Kafka.

";

/// What is the same on every command that has it, said once.
const COMMON: &[&str] = &["bootstrap_server", "timeout", "output"];

const COMMON_TEXT: &str = "\
| Option | Where | Meaning |
|---|---|---|
| `-b`, `--bootstrap-server HOST:PORT` | everything that asks a broker | Brokers to ask first; `KLAMM_BOOTSTRAP_SERVER` does the same. Default `127.0.0.1:9092` |
| `--timeout SECONDS` | the same | Seconds that a request, and all its repetitions, may take. Default 30 |
| `--output text\\|json` | everything that answers | Tables and sentences, or JSON with stable field names. Warnings and errors go to the standard error in both |

| Exit code | Meaning |
|---|---|
| 0 | everything was done, or the reader of the output went away |
| 1 | nothing was done, or what was asked about is not in order |
| 2 | the command line or the configuration is wrong |
| 3 | part was done: some of the topics, groups or records were refused |
| 130 | interrupted before the end |

Colours and progress bars appear on a terminal only; `NO_COLOR` turns the colours off.
";

/// The whole page.
fn page() -> String {
    let mut klamm = super::Cli::command();
    klamm.build();
    let mut text = format!("{INTRODUCTION}{COMMON_TEXT}");
    for command in klamm.get_subcommands().filter(|command| command.get_name() != "help") {
        section(&mut text, command, 2);
    }
    text
}

fn section(text: &mut String, command: &Command, depth: usize) {
    let name = command.get_bin_name().expect("built commands have names");
    let _ = writeln!(text, "\n{} {name}\n", "#".repeat(depth));
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(text, "{}.", cell(about.trim_end_matches('.')));
    let inner: Vec<&Command> = command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    if inner.is_empty() {
        let _ = writeln!(text, "\n```text\n{}\n```", usage(command));
        options(text, command);
        after(text, command);
    }
    for command in inner {
        section(text, command, depth + 1);
    }
}

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").trim().to_owned()
}

fn options(text: &mut String, command: &Command) {
    let shown = |arg: &&Arg| !arg.is_hide_set() && arg.get_id() != "help" && !COMMON.contains(&arg.get_id().as_str());
    let mut rows = command.get_arguments().filter(shown).peekable();
    if rows.peek().is_none() {
        return;
    }
    text.push_str("\n| Option | Meaning | Default |\n|---|---|---|\n");
    for arg in rows {
        let _ = writeln!(text, "| {} | {} | {} |", cell(&spelled(arg)), cell(&meaning(arg)), default(arg));
    }
}

/// `-t`, `--topic NAME`, or the name of a value.
fn spelled(arg: &Arg) -> String {
    let values = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
    if arg.is_positional() {
        return format!("`{values}`");
    }
    let mut spelled = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let long = arg.get_long().expect("options have long names");
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let _ = if takes { write!(spelled, "`--{long} {values}`") } else { write!(spelled, "`--{long}`") };
    spelled
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    // Bare values in angle brackets would be taken for HTML.
    let mut meaning = help.replace('<', "&lt;");
    let values = arg.get_possible_values();
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    if takes && !values.is_empty() {
        let values: Vec<String> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let _ = write!(meaning, ". One of {}", values.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(meaning, ". Variable `{}`", variable.to_string_lossy());
    }
    meaning
}

fn default(arg: &Arg) -> String {
    let values: Vec<String> = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    match arg.get_action() {
        ArgAction::Set | ArgAction::Append if !values.is_empty() => format!("`{}`", values.join(",")),
        _ => String::new(),
    }
}

/// What stands below the options, which ends with examples.
fn after(text: &mut String, command: &Command) {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if !after.is_empty() {
        let _ = writeln!(text, "\n```text\n{}\n```", after.trim_end());
    }
}

fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn the_committed_page_is_up_to_date() {
    crate::base::committed::up_to_date("docs/cli.md", &page(), "cli::reference");
}

#[test]
fn every_command_shows_examples_that_it_takes() {
    fn check(klamm: &Command, command: &Command) {
        let name = command.get_bin_name().unwrap_or("klamm").to_owned();
        if command.get_name() == "help" {
            return;
        }
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let Some((_, examples)) = after.split_once("Examples:\n") else { panic!("'{name} --help' has no examples") };
        for line in examples.lines().flat_map(|line| line.split(['|', '&'])).map(str::trim) {
            let line = line.split("  ").next().unwrap_or_default().split(" #").next().unwrap_or_default();
            let line = line.split([';', '>', '<']).next().unwrap_or_default().trim();
            if !line.starts_with("klamm ") || line.contains('"') || line.contains("...") {
                continue;
            }
            let words = words(line);
            if let Err(error) = klamm.clone().try_get_matches_from(&words) {
                panic!("'{name} --help' shows {line:?}, which is refused: {error}");
            }
        }
        command.get_subcommands().for_each(|inner| check(klamm, inner));
    }
    /// Splits a line as a shell does, as far as examples go: at blanks outside of single quotes.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().expect("there is a word").push(c),
            }
        }
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }
    let klamm = super::Cli::command();
    let mut built = klamm.clone();
    built.build();
    check(&klamm, &built);
}
