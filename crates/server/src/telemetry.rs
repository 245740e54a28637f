//! Logs and measurements.

use std::io::IsTerminal as _;
use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The process's measurements.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// What is counted and timed.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    /// Requests that are being answered.
    pub in_flight: IntGauge,
    /// Open event streams.
    pub event_streams: IntGauge,
    /// Sign-ins by outcome: `ok`, `refused`, `throttled`.
    pub sign_ins: IntCounterVec,
    /// Background jobs by kind and outcome.
    pub jobs: IntCounterVec,
}

impl Metrics {
    fn new() -> Self {
        let registry = Registry::new();
        let metrics = Self {
            requests: counters("syncwatch_http_requests_total", "Requests answered.", &["method", "route", "status"]),
            durations: histogram(),
            in_flight: gauge("syncwatch_http_requests_in_flight", "Requests being answered."),
            event_streams: gauge("syncwatch_event_streams", "Open event streams."),
            sign_ins: counters("syncwatch_sign_ins_total", "Sign-ins by outcome.", &["outcome"]),
            jobs: counters("syncwatch_jobs_total", "Background jobs by kind and outcome.", &["kind", "outcome"]),
            registry,
        };
        let collectors: [Box<dyn prometheus::core::Collector>; 6] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.durations.clone()),
            Box::new(metrics.in_flight.clone()),
            Box::new(metrics.event_streams.clone()),
            Box::new(metrics.sign_ins.clone()),
            Box::new(metrics.jobs.clone()),
        ];
        for collector in collectors {
            if let Err(error) = metrics.registry.register(collector) {
                tracing::error!(%error, "a measurement cannot be registered");
            }
        }
        metrics
    }

    /// Counts and times one answered request.
    pub fn observe(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        // An unknown method is a caller's own word and must not become a label.
        let method = if matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") {
            method
        } else {
            "other"
        };
        self.requests.with_label_values(&[method, route, status.to_string().as_str()]).inc();
        self.durations.with_label_values(&[method, route]).observe(elapsed.as_secs_f64());
    }

    /// Everything in Prometheus's text form.
    pub fn render(&self) -> String {
        let mut buffer = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut buffer) {
            tracing::error!(%error, "the measurements cannot be written");
        }
        String::from_utf8(buffer).unwrap_or_default()
    }
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this file; the test below makes them all")]
fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels).expect("a constant name is valid")
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this file; the test below makes them all")]
fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("a constant name is valid")
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this file; the test below makes them all")]
fn histogram() -> HistogramVec {
    let buckets = vec![0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
    let options = HistogramOpts::new("syncwatch_http_request_seconds", "Time to answer.").buckets(buckets);
    HistogramVec::new(options, &["method", "route"]).expect("a constant name is valid")
}

/// Begins to log, once per process.
pub fn start_logging(config: &LogConfig) {
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second call in one process (as tests make) keeps the first logger.
    let begun = match config.format {
        LogFormat::Text => logger.try_init(),
        LogFormat::Json => logger.json().flatten_event(true).try_init(),
    };
    if begun.is_err() {
        tracing::debug!("logging has begun already");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_are_rendered_with_their_labels() {
        METRICS.observe("GET", "/api/v1/me", 200, Duration::from_millis(3));
        METRICS.observe("BREW", "/coffee", 404, Duration::from_millis(3));
        let text = METRICS.render();
        assert!(text.contains(r#"syncwatch_http_requests_total{method="GET",route="/api/v1/me",status="200"}"#));
        assert!(text.contains(r#"method="other",route="/coffee""#));
        assert!(text.contains("syncwatch_http_request_seconds_bucket"));
    }
}
