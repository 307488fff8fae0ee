//! `export`: a table or view of the warehouse, sorted, to standard output.

use std::io::{BufWriter, Write, stdout};
use std::sync::Arc;

use record::Micros;
use warehouse::{Export, Format, Local, Reading, WarehouseError};

use super::Failure;
use crate::cli;
use crate::config::{Config, WarehouseKind};
use crate::roles::stores;

/// The warehouse, to read; the embedded one beside a running program or without one.
pub(crate) fn open(config: &Config) -> Result<Arc<dyn Reading>, Failure> {
    if config.warehouse.kind == WarehouseKind::ClickHouse {
        return Ok(stores::warehouse(config)?);
    }
    let file = config.journal.data.join(crate::roles::WAREHOUSE_FILE);
    if !file.exists() {
        let message = format!("no warehouse in `{}`", config.journal.data.display());
        return Err(Failure::usage(
            message,
            "run `pumphandle run` first, or set the data folder: `--set journal.data=FOLDER`",
        ));
    }
    Ok(Arc::new(Local::open_to_read(&file)?))
}

pub(crate) fn run(config: &Config, args: &cli::Export) -> Result<(), Failure> {
    let format = match args.format.as_str() {
        "csv" => Format::Csv,
        "ndjson" => Format::Ndjson,
        other => {
            return Err(Failure::usage(format!("unknown format `{other}`"), "`csv` or `ndjson`"));
        }
    };
    let export = Export {
        table: args.table.clone(),
        from: instant("--from", &args.from)?,
        to: instant("--to", &args.to)?,
        format,
    };
    let warehouse = open(config)?;
    let mut out = BufWriter::with_capacity(1 << 16, stdout().lock());
    match warehouse.export(&export, &mut out) {
        Ok(_) => {}
        Err(error @ WarehouseError::UnknownTable { .. }) => {
            return Err(Failure::usage(error.to_string(), String::new()));
        }
        Err(error) => return Err(error.into()),
    }
    out.flush()?;
    Ok(())
}

/// A date is its midnight in UTC.
pub(super) fn instant(option: &str, written: &Option<String>) -> Result<Option<Micros>, Failure> {
    let Some(text) = written else { return Ok(None) };
    record::time::parse_or_date(text).map(Some).map_err(|error| {
        Failure::usage(
            format!("`{option} {text}`: {error}"),
            "write 2026-01-05, 2026-01-05T09:00:00Z or unix seconds",
        )
    })
}
