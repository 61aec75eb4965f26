//! What the log looks like, and that its levels change while it runs.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{debug, info, warn};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Memory {
    type Writer = Memory;

    fn make_writer(&'a self) -> Memory {
        self.clone()
    }
}

fn with_log(levels: &str, format: LogFormat, colours: bool, test: impl FnOnce(&Logging, &Memory)) {
    let memory = Memory::default();
    let (subscriber, logging) = Logging::build(levels.parse().unwrap(), format, colours, memory.clone());
    tracing::subscriber::with_default(subscriber, || test(&logging, &memory));
}

#[test]
fn lines_for_people_tell_time_level_module_message_and_fields() {
    with_log("info", LogFormat::Human, false, |_, memory| {
        info!(listener = "PLAINTEXT", port = 9092, "listening");
        let line = memory.take();
        assert!(line.ends_with(" INFO klamm::base::logging::tests: listening listener=\"PLAINTEXT\" port=9092\n"), "{line}");
        assert!(line.starts_with("20") && line.contains('T') && line.contains("Z "), "{line}");
    });
}

#[test]
fn nobody_can_forge_a_line_or_reach_the_terminal() {
    with_log("info", LogFormat::Human, true, |_, memory| {
        let evil = "x\n2026-01-01 ERROR forged\u{1b}[2J\r\u{202e}\u{9b}";
        info!(client = %evil, "hello {evil}");
        let line = memory.take();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains(r"client=x\n2026-01-01 ERROR forged\u{1b}[2J\r\u{202e}\u{9b}"), "{line}");
        assert!(line.contains(r"hello x\n2026"), "{line}");
        assert!(!line.contains("\u{1b}[2J") && !line.contains('\r'));
        assert!(line.contains("\u{1b}[32m"), "the level has its colour");
    });
}

#[test]
fn json_lines_are_objects_with_flat_fields() {
    with_log("info", LogFormat::Json, false, |_, memory| {
        warn!(topic = "a\"b\n", partition = 3, "gone");
        let line = memory.take();
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(object["level"], "WARN");
        assert_eq!(object["message"], "gone");
        assert_eq!(object["topic"], "a\"b\n");
        assert_eq!(object["partition"], 3);
        assert_eq!(object["target"], "klamm::base::logging::tests");
        assert!(object["timestamp"].as_str().unwrap().ends_with('Z'));
    });
}

#[test]
fn levels_change_while_the_log_runs() {
    with_log("info", LogFormat::Human, false, |logging, memory| {
        let logged = || {
            debug!("a detail");
            info!("an event");
            memory.take().lines().count()
        };
        assert_eq!(logged(), 1);
        logging.alter([("klamm.base.logging", Some("debug"))], true).unwrap();
        assert_eq!(logged(), 1, "validating changes nothing");
        logging.alter([("klamm.base.logging", Some("debug")), ("root", Some("ERROR"))], false).unwrap();
        assert_eq!(logged(), 2);
        assert!(logging.alter([("klamm.base.logging", None), ("root", None)], false).is_err());
        assert_eq!(logged(), 2, "a request with a refused part is refused whole");
        logging.alter([("klamm.base.logging", None)], false).unwrap();
        assert_eq!(logged(), 0);
        assert_eq!(logging.loggers()[0], (ROOT.into(), LogLevel::Error));
    });
}

#[test]
fn a_flood_is_thinned_out_and_counted() {
    with_log("info", LogFormat::Json, false, |logging, memory| {
        for i in 0..250 {
            warn!(i, "the same again");
            info!(i, "something else");
        }
        let lines = memory.take();
        assert_eq!(lines.matches("the same again").count(), limit::MOST as usize);
        assert_eq!(lines.matches("something else").count(), limit::MOST as usize);
        assert_eq!(logging.counts().left_out(), 300);
        assert!(logging.counts().by_level().any(|count| count == ("WARN", 100)));
    });
}
