//! Deletion of records by position (DeleteRecords), and the positions that an age represents.
//!
//! Brokers delete by `retention.ms` alone, which is the hard age; the caller, which knows what is
//! still needed deletes earlier through this.

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::KafkaJournal;
use super::client::Shared;
use super::migration::wait_for;
use crate::{Deleted, Journal, JournalError, Position, Stream};

/// The first position of each partition that was appended at or after an instant, by the brokers'
/// clocks.
pub(super) fn positions_at(
    journal: &KafkaJournal,
    stream: Stream,
    at: u64,
) -> Result<Vec<Position>, JournalError> {
    let topic = journal.settings.topic(stream);
    let failed = |error| {
        journal.trouble.failed(
            &format!("ask for positions by time of `{topic}`"),
            Some(stream),
            error,
        )
    };
    let context = Shared(std::sync::Arc::clone(&journal.trouble));
    // It fetches nothing: it is assigned no partition.
    let consumer: BaseConsumer<Shared> = journal
        .settings
        .reader(1024)
        .create_with_context(context)
        .map_err(|error| journal.trouble.misset(error))?;
    let partitions = journal.partitions(stream);
    let millis = i64::try_from(at.saturating_mul(1000)).unwrap_or(i64::MAX);
    let mut requested = TopicPartitionList::with_capacity(partitions as usize);
    for partition in 0..partitions {
        requested
            .add_partition_offset(&topic, partition.cast_signed(), Offset::Offset(millis))
            .map_err(failed)?;
    }
    let found =
        consumer.offsets_for_times(requested, journal.settings.request_timeout).map_err(failed)?;
    (0..partitions)
        .map(|partition| {
            let extent = journal.extent(stream, partition)?;
            let element = found.find_partition(&topic, partition.cast_signed());
            if let Some(Err(error)) =
                element.as_ref().map(rdkafka::topic_partition_list::TopicPartitionListElem::error)
            {
                return Err(failed(error));
            }
            Ok(match element.map(|element| element.offset()) {
                Some(Offset::Offset(offset)) => Position::try_from(offset)
                    .unwrap_or(extent.start)
                    .clamp(extent.start, extent.end),
                // Nothing was appended since.
                Some(Offset::End) => extent.end,
                _ => extent.start,
            })
        })
        .collect()
}

/// Deletes what is before these positions.
pub(super) fn delete_before(
    journal: &KafkaJournal,
    stream: Stream,
    positions: &[Position],
) -> Result<Deleted, JournalError> {
    let topic = journal.settings.topic(stream);
    let failed = |error| {
        journal.trouble.failed(&format!("delete records of `{topic}`"), Some(stream), error)
    };
    let mut list = TopicPartitionList::new();
    let mut deleted = Deleted::default();
    for (partition, position) in (0u32..).zip(positions) {
        let extent = journal.extent(stream, partition)?;
        let until = (*position).min(extent.end);
        if until > extent.start {
            deleted.records += until - extent.start;
            list.add_partition_offset(
                &topic,
                partition.cast_signed(),
                Offset::Offset(until.cast_signed()),
            )
            .map_err(failed)?;
        }
    }
    if deleted.records == 0 {
        return Ok(deleted);
    }
    let admin: AdminClient<Shared> = journal
        .settings
        .admin()
        .create_with_context(Shared(std::sync::Arc::clone(&journal.trouble)))
        .map_err(|error| journal.trouble.misset(error))?;
    let timeout = Some(journal.settings.request_timeout);
    let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
    let results = wait_for(admin.delete_records(&list, &options)).map_err(failed)?;
    let errors: Vec<KafkaError> =
        results.elements().into_iter().filter_map(|element| element.error().err()).collect();
    errors.into_iter().next().map_or(Ok(deleted), |error| Err(failed(error)))
}
