//! The text format of Prometheus, version 0.0.4, which every scraper reads.
//!
//! `prometheus-client` writes OpenMetrics. The two differ in how counters are described (`x` there, `x_total` here), and
//! in lines that only OpenMetrics has.

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// What the text is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of all registries.
pub(super) fn render(registries: &[&Registry]) -> Result<String, std::fmt::Error> {
    let mut open_metrics = String::new();
    for registry in registries {
        text::encode_registry(&mut open_metrics, registry)?;
    }
    Ok(plain(&open_metrics))
}

fn plain(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 1_024);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        // The type follows the help, and says for both what the name is to be.
        let described = line.strip_prefix("# HELP ").zip(lines.peek().copied());
        match described.and_then(|(help, kind)| counter(help, kind)) {
            Some((name, help)) => {
                out.push_str(&format!("# HELP {name}_total {help}\n# TYPE {name}_total counter\n"));
                lines.next();
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// The name and the help of a counter, from the line of its help after the mark and the line of its type.
fn counter<'a>(help: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
    let (name, text) = help.split_once(' ')?;
    let described = kind.strip_prefix("# TYPE ")?.strip_suffix(" counter")?;
    (described == name).then_some((name, text))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn counters_are_described_by_the_name_of_their_sample() {
        let open_metrics = "# HELP a_b What it is.\n# TYPE a_b counter\na_b_total 1\n\
                            # HELP c Another.\n# TYPE c gauge\nc 2\n";
        let expected = "# HELP a_b_total What it is.\n# TYPE a_b_total counter\na_b_total 1\n\
                        # HELP c Another.\n# TYPE c gauge\nc 2\n";
        assert_eq!(plain(open_metrics), expected);
    }
}
