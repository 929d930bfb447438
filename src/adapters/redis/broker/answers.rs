//! What the scripts answer.

use std::time::Duration;

use fred::types::Value;

use crate::domain::publication::{Epoch, StreamPosition};
use crate::ports::StoreError;
use crate::ports::broker::HistoryPage;

use super::{corrupt, wire};

/// Where entries were published.
pub(super) struct Placed {
    /// Names the history of the server's data.
    pub(super) history: String,
    epoch: Epoch,
    offsets: std::vec::IntoIter<Value>,
}

impl Placed {
    /// Reads an answer.
    pub(super) fn read(answer: Value) -> Result<Self, StoreError> {
        let mut parts = answer.into_array().into_iter();
        let (epoch, history) = (epoch(parts.next())?, text(parts.next())?);
        Ok(Self { history, epoch, offsets: parts })
    }

    /// The place of the next entry; none if it was not published.
    pub(super) fn next(&mut self) -> Result<Option<StreamPosition>, StoreError> {
        let offset = number(self.offsets.next())?;
        Ok((offset > 0).then(|| StreamPosition { epoch: self.epoch.clone(), offset }))
    }
}

/// Reads a page, and what names the history of the server's data.
pub(super) fn page(answer: Value) -> Result<(HistoryPage, String), StoreError> {
    let mut parts = answer.into_array().into_iter();
    let top = StreamPosition { epoch: epoch(parts.next())?, offset: number(parts.next())? };
    let (seeded_through, oldest) = (number(parts.next())?, number(parts.next())?);
    let mut publications = Vec::new();
    for entry in parts.next().map(Value::into_array).unwrap_or_default() {
        let mut entry = entry.into_array().into_iter();
        let id = text(entry.next())?;
        let fields = entry.next().map(Value::into_array).unwrap_or_default();
        let [_, event, _, body] = fields.as_slice() else {
            return Err(corrupt(format_args!("the entry {id} has other fields")));
        };
        let (event, body) = (event.as_str(), body.as_str());
        let (Some(event), Some(body)) = (event, body) else {
            return Err(corrupt(format_args!("the entry {id} is no text")));
        };
        publications.push(wire::publication(&id, &event, &body)?);
    }
    let history = text(parts.next())?;
    let age = Duration::from_millis(number(parts.next())?);
    Ok((HistoryPage { top, seeded_through, oldest, publications, age }, history))
}

fn text(value: Option<Value>) -> Result<String, StoreError> {
    value.and_then(Value::into_string).ok_or_else(|| corrupt("a text is missing"))
}

fn number(value: Option<Value>) -> Result<u64, StoreError> {
    text(value)?.parse().map_err(corrupt)
}

fn epoch(value: Option<Value>) -> Result<Epoch, StoreError> {
    let text = text(value)?;
    Epoch::parse(&text).ok_or_else(|| corrupt(format_args!("{text:?} is no epoch")))
}
