//! `token`: who may see and do what by page and API.

use std::io::{BufWriter, Write, stdout};

use web::Role;

use super::Failure;
use crate::cli::TokenCommand;
use crate::config::Config;
use crate::roles::{self, page};
use crate::{start_link, tokens};

pub(crate) fn run(config: &Config, command: &TokenCommand) -> Result<(), Failure> {
    let file = tokens::file(&config.journal.data);
    let mut out = BufWriter::new(stdout().lock());
    match command {
        TokenCommand::Create { name, role } => {
            let Some(role) = Role::parse(role).filter(|role| *role != Role::Public) else {
                let names: Vec<&str> = Role::ALL.iter().skip(1).map(|role| role.name()).collect();
                return Err(Failure::usage(
                    format!("unknown role `{role}`"),
                    format!("roles are {}", names.join(", ")),
                ));
            };
            let made = record::time::display(roles::now());
            let token = tokens::create(&file, name, role, made.get(..10).unwrap_or_default())?;
            tracing::info!(name, role = role.name(), "created a token; it is printed only once");
            writeln!(out, "{token}")?;
        }
        TokenCommand::List => {
            for token in tokens::read(&file)? {
                writeln!(out, "{}\t{}\t{}", token.name, token.role, token.made)?;
            }
        }
        TokenCommand::Link => {
            let link = start_link::file(&config.journal.data);
            writeln!(
                out,
                "{}",
                start_link::make(
                    &link,
                    &page::address_of(config, config.web.listen),
                    roles::now()
                )?
            )?;
        }
        TokenCommand::Revoke { name } => {
            tokens::revoke(&file, name)?;
            tracing::info!(name, "revoked");
        }
    }
    out.flush()?;
    Ok(())
}
