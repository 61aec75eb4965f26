//! OpenMetrics text as the older Prometheus text: samples are the same; what is said about counters and unknowns differs.

/// `HELP` and `TYPE` of a counter name its samples, with `_total`; what OpenMetrics calls `unknown` is `untyped`; there is no end mark.
pub(super) fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + open_metrics.len() / 16);
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (total, kind) = match kind {
                "counter" => ("_total", kind),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some((of, help)) = help.take().filter(|(of, _)| *of == name) {
                text.extend(["# HELP ", of, total, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, total, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_their_samples() {
        let open_metrics = "\
# HELP requests Requests answered.
# TYPE requests counter
requests_total{api=\"# TYPE x\"} 5
# HELP t_count How many.
# TYPE t_count unknown
t_count 7
# HELP size Bytes.
# TYPE size gauge
size 1
# EOF
";
        let expected = "\
# HELP requests_total Requests answered.
# TYPE requests_total counter
requests_total{api=\"# TYPE x\"} 5
# HELP t_count How many.
# TYPE t_count untyped
t_count 7
# HELP size Bytes.
# TYPE size gauge
size 1
";
        assert_eq!(prometheus(open_metrics), expected);
    }
}
