//! `klamm version`: which klamm this is.

use clap::Args;
use serde::Serialize;

use super::error::Result;
use super::output::Format;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm version
  klamm version --output json")]
pub struct VersionArgs {
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    arch: &'static str,
    os: &'static str,
    /// Whether it was compiled with optimization; only such a build is worth measuring.
    optimized: bool,
}

pub fn run(args: VersionArgs) -> Result {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        arch: std::env::consts::ARCH,
        os: std::env::consts::OS,
        optimized: !cfg!(debug_assertions),
    };
    args.format.print(&version, || {
        let Version { version, arch, os, optimized } = &version;
        format!("klamm {version} ({arch} {os}{})\n", if *optimized { "" } else { ", without optimization" })
    })
}
