//! `klamm man`: the manual pages, one a command.

use std::path::PathBuf;

use clap::{Args, Command};

use super::error::{CliError, Result};
use super::output::note;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm man /usr/local/share/man/man1
  klamm man pages && man pages/klamm-topic-create.1")]
pub struct ManArgs {
    /// Directory that gets the pages; it is made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub fn run(args: ManArgs, klamm: Command) -> Result {
    std::fs::create_dir_all(&args.dir).map_err(CliError::file("create", &args.dir))?;
    clap_mangen::generate_to(klamm, &args.dir).map_err(CliError::file("write manual pages to", &args.dir))?;
    note(format!("Wrote the manual pages to {}; 'man {}/klamm.1' shows the first.", args.dir.display(), args.dir.display()));
    Ok(())
}
