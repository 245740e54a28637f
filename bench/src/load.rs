//! Callers that call as fast as they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use sqlx::PgConnection;
use tokio::task::JoinSet;

/// Lets callers call for some seconds, and returns how many calls were answered in a second. Calls are numbered, so that
/// neighbours differ.
pub async fn rate<F>(callers: usize, seconds: usize, call: impl Fn(usize) -> F + Clone + Send + 'static) -> Result<f64>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let done = Arc::new(AtomicU32::new(0));
    let begun = Instant::now();
    let length = Duration::from_secs(u64::try_from(seconds)?);
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (call, done) = (call.clone(), Arc::clone(&done));
        tasks.spawn(async move {
            for number in (caller..).step_by(callers) {
                call(number).await?;
                if begun.elapsed() >= length {
                    break;
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(f64::from(done.load(Ordering::Relaxed)) / length.as_secs_f64())
}

/// Waits until the server has published all events and sealed all syncs, those of pgbench too, and starts the next round
/// with a checkpoint behind it.
pub async fn settle(owner: &mut PgConnection) -> Result<()> {
    let waits = "SELECT EXISTS (SELECT FROM events WHERE seq IS NULL) OR EXISTS (SELECT FROM seal_queue)";
    while sqlx::query_scalar(waits).fetch_one(&mut *owner).await? {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sqlx::query("CHECKPOINT").execute(owner).await?;
    Ok(())
}
