//! The process between the server and PostgreSQL.

use std::io::{Read, Write};
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::cluster::Cluster;

/// Runs the database of `data_dir` until the parent process ends or SIGTERM comes: the body of the hidden subcommand
/// `embedded-database`.
///
/// Speaks to its parent in lines on standard output: `ready <url>` once, `failed <reason>` where it cannot go on.
pub async fn supervise(data_dir: &Path) -> anyhow::Result<()> {
    let outcome = run(data_dir).await;
    if let Err(error) = &outcome {
        report(&format!("failed {}", format!("{error:#}").replace('\n', " ")));
    }
    outcome
}

async fn run(data_dir: &Path) -> anyhow::Result<()> {
    // The programs' own download speaks TLS; a second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let parent_gone = watch_stdin();
    // A start is never broken off, even if the parent goes meanwhile: it ends in a cluster that can be stopped well.
    let cluster = Cluster::open(&super::home_in(data_dir)).await?;
    let mut postmaster = cluster.start().await?;
    cluster.set_serving(true)?;
    report(&format!("ready {}", postmaster.url));
    let ended = tokio::select! {
        _ = parent_gone => None,
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        description = postmaster.ended() => Some(description),
    };
    cluster.set_serving(false)?;
    match ended {
        Some(description) => anyhow::bail!(description),
        None => postmaster.stop().await.map(drop),
    }
}

/// Resolves at the end of standard input. A thread of its own reads it, since a blocked read in the runtime's pool would
/// keep the process from ending.
fn watch_stdin() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        let mut stdin = std::io::stdin().lock();
        while stdin.read(&mut buffer).is_ok_and(|count| count > 0) {}
        // The receiver is gone when the supervisor ends for another reason.
        let _ = sender.send(());
    });
    receiver
}

/// Tells the parent; a parent that is gone needs no telling.
fn report(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
