//! Changing master keys: everything is sealed anew with the current one, beside running servers.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use crate::config::Config;
use crate::reseal::{Resealed, reseal_all, standing};

/// Seals everything anew, and says which keys are still needed; ends with status 1 if one is beside the current one.
pub(super) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let vault = config.vault()?;
    let database = super::connect(config).await?;
    ensure!(store::migrate::is_current(&database).await?, "the database's schema is another program's");
    let bar = std::io::stderr().is_terminal();
    let told = |done: Resealed| {
        if bar {
            eprint!("\r{} sealed anew ", done.replaced);
        }
    };
    let done = reseal_all(&database, &vault, told).await.context("sealing anew")?;
    if bar {
        eprint!("\r\x1b[K");
    }
    let standing = standing(&database).await.context("counting what each key has sealed")?;
    database.close().await;
    let (current, known) = (vault.current_key_id(), vault.key_ids());
    println!("{} sealed anew with the master key {current}", done.replaced);
    let mut code = ExitCode::SUCCESS;
    for (key_id, number) in standing.iter().filter(|(key_id, _)| *key_id != current) {
        code = ExitCode::FAILURE;
        if known.contains(&key_id.as_str()) {
            println!("the master key {key_id} is still needed: {number} are sealed with it; run this again");
        } else {
            println!("the master key {key_id} is missing here: {number} are sealed with it and cannot be read");
        }
    }
    for key_id in known.iter().filter(|key_id| **key_id != current && !standing.contains_key(**key_id)) {
        println!("the master key {key_id} is needed no more");
    }
    if done.unreadable > 0 {
        println!("{} could not be opened and stay as they are", done.unreadable);
    }
    Ok(code)
}
