//! Figures as people and programs read them: a table with a line a metric, latencies as a histogram, everything as JSON.

use comfy_table::{Cell, CellAlignment, LineStyle, Table, presets};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::figure::{Spread, ratio, spreads};
use super::options::Common;
use super::run::Measured;
use super::series::Series;

const BAR_WIDTH: f64 = 40.0;

pub fn text(title: &str, common: &Common, measured: &[Measured]) -> String {
    let mut out = format!(
        "{title}\n{} of {} s after {} s of warm-up; medians and [spread]\n\n{}\n",
        super::run::plural(common.rounds, "round"),
        common.seconds.as_secs_f64(),
        common.warmup.as_secs_f64(),
        table(measured),
    );
    for one in measured {
        for series in merged(one) {
            out += &format!("\n{}\n{}", caption(&one.broker.name, &series), histogram(&series.latency));
        }
    }
    out
}

fn caption(broker: &str, series: &Series) -> String {
    let name = if series.name.is_empty() { String::new() } else { format!("{} ", series.name) };
    format!("{broker}: {name}latency of {} requests, all rounds", thousands(series.latency.len() as f64))
}

fn table(measured: &[Measured]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─')));
    let [base, others @ ..] = measured else { return table };
    let names = measured.iter().map(|one| one.broker.name.clone());
    let ratios = others.iter().map(|other| format!("{} ÷ {}", other.broker.name, base.broker.name));
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    table.set_header(std::iter::once(Cell::new("")).chain(names.chain(ratios).map(right)));
    let all: Vec<_> = measured.iter().map(|one| spreads(&one.rounds)).collect();
    for (key, label) in keys(measured) {
        let values = all.iter().map(|spreads| spreads.get(&key).map_or("–".to_owned(), spread));
        let ratios =
            others.iter().map(|other| ratio(&base.rounds, &other.rounds, &key).map_or("–".to_owned(), |r| number(r.median)));
        table.add_row(std::iter::once(Cell::new(label)).chain(values.chain(ratios).map(right)));
    }
    table
}

/// Keys and labels of all metrics in the order in which they were taken; brokers may lack some.
fn keys(measured: &[Measured]) -> Vec<(String, String)> {
    let mut keys: Vec<(String, String)> = Vec::new();
    for metric in measured.iter().flat_map(|one| &one.rounds).flat_map(|figure| &figure.metrics) {
        if !keys.iter().any(|(key, _)| *key == metric.key) {
            keys.push((metric.key.clone(), metric.label.clone()));
        }
    }
    keys
}

fn spread(spread: &Spread) -> String {
    let Spread { median, min, max } = *spread;
    if min == max { number(median) } else { format!("{} [{}–{}]", number(median), number(min), number(max)) }
}

/// Three significant digits, or all of an integer, with thin marks between thousands.
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => thousands(value),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The series of all rounds of one broker, added up by name.
fn merged(measured: &Measured) -> Vec<Series> {
    let mut merged: Vec<Series> = Vec::new();
    for series in measured.rounds.iter().flat_map(|figure| &figure.series) {
        match merged.iter_mut().find(|m| m.name == series.name) {
            Some(sum) => sum.absorb(series),
            None => merged.push(series.clone()),
        }
    }
    merged
}

/// Bars over steps of 1, 2, 5, 10 …, from the step of the fastest to that of the slowest.
fn histogram(latency: &Histogram<u64>) -> String {
    let mut steps = vec![1_000u64];
    while *steps.last().expect("not empty") <= latency.max() {
        let last = *steps.last().expect("not empty");
        let leading = last / 10u64.pow(last.ilog10());
        steps.push(if leading == 2 { last / 2 * 5 } else { last * 2 });
    }
    let mut out = String::new();
    let (total, mut below, mut started) = (latency.len().max(1), 0, false);
    for (i, end) in steps.iter().enumerate() {
        let upto = latency.count_between(0, end - 1);
        let count = upto - below;
        below = upto;
        started |= count > 0;
        if started {
            let share = count as f64 / total as f64;
            let bar = bar(share * BAR_WIDTH);
            let from = if i == 0 { 0 } else { steps[i - 1] };
            out += &format!("{:>9} – {:<9} {bar:<40} {:>7.3} %\n", micros(from), micros(*end), share * 100.0);
        }
    }
    out
}

fn micros(ns: u64) -> String {
    match ns {
        0 => "0".to_owned(),
        1..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{} s", ns / 1_000_000_000),
    }
}

/// A bar in eighths of a character; what is there at all is seen.
fn bar(width: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (width * 8.0).ceil() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

pub fn json(title: &str, common: &Common, measured: &[Measured]) -> String {
    let brokers: Vec<Value> = measured.iter().map(|one| broker_json(one, &measured[0])).collect();
    let value = json!({
        "title": title,
        "rounds": common.rounds,
        "seconds": common.seconds.as_secs_f64(),
        "warmup_seconds": common.warmup.as_secs_f64(),
        "labels": keys(measured).into_iter().map(|(key, label)| (key, Value::from(label))).collect::<Map<_, _>>(),
        "brokers": brokers,
    });
    format!("{value:#}")
}

fn broker_json(one: &Measured, base: &Measured) -> Value {
    let by_key = |value: fn(&Spread) -> f64| -> Map<String, Value> {
        spreads(&one.rounds).iter().map(|(key, spread)| (key.clone(), json!(value(spread)))).collect()
    };
    let round = |figure: &super::figure::Figure| -> Map<String, Value> {
        figure.metrics.iter().map(|metric| (metric.key.clone(), json!(metric.value))).collect()
    };
    let ratios: Map<String, Value> = spreads(&one.rounds)
        .keys()
        .filter_map(|key| Some((key.clone(), json!(ratio(&base.rounds, &one.rounds, key)?.median))))
        .collect();
    let latencies: Vec<Value> = merged(one)
        .iter()
        .map(|series| {
            let points = series.latency.iter_quantiles(2);
            let points: Vec<Value> =
                points.map(|p| json!([p.quantile_iterated_to(), p.value_iterated_to() as f64 / 1e3])).collect();
            json!({ "name": series.name, "quantiles_us": points })
        })
        .collect();
    json!({
        "name": one.broker.name,
        "address": one.broker.address,
        "median": by_key(|s| s.median),
        "min": by_key(|s| s.min),
        "max": by_key(|s| s.max),
        "ratio_to_first": ratios,
        "rounds": one.rounds.iter().map(round).collect::<Vec<_>>(),
        "latencies": latencies,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_matters() {
        let numbers: Vec<_> = [1_234_567.8, 100.4, 12.34, 1.234, 0.1234, 0.0].map(number).into();
        assert_eq!(numbers, ["1,234,568", "100", "12.3", "1.23", "0.123", "0.00"]);
    }

    #[test]
    fn a_histogram_shows_every_latency_once() {
        let mut series = Series::new("");
        for (us, times) in [(3u64, 1), (30, 97), (31, 1), (4_000, 1)] {
            (0..times).for_each(|_| series.record_latency(std::time::Duration::from_micros(us)));
        }
        let drawn = histogram(&series.latency);
        let lines: Vec<&str> = drawn.lines().collect();
        assert!(lines[0].contains("2 µs – 5 µs") && lines[0].ends_with("1.000 %"), "{drawn}");
        assert!(lines.iter().any(|l| l.contains("20 µs – 50 µs") && l.ends_with("98.000 %")), "{drawn}");
        assert!(lines.last().is_some_and(|l| l.contains("2 ms – 5 ms") && l.ends_with("1.000 %")), "{drawn}");
    }
}
