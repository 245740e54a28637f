//! The embedded database alone: `embedded_db DIRECTORY` runs it until standard input ends, and says so in lines.

use std::path::Path;

use anyhow::Context;
use server::embedded::{EmbeddedDatabase, SUBCOMMAND, supervise};
use tokio::io::{AsyncReadExt, stdin};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [SUBCOMMAND, "--data-dir", directory] => supervise(Path::new(directory)).await,
        [directory] => run(Path::new(directory)).await,
        _ => anyhow::bail!("usage: embedded_db DIRECTORY"),
    }
}

async fn run(directory: &Path) -> anyhow::Result<()> {
    let mut database = EmbeddedDatabase::start(directory).await.context("no database")?;
    println!("ready {}", database.superuser_url());
    let mut rest = Vec::new();
    let mut input = stdin();
    tokio::select! {
        () = database.exited() => {
            println!("exited");
            std::process::exit(3);
        }
        read = input.read_to_end(&mut rest) => { read?; }
    }
    database.stop().await?;
    println!("stopped");
    Ok(())
}
