//! The guard between this program and the services it starts.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts a guard over a shell script; returns it and the first line the script prints.
fn guard(options: &[&str], script: &str) -> (Child, String) {
    let spawned = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("guard")
        .args(options)
        // A shell cannot trap what it finds ignored, as SIGINT is under a command in the background.
        .args(["--", "env", "--default-signal=INT", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut guard) = spawned else { panic!("the guard does not start") };
    let mut line = String::new();
    let read = guard.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
    assert!(matches!(read, Some(Ok(1..))), "the service says nothing");
    (guard, line.trim().to_owned())
}

fn is_running(process: &str) -> bool {
    Path::new("/proc").join(process).exists()
}

#[test]
fn the_service_ends_when_the_pipe_closes_and_its_directory_goes() {
    let directory = tempfile::tempdir().unwrap().keep();
    fs::write(directory.join("file"), "x").unwrap();
    let remove = ["--then-remove", directory.to_str().unwrap()];
    let (mut guard, service) = guard(&remove, "echo $$; exec sleep 600");
    assert!(is_running(&service));
    drop(guard.stdin.take());
    assert!(!guard.wait().unwrap().success(), "sleep ends by a signal");
    assert!(!is_running(&service) && !directory.exists());
}

#[test]
fn the_signal_is_the_one_asked_for() {
    for (options, signal) in [(&[][..], "term"), (&["--interrupt"][..], "int")] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let note =
            |name: &str| format!("trap 'echo {name} > {}; exit 0' {}", file.path().display(), name.to_uppercase());
        let script = format!("{}; {}; echo ready; while :; do sleep 0.1; done", note("term"), note("int"));
        let (mut guard, line) = guard(options, &script);
        assert_eq!(line, "ready");
        drop(guard.stdin.take());
        assert!(guard.wait().unwrap().success());
        assert_eq!(fs::read_to_string(file.path()).unwrap().trim(), signal);
    }
}

#[test]
fn a_service_that_ends_by_itself_ends_the_guard() {
    let (mut guard, _) = guard(&[], "echo going; exit 3");
    assert!(!guard.wait().unwrap().success());
}
