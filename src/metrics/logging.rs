//! Log lines, by level.

use super::def::metrics;
use super::samples::Samples;
use crate::base::logging::EventCounts;

metrics! {
    /// Lines of the log, of the whole process.
    area "Logging";

    /// Events logged, by level.
    pub EVENTS = counter "klamm_log_events" ["level"];

    /// Events left out of the log because too many of the same kind came in a row.
    pub LEFT_OUT = counter "klamm_log_events_left_out" [];
}

impl Samples {
    pub fn log_events(&mut self, events: &EventCounts) {
        for (level, count) in events.by_level() {
            self.add(&EVENTS, &[level.into()], count);
        }
        self.add(&LEFT_OUT, &[], events.left_out());
    }
}
