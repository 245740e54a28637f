//! Has the crate built anew when a migration is added: `sqlx::migrate!` takes in those that it finds while it is compiled.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
