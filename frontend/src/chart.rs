//! Geometry of the trend charts, in a box of [`WIDTH`] by [`HEIGHT`] that is stretched to the space there is.

use std::fmt::Write as _;

use api_types::trends::TrendBucket;

/// Width of the box.
pub const WIDTH: f64 = 600.0;
/// Height of the box.
pub const HEIGHT: f64 = 160.0;

/// The next round number at or above a value, for the top of an axis.
pub fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let magnitude = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * magnitude).find(|top| *top >= value * 0.999_999).unwrap_or(value)
}

/// Left edge and width of the slot of one bucket.
pub fn slot(index: usize, count: usize) -> (f64, f64) {
    let width = WIDTH / as_f64(count.max(1));
    (as_f64(index) * width, width)
}

/// Height of a value.
pub fn height(value: f64, top: f64) -> f64 {
    if top <= 0.0 { 0.0 } else { (value / top).clamp(0.0, 1.0) * HEIGHT }
}

/// A line through the values there are; it breaks where there is none.
pub fn line(values: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else {
            pen_down = false;
            continue;
        };
        let (x, width) = slot(index, values.len());
        let command = if pen_down { 'L' } else { 'M' };
        let _ = write!(path, "{command}{:.1} {:.1}", x + width / 2.0, HEIGHT - height(*value, top));
        pen_down = true;
    }
    path
}

/// A point for each value there is, since a value without neighbours leaves no trace as a line.
pub fn points(values: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let (x, width) = slot(index, values.len());
        let _ = write!(path, "M{:.1} {:.1}h.01", x + width / 2.0, HEIGHT - height(*value, top));
    }
    path
}

/// Share of the syncs of a bucket that failed.
pub fn failure_rate(bucket: &TrendBucket) -> Option<f64> {
    (bucket.syncs > 0).then(|| count(bucket.failed_syncs) / count(bucket.syncs))
}

/// A count as a length.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub const fn count(count: i64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "at most some hundred buckets")]
const fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_on_round_numbers() {
        for (value, top) in [(0.0, 1.0), (1.0, 1.0), (7.0, 8.0), (41.0, 50.0), (101.0, 150.0), (5_120.0, 6_000.0)] {
            assert!((round_up(value) - top).abs() < 1e-6, "{value} gives {}", round_up(value));
        }
        assert!((round_up(f64::NAN) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_line_breaks_where_there_is_no_value() {
        let path = line(&[Some(1.0), Some(2.0), None, Some(2.0)], 2.0);
        assert_eq!(path.matches('M').count(), 2);
        assert_eq!(path.matches('L').count(), 1);
        assert!(line(&[None, None], 1.0).is_empty());
    }
}
