//! A measured figure, its bound, and the table of all.

/// One claim, measured.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// What came out.
    pub measured: String,
    /// What it is compared with, from the same run.
    pub baseline: String,
    /// The measured figure divided by the baseline, where that means something.
    pub ratio: Option<f64>,
    /// How often it was measured.
    pub samples: String,
    /// What is claimed.
    pub bound: String,
    /// Whether the claim holds.
    pub holds: bool,
}

impl Figure {
    /// Prints the figure on a line of its own.
    pub fn tell(self) -> Self {
        let baseline = if self.baseline.is_empty() { String::new() } else { format!(" against {}", self.baseline) };
        let ratio = self.ratio.map(|ratio| format!(", ratio {ratio:.2}")).unwrap_or_default();
        let samples = if self.samples.is_empty() { String::new() } else { format!("; {}", self.samples) };
        let verdict = verdict(self.holds);
        println!("{}: {}{baseline}{ratio} (bound: {}{samples}) {verdict}", self.name, self.measured, self.bound);
        self
    }

    /// A figure that could not be measured: a missed bound, whatever the reason.
    pub fn failed(name: &str, error: &anyhow::Error) -> Self {
        Self {
            name: name.to_owned(),
            measured: format!("not measured: {error:#}").replace(['\n', '|'], " "),
            baseline: String::new(),
            ratio: None,
            samples: String::new(),
            bound: "to be measured".to_owned(),
            holds: false,
        }
    }
}

fn verdict(holds: bool) -> &'static str {
    if holds { "pass" } else { "FAIL" }
}

/// Prints all figures as a table in Markdown.
pub fn print_table(figures: &[Figure]) {
    println!();
    println!("| claim | measured | baseline in the same run | ratio | bound | samples | |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for figure in figures {
        let ratio = figure.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        println!(
            "| {} | {} | {} | {ratio} | {} | {} | {} |",
            figure.name,
            figure.measured,
            figure.baseline,
            figure.bound,
            figure.samples,
            verdict(figure.holds)
        );
    }
    println!();
}

/// The value below which a share of the values lies; 0 if there are none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a small length"
    )]
    let place = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0.0)
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "values are picked, not computed")]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.99), 99.0);
        assert_eq!(median(&values), 50.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }
}
