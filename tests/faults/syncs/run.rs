//! One case: its installation is made, the story is played, and blows fall meanwhile.

use std::convert::Infallible;
use std::path::Path;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;

use crate::cluster::{self, Cluster, Template};
use crate::fleet::Fleet;
use crate::plan::{Blow, Plan};
use crate::proxy::{Asked, Proxy};
use crate::stage::Stage;
use crate::story;
use crate::system::Outside;

/// Runs a case; what broke is the error. The logs of one that failed are kept.
pub async fn run(plan: &Plan, template: &Template) -> anyhow::Result<()> {
    let directory = cluster::directory()?;
    let outcome = within(plan, template, directory.path()).await;
    if outcome.is_ok() {
        return outcome;
    }
    let kept = directory.keep();
    outcome.with_context(|| format!("logs and database are in {}", kept.display()))
}

async fn within(plan: &Plan, template: &Template, directory: &Path) -> anyhow::Result<()> {
    let mut cluster = Cluster::copy(template, directory).await?;
    let mut fleet = Fleet::start(&cluster, directory, plan.lease).await?;
    let outside = Outside::start(plan.system).await?;
    let (asking, mut asked) = mpsc::unbounded_channel();
    let proxy = Proxy::start(&outside.books.url(""), plan.troubles.clone(), asking).await?;
    let stage = Stage::set(plan, fleet.administrators().await?, outside, proxy, cluster.owner_url()).await?;
    tokio::select! {
        played = story::play(&stage) => played?,
        Err(broken) = blows(&mut asked, &mut cluster, &mut fleet, &stage) => return Err(broken.context("a blow")),
    }
    fleet.runs()?;
    fleet.fits_its_ledger().await?;
    cluster.stop().await
}

/// Lets one blow after the other fall as they are asked for.
async fn blows(
    asked: &mut mpsc::UnboundedReceiver<Asked>,
    cluster: &mut Cluster,
    fleet: &mut Fleet,
    stage: &Stage<'_>,
) -> anyhow::Result<Infallible> {
    while let Some(Asked { blow, fallen }) = asked.recv().await {
        match blow {
            Blow::KillWorker(number) => fleet.kill_workers(&[number]).await?,
            Blow::KillWorkers => fleet.kill_workers(&[0, 1]).await?,
            Blow::KillDatabase => cluster.kill().await?,
            Blow::RestartDatabase => cluster.restart().await?,
            Blow::PressRetry => drop(stage.press(false).await?),
        }
        // The request that the blow fell upon may be nobody's any more.
        let _ = fallen.send(());
    }
    bail!("nobody asks for blows any more")
}
