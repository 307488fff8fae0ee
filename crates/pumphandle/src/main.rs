//! The program: reads a command line and a configuration, and does what they say.
//!
//! Roles are in `roles`, a file each; what turns them is in `runtime`; one-off commands are in
//! `commands`.

mod cli;
mod commands;
mod config;
mod logging;
mod monitor;
mod near;
mod printer;
mod roles;
mod runtime;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod soak;
mod start_link;
mod tokens;
mod whole;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// glibc's allocator leaves memory that was freed by other threads unused: see Cargo.toml.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What this program is: the release, and the revision it was built of where that is known.
pub(crate) const RELEASE: &str = env!("PUMPHANDLE_RELEASE");

/// Bad usage or configuration (sysexits.h).
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let bad = error.use_stderr();
            let rendered = error.render().to_string();
            match record::diagnostic::shorten_quotes(&rendered, '\'') {
                // Where help can't be written there is nobody to read it.
                std::borrow::Cow::Owned(shorter) if bad && shorter != rendered => {
                    drop(write!(std::io::stderr(), "{shorter}"))
                }
                _ => drop(error.print()),
            }
            return if bad { ExitCode::from(EX_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.code()
        }
    }
}
