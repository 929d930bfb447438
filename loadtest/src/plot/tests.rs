use super::*;

/// The names of all elements, checked to be closed in order, with quoted attributes and no bare `<` or `&`.
fn elements(svg: &str) -> Vec<String> {
    let (mut open, mut found, mut rest) = (Vec::new(), Vec::new(), svg);
    while let Some((text, tag)) = rest.split_once('<') {
        for reference in text.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;"].iter().any(|it| reference.starts_with(it));
            assert!(known, "&{reference}");
        }
        let (tag, after) = tag.split_once('>').expect("every tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert_eq!(attributes.matches('"').count(), 2 * attributes.matches("=\"").count(), "{tag}");
        found.push(name.to_owned());
        if !empty {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    assert_eq!(rest.trim(), "");
    found
}

fn attribute<'a>(svg: &'a str, element: &str, name: &str) -> &'a str {
    let (_, tag) = svg.split_once(&format!("<{element} ")).expect("it is there");
    let (_, value) = tag.split_once(&format!("{name}=\"")).expect("it has that");
    value.split_once('"').expect("it is quoted").0
}

fn pairs(points: &str) -> Vec<(f64, f64)> {
    let pair = |text: &str| {
        let (x, y) = text.split_once(',').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    };
    points.split(' ').map(pair).collect()
}

#[test]
fn rates_stand_where_their_logarithms_do() {
    let points = vec![(10.0, 1.0), (100.0, 10.0), (1_000.0, 100.0)];
    let svg = p99_by_rate("a < b & c", vec![("one & only".to_owned(), points)]).svg();
    let found = elements(&svg);
    let count = |name: &str| found.iter().filter(|it| *it == name).count();
    assert_eq!((count("svg"), count("polyline"), count("circle")), (1, 1, 3));
    assert!(svg.contains("<title>a &lt; b &amp; c</title>") && svg.contains("one &amp; only"));
    let middle = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
    let wanted = [(LEFT, BOTTOM), middle, (RIGHT, TOP)];
    assert_eq!(pairs(attribute(&svg, "polyline", "points")), wanted);
    for label in ["publications a second", "p99 latency (ms)", ">10<", ">1000<"] {
        assert!(svg.contains(label), "{label} is not in {svg}");
    }
}

#[test]
fn percentiles_stand_by_their_nines_and_end_with_the_longest() {
    let mut histogram = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
    for value in 1..=1_000_u64 {
        histogram.saturating_record(value * 10);
    }
    let empty = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
    let plot = latency_by_percentile("t", &[("all", &histogram), ("none", &empty)]);
    let points = &plot.series[0].points;
    let at = |part: f64| points.iter().find(|point| point.0 >= nines(part) - 1e-9).unwrap().1;
    assert!((at(0.9) - 9.0).abs() < 0.05, "{}", at(0.9));
    assert!((at(0.99) - 9.9).abs() < 0.05, "{}", at(0.99));
    let last = points.last().unwrap();
    assert!((last.0 - 3.0).abs() < 1e-9 && (last.1 - 10.0).abs() < 0.05, "{last:?}");
    assert!(points.windows(2).all(|two| two[0].1 <= two[1].1), "it never falls");
    let svg = plot.svg();
    let found = elements(&svg);
    assert_eq!(found.iter().filter(|it| *it == "polyline").count(), 1, "nothing has no line");
    assert!(svg.contains(">none<"), "but it is named");
    let drawn = pairs(attribute(&svg, "polyline", "points"));
    assert_eq!((drawn[0].0, drawn[drawn.len() - 1].0), (LEFT, RIGHT));
    assert!(svg.contains(">99.9<") && !svg.contains(">99.99<"), "1,000 values know no more");
}
