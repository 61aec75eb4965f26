//! Lines for people, and lines of JSON for machines.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::limit::Limiter;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, module, message and fields.
    #[default]
    Human,
    /// One JSON object a line, with `timestamp`, `level`, `target`, `message` and the fields.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "human" => Ok(LogFormat::Human),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("no log format is named {name:?}; there are human and json")),
        }
    }
}

pub(super) fn layer<S, W>(format: LogFormat, colours: bool, limiter: Arc<Limiter>, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    match format {
        LogFormat::Human => {
            let fields = debug_fn(|writer, field, value| match field.name() {
                "message" => write!(Escaping(writer), "{value:?}"),
                name => {
                    write!(writer, "{name}=")?;
                    write!(Escaping(writer), "{value:?}")
                }
            });
            Box::new(layer.fmt_fields(fields.delimited(" ")).map_event_format(|inner| ToldLeftOut { inner, format, limiter }))
        }
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            Box::new(layer.map_event_format(|inner| ToldLeftOut { inner, format, limiter }))
        }
    }
}

/// Adds to a line how many of its kind were left out before it.
struct ToldLeftOut<F> {
    inner: F,
    format: LogFormat,
    limiter: Arc<Limiter>,
}

impl<S, N, F> FormatEvent<S, N> for ToldLeftOut<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let left_out = self.limiter.take_left_out(event.metadata().callsite());
        if left_out == 0 {
            return self.inner.format_event(ctx, writer, event);
        }
        let mut line = String::new();
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        match (self.format, line.strip_suffix('}')) {
            (LogFormat::Json, Some(object)) => writeln!(writer, "{object},\"left_out\":{left_out}}}"),
            _ => writeln!(writer, "{line} left_out={left_out}"),
        }
    }
}

/// Writes control characters as `\n`, `\u{1b}` and so on.
struct Escaping<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_control) {
            let (plain, control) = rest.split_at(at);
            let c = control.chars().next().expect("found one");
            write!(self.0, "{plain}{}", c.escape_debug())?;
            rest = &control[c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Controls, and the marks that turn the direction of writing or start a line in some viewers.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
