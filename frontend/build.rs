//! Turns `locales/*.json` into Rust, so that a missing translation is a build error and not a surprise on screen.

use std::error::Error;
use std::path::PathBuf;

use leptos_i18n_build::options::CodegenOptions;
use leptos_i18n_build::{Config, ParseOptions, TranslationsInfos};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-changed=locales");
    let config = Config::new("en")?
        .add_locale("nb")?
        .add_locale("nn")?
        .parse_options(ParseOptions::new().interpolate_display(true));
    let translations = TranslationsInfos::parse(config)?;
    translations.emit_diagnostics();
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("i18n");
    let attributes = "#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::allow_attributes, clippy::expect_used, clippy::unwrap_used)]";
    let options = CodegenOptions::new().top_level_attributes(Some(attributes.parse()?)).gen_docs(false);
    translations.generate_i18n_module_with_options(out, options)?;
    Ok(())
}
