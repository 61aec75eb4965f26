//! `klamm completion`: what a shell needs to complete klamm's commands and flags.

use clap::{Args, Command};
use clap_complete::Shell;

use super::error::Result;
use super::output::print;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm completion bash > /etc/bash_completion.d/klamm
  klamm completion zsh > \"${fpath[1]}/_klamm\"
  klamm completion fish > ~/.config/fish/completions/klamm.fish
  source <(klamm completion bash)                              # for this shell only")]
pub struct CompletionArgs {
    /// Shell that is to complete
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: CompletionArgs, mut klamm: Command) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut klamm, "klamm", &mut script);
    print(&String::from_utf8_lossy(&script))
}
