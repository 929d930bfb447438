//! Checks of what callers send, all faults at once.

use crate::domain::problem::{FieldError, Problem};

/// Collects what is wrong with the fields of a request.
#[derive(Default)]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes a fault of `field`.
    pub fn add(&mut self, field: &'static str, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), code, detail: detail.into() });
    }

    /// Checks that a text has `min` to `max` characters.
    pub fn check_length(&mut self, field: &'static str, text: &str, min: usize, max: usize) {
        let length = text.chars().count();
        if length < min && text.trim().is_empty() {
            self.add(field, "required", "Must not be empty.");
        } else if length < min {
            self.add(field, "too_short", format!("Must have at least {min} characters."));
        } else if length > max {
            self.add(field, "too_long", format!("Must have at most {max} characters."));
        }
    }

    /// The problem of the faults that were noted.
    pub fn into_problem(self) -> Problem {
        Problem::invalid(self.0)
    }

    /// The problem, if any fault was noted.
    pub fn into_result(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_problem()) }
    }
}
