//! `cargo xtask db`: what the tests of the `tests` package need, for running one of them by hand.

use anyhow::Result;

use crate::interrupt;
use crate::place::Place;
use crate::postgres::Throwaway;
use crate::testing;
use crate::tools;

/// Runs a throwaway PostgreSQL until Ctrl-C, and prints what to set.
pub fn run() -> Result<()> {
    let place = Place::find()?;
    let (mut database, environment) = {
        let _alone = tools::lock(&place)?;
        let database = Throwaway::start(&place)?;
        let mut environment = testing::environment(&place, &database)?;
        environment.extend(testing::contract_environment(&place)?);
        (database, environment)
    };
    println!("Set this in another terminal, then run e.g. `cargo test -p tests --test api`:");
    for (name, value) in environment {
        println!("export {name}='{}'", value.display());
    }
    println!("Ctrl-C stops the database and removes it.");
    let outcome = interrupt::wait(|| database.check());
    database.stop()?;
    outcome
}
