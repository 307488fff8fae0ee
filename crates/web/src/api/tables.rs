//! Whole tables: exports, written to a file while they are read and sent from there.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use warehouse::{Export, Format, Table, WarehouseError};

use super::{Answer, Call};
use crate::problem::Problem;
use crate::spool::{self, Spool};

/// How long the query of an export may take.
const EXPORT_MAX: Duration = Duration::from_secs(600);

/// `GET /api/v1/export/{table}?from=&to=&format=csv|ndjson`: a table or view; in CSV, text that
/// strangers typed can't be run by a spreadsheet.
pub(crate) async fn export(call: Call) -> Answer {
    let table = call.path.clone().unwrap_or_default();
    let Some(known) = Table::named(&table) else {
        let names: Vec<&str> = warehouse::TABLES.iter().map(|table| table.name).collect();
        return Err(Problem::not_found(format!(
            "there is no table of this name; there are {}",
            names.join(", ")
        )));
    };
    let (format, kind, ending) = match call.text("format").as_deref() {
        Some("ndjson") => (Format::Ndjson, "application/x-ndjson", "ndjson"),
        _ => (Format::Csv, "text/csv; charset=utf-8", "csv"),
    };
    let export = Export { table, from: call.instant("from")?, to: call.instant("to")?, format };
    let busy = || Problem::busy("too many exports at once, try again");
    let permit = call.room.exports.clone().try_acquire_owned().map_err(|_| busy())?;
    let folder = call.room.web.spool.clone();
    let written = call.room.ask_within(EXPORT_MAX, move |warehouse| {
        let mut spool = Spool::new(&folder)?;
        match warehouse.export(&export, &mut spool) {
            Ok(_) => Ok(Some(spool)),
            Err(WarehouseError::Output(error))
                if error.kind() == std::io::ErrorKind::FileTooLarge =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    });
    let Some(spool) = written.await? else {
        let detail = format!(
            "the table is longer than {} GiB; `from` and `to` make it shorter",
            spool::BYTES_MAX >> 30
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    };
    let length = spool.length().to_string();
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the table can't be sent");
    let body = spool.into_body(permit).map_err(failed)?;
    let name = format!("attachment; filename=\"{}.{ending}\"", known.name);
    let head = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_LENGTH, &length),
        (header::CONTENT_DISPOSITION, name.as_str()),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((StatusCode::OK, head, body).into_response())
}
