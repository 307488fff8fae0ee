//! Whole tables: exports, streamed as they are read.

use std::io::{self, Write};

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use futures_util::stream;
use tokio::sync::mpsc;
use warehouse::{Export, Format, Reading, Table, WarehouseError};

use super::{Answer, Asked};
use crate::problem::Problem;

/// Pieces that wait for a slow reader; the table is read no faster.
const PIECES_WAITING: usize = 4;
const PIECE_BYTES: usize = 64 << 10;

/// `GET /api/v1/export/{table}?from=&to=&format=csv|ndjson`: a table or view; in CSV, text that strangers typed can't be run by a spreadsheet.
pub(crate) async fn export(asked: Asked) -> Answer {
    let table = asked.path.clone().unwrap_or_default();
    let Some(known) = Table::named(&table) else {
        let names: Vec<&str> = warehouse::TABLES.iter().map(|table| table.name).collect();
        return Err(Problem::not_found(format!("there is no table of this name; there are {}", names.join(", "))));
    };
    let (format, kind, ending) = match asked.text("format").as_deref() {
        None | Some("csv") => (Format::Csv, "text/csv; charset=utf-8", "csv"),
        Some("ndjson") => (Format::Ndjson, "application/x-ndjson", "ndjson"),
        Some(_) => return Err(Problem::bad_request("`format` is `csv` or `ndjson`")),
    };
    let export = Export { table, from: asked.instant("from")?, to: asked.instant("to")?, format };
    let (sender, receiver) = mpsc::channel::<Result<Bytes, io::Error>>(PIECES_WAITING);
    let warehouse = asked.room.web.warehouse.clone();
    tokio::task::spawn_blocking(move || write(&*warehouse, &export, sender));
    let pieces = stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|piece| (piece, receiver)));
    let name = format!("attachment; filename=\"{}.{ending}\"", known.name);
    let head = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name.as_str()), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::OK, head, Body::from_stream(pieces)).into_response())
}

fn write(warehouse: &dyn Reading, export: &Export, sender: mpsc::Sender<Result<Bytes, io::Error>>) {
    let mut pieces = Pieces { sender, piece: Vec::with_capacity(PIECE_BYTES) };
    let written = warehouse.export(export, &mut pieces).map_err(|error: WarehouseError| io::Error::other(error.to_string()));
    let ended = written.and_then(|_| pieces.flush());
    if let Err(error) = ended {
        // Whoever reads sees that it was cut short; if nobody reads any more, nobody need know.
        let _ = pieces.sender.blocking_send(Err(error));
    }
}

struct Pieces {
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
