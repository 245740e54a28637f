//! Files as jobs write them.

use std::io::Write as _;

use domain::record::RecordOutcome;
use serde_json::json;
use tempfile::TempDir;

use super::*;

fn line(outcome: &str) -> String {
    json!({ "source_record_type": "claims", "source_record_id": Uuid::now_v7(), "outcome": outcome }).to_string()
}

struct Job {
    directory: TempDir,
    outcomes: Outcomes,
    lines: Vec<Line>,
    bad: Vec<BadLine>,
}

impl Job {
    fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (outcomes, trouble) = Outcomes::begin(directory.path().join("outcomes.jsonl"));
        assert_eq!(trouble, None);
        Self { directory, outcomes, lines: Vec::new(), bad: Vec::new() }
    }

    fn write(&self, text: &str) {
        let mut file = File::options().create(true).append(true).open(self.outcomes.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn read_on(&mut self) -> usize {
        self.outcomes.read_on(&mut self.lines, &mut self.bad).unwrap();
        self.lines.len()
    }

    fn read_rest(&mut self) -> usize {
        self.outcomes.read_rest(&mut self.lines, &mut self.bad).unwrap();
        self.lines.len()
    }
}

#[test]
fn a_growing_file_is_read_line_by_line() {
    let mut job = Job::begin();
    assert_eq!((job.read_on(), job.outcomes.seen()), (0, false));
    let whole = line("succeeded");
    job.write(&format!("{whole}\n\n{}", &whole[..20]));
    assert_eq!((job.read_on(), job.outcomes.seen()), (1, true));
    assert_eq!(job.read_on(), 1, "half a line waits");
    job.write(&whole[20..]);
    assert_eq!(job.read_on(), 1, "and so does one without its end");
    assert_eq!(job.read_rest(), 2, "until the job has ended");
    assert_eq!(job.lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 3]);
    assert!(job.bad.is_empty());
}

#[test]
fn what_is_no_outcome_is_told_by_its_number() {
    let mut job = Job::begin();
    let long = format!("{{\"label\": \"{}\"}}", "x".repeat(200_000));
    let wrong = line("arrived");
    job.write(&format!("{}\nnot JSON\n[1, 2]\n{wrong}\n{long}\n{}", line("failed"), line("skipped")));
    assert_eq!(job.read_rest(), 2);
    assert_eq!(job.bad.iter().map(|bad| bad.number).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert!(job.bad[2].reason.contains("arrived"), "{}", job.bad[2].reason);
    assert_eq!(job.lines[1].number, 6);
}

#[test]
fn a_line_is_taken_as_the_api_takes_it() {
    let mut job = Job::begin();
    let with = |members: &str| line("succeeded").replacen('{', &format!("{{{members}, "), 1);
    let (whole, broken) = (with(r#""http_status_code": 201.0"#), with(r#""http_status_code": 201.5"#));
    job.write(&format!("{whole}\n{broken}\n{}\n{}\n", with(r#""label": "a\u0000b""#), with(r#""label" "#)));
    assert_eq!(job.read_rest(), 1);
    assert_eq!(job.lines[0].report.http_status_code, Some(201));
    let told: Vec<&str> = job.bad.iter().map(|bad| bad.reason.as_str()).collect();
    assert!(told[0].starts_with("/http_status_code ") && told[1].starts_with("/label "), "{told:?}");
    assert!(told[2].starts_with("it is not JSON"), "{told:?}");
}

#[test]
fn a_file_that_begins_anew_is_read_from_its_beginning() {
    let mut job = Job::begin();
    job.write(&format!("{}\n{}\n", line("succeeded"), line("succeeded")));
    assert_eq!(job.read_on(), 2);
    fs::write(job.outcomes.path(), format!("{}\n", line("failed"))).unwrap();
    assert_eq!(job.read_on(), 3);
    assert_eq!(job.lines[2].number, 1);
}

#[test]
fn what_an_earlier_run_left_is_put_aside() {
    let job = Job::begin();
    job.write("left over\n");
    let (outcomes, trouble) = Outcomes::begin(job.outcomes.path().to_owned());
    assert_eq!((trouble, outcomes.path().exists()), (None, false));
    assert_eq!(fs::read_to_string(job.directory.path().join("outcomes.jsonl.old")).unwrap(), "left over\n");
}

#[test]
fn a_directory_is_no_file_of_outcomes() {
    let directory = tempfile::tempdir().unwrap();
    let (mut outcomes, _) = Outcomes::begin(directory.path().to_owned());
    outcomes.read_on(&mut Vec::new(), &mut Vec::new()).unwrap_err();
}

fn report(id: Uuid, outcome: RecordOutcome, label: Option<&str>) -> Line {
    let report = RecordReport {
        source_record_type: "claims".to_owned(),
        source_record_id: id,
        label: label.map(str::to_owned),
        amount: None,
        currency: None,
        outcome,
        errors: Vec::new(),
        http_status_code: None,
        external_reference_id: None,
        request_payload_hash: None,
    };
    Line { number: 0, report }
}

#[test]
fn a_record_stands_once_in_a_batch_by_what_says_most() {
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let lines = [
        report(first, RecordOutcome::Sending, Some("Claim 1043")),
        report(second, RecordOutcome::Failed, None),
        report(first, RecordOutcome::Succeeded, None),
        report(second, RecordOutcome::Sending, None),
        report(first, RecordOutcome::Failed, None),
    ];
    let batch = first_batch(&lines, 1_000);
    let told: Vec<_> = batch.records.iter().map(|record| (record.source_record_id, record.outcome)).collect();
    assert_eq!(told, [(first, RecordOutcome::Succeeded), (second, RecordOutcome::Failed)]);
    assert_eq!((batch.lines, batch.records[0].label.as_deref()), (5, Some("Claim 1043")));
}

#[test]
fn a_batch_is_no_larger_than_a_call() {
    let lines: Vec<Line> = (0..2_500).map(|_| report(Uuid::now_v7(), RecordOutcome::Succeeded, None)).collect();
    assert_eq!(first_batch(&lines, usize::MAX).lines, 1_000);
    assert_eq!(first_batch(&lines[2_000..], usize::MAX).lines, 500);
    assert_eq!(first_batch(&lines, 7).lines, 7);
    let label = "x".repeat(100_000);
    let long: Vec<Line> = (0..10).map(|_| report(Uuid::now_v7(), RecordOutcome::Succeeded, Some(&label))).collect();
    assert_eq!(first_batch(&long, usize::MAX).lines, 5);
    assert_eq!(first_batch(&[], 1).lines, 0);
}

#[test]
fn refused_records_leave_with_all_their_lines() {
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let mut lines = vec![
        Line { number: 4, ..report(first, RecordOutcome::Sending, None) },
        Line { number: 5, ..report(second, RecordOutcome::Succeeded, None) },
        Line { number: 6, ..report(first, RecordOutcome::Failed, None) },
    ];
    let batch = first_batch(&lines, 1_000);
    let mut bad = Vec::new();
    assert!(refuse(&mut lines, &batch, &HashMap::from([(0, "no error".to_owned())]), &mut bad));
    assert_eq!(lines.len(), 1);
    assert_eq!(bad.iter().map(|bad| bad.number).collect::<Vec<_>>(), [4, 6]);
    // One that is not in the batch takes nothing with it.
    assert!(!refuse(&mut lines, &batch, &HashMap::from([(7, "no error".to_owned())]), &mut bad));
    assert_eq!((lines.len(), bad.len()), (1, 2));
}
