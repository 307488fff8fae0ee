//! A running file feed: sends its lines as messages.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use record::RejectReason;
use record::time::Micros;

use super::{Content, Cursor, FileError, FileReader, FileSettings};
use crate::cursor;
use crate::intake::Intake;
use crate::line::Rejected;
use crate::message::Message;
use crate::running::{Feed, Stopping};

/// Lines read at a time.
const BATCH_LINES: usize = 1024;
/// How long until a followed file is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Reads files in a thread of its own, from the start or from a cursor.
///
/// `clock` is ours, for files that grow as things happen; a file that is over has none.
pub fn start(
    feed: &str,
    settings: FileSettings,
    from: Option<&Cursor>,
    intake: Intake,
    queue: usize,
    clock: fn() -> Micros,
) -> Result<Feed, FileError> {
    let follow = settings.follow;
    let reader = FileReader::open(settings, from)?;
    let clock = follow.then_some(clock);
    let name = feed.to_owned();
    Feed::spawn(feed, queue, move |sender, stopping| {
        run(&name, reader, intake, clock, &sender, &stopping)
    })
    .map_err(|source| FileError::Open { file: feed.to_owned(), source })
}

fn run(
    feed: &str,
    mut reader: FileReader,
    mut intake: Intake,
    clock: Option<fn() -> Micros>,
    sender: &SyncSender<Message>,
    stopping: &Stopping,
) {
    while !stopping.is_requested() {
        let batch = match reader.next_batch(BATCH_LINES) {
            Ok(Some(batch)) => batch,
            Ok(None) => {
                let _ = sender.send(Message::Ended);
                return;
            }
            Err(error) => {
                if sender.send(Message::Failed { why: with_cause(&error) }).is_err() {
                    return;
                }
                continue;
            }
        };
        if batch.is_empty() {
            std::thread::park_timeout(LOOK_EVERY);
        }
        for line in batch.lines() {
            let read = match &line.content {
                Content::Bytes(bytes) => intake.read(bytes, clock.map(|clock| clock())),
                Content::TooLong { .. } => {
                    Err(Rejected::new(RejectReason::Length, "longer than the bound"))
                }
            };
            let cursor = cursor::Cursor::File(line.cursor());
            let message = match read {
                Ok(outcome) => Message::Line { outcome, cursor },
                Err(rejected) => Message::Reject { reject: line.reject(feed, &rejected), cursor },
            };
            if sender.send(message).is_err() || stopping.is_requested() {
                return;
            }
        }
    }
}

fn with_cause(error: &FileError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
