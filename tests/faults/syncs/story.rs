//! What people do in a case: they start a sync, and press Retry until everything has arrived that can.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail, ensure};

use crate::judge;
use crate::plan::System;
use crate::stage::Stage;

/// Attempts that people make: fewer than a sync has.
const ROUNDS: usize = 9;

/// Plays a case to its end. Whenever nothing is under way, everything is looked at.
pub async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.begin().await?;
    let mut in_vain = 0;
    for round in 0..ROUNDS {
        stage.quiet().await.with_context(|| format!("after {round} retries"))?;
        let shown = judge::between(stage).await.with_context(|| format!("after {round} retries"))?;
        let open: BTreeSet<usize> = shown.open(stage).collect();
        if open.is_empty() {
            return judge::at_the_end(stage).await.context("at the end");
        }
        if round == 0 {
            let undelivered = (0..stage.claims.len()).filter(|index| !shown.is_delivered(stage, *index)).collect();
            stage.correct(&undelivered).await?;
        }
        let unknown = shown.unknown();
        if stage.plan.system.is_asked() {
            // Whoever presses Retry at once asks too early, and learns only what has arrived.
            if round > 0 && !unknown.is_empty() {
                stage.settle().await;
            }
        } else if stage.plan.system != System::Keyed || round > 1 {
            // A system that recognises a repetition is asked by one first; what that leaves in doubt, a person looks up.
            stage.decide(&unknown).await?;
        }
        in_vain = if stage.press(stage.plan.syncs_beside).await? { 0 } else { in_vain + 1 };
        ensure!(in_vain < 2, "there is nothing to retry, though {} records have not arrived: {open:?}", open.len());
    }
    bail!("not everything has arrived after {ROUNDS} attempts")
}
