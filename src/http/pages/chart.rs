//! A line over time as SVG: drawn here, so that it needs no script; said in words too, for who does not see it. Pure.

/// What a chart shows.
pub struct Chart {
    pub title: &'static str,
    /// The newest value, in words.
    pub now: String,
    /// The greatest one, in words.
    pub most: String,
    /// `x,y` of each point, in a field of [`WIDTH`] by [`HEIGHT`].
    pub points: String,
    /// The same with the ground beneath it.
    pub area: String,
}

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 60.0;

impl Chart {
    /// A line through `values`, the oldest first; `word` says a value.
    pub fn new(title: &'static str, values: &[f64], word: impl Fn(f64) -> String) -> Self {
        let most = values.iter().copied().fold(0.0, f64::max);
        let scale = if most > 0.0 { (HEIGHT - 4.0) / most } else { 0.0 };
        let step = WIDTH / (values.len().max(2) - 1) as f64;
        let place = |(at, value): (usize, &f64)| format!("{:.1},{:.1}", at as f64 * step, HEIGHT - 2.0 - value * scale);
        let points: Vec<String> = values.iter().enumerate().map(place).collect();
        let end = values.len().saturating_sub(1) as f64 * step;
        let points = points.join(" ");
        let area = format!("0,{HEIGHT:.1} {points} {end:.1},{HEIGHT:.1}");
        Self { title, now: word(values.last().copied().unwrap_or(0.0)), most: word(most), points, area }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_in_its_field_and_says_its_values() {
        let chart = Chart::new("x", &[0.0, 5.0, 10.0], |value| format!("{value}"));
        assert_eq!(chart.points, "0.0,58.0 150.0,30.0 300.0,2.0");
        assert_eq!((chart.now.as_str(), chart.most.as_str()), ("10", "10"));
        assert_eq!(Chart::new("x", &[], |_| String::new()).points, "");
        assert_eq!(Chart::new("x", &[0.0], |_| String::new()).points, "0.0,58.0", "nothing is divided by nothing");
    }
}
