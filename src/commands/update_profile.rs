//! Changes what an account says of its owner.

use std::sync::Arc;

use super::register_user::{check_email, check_names, email_taken};
use super::validation::Faults;
use crate::domain::account::{ProfileChange, User};
use crate::domain::ids::UserId;
use crate::domain::problem::Problem;
use crate::ports::accounts::{Accounts, RegisterError};
use crate::ports::clock::Clock;

/// What is to change, as it came; what is `None` stays.
#[derive(Debug, Default)]
pub struct ProfileUpdate {
    /// The mail address.
    pub email: Option<String>,
    /// May be empty.
    pub first_name: Option<String>,
    /// May be empty.
    pub last_name: Option<String>,
}

/// The command.
pub struct UpdateProfile {
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Dates the change.
    pub clock: Arc<dyn Clock>,
}

impl UpdateProfile {
    /// Checks all fields, then changes the account of whoever asks; returns it as it is now.
    pub async fn run(&self, user: UserId, update: ProfileUpdate) -> Result<User, Problem> {
        let change = checked(update)?;
        let updated = if change == ProfileChange::default() {
            self.accounts.user(user).await?
        } else {
            let updated = self.accounts.update_profile(user, &change, self.clock.now()).await;
            updated.map_err(|error| match error {
                // Only the address can be in the way: the name does not change.
                RegisterError::EmailTaken | RegisterError::UsernameTaken => email_taken(),
                RegisterError::Store(error) => error.into(),
            })?
        };
        // The account was deleted after the session was read.
        updated.ok_or_else(Problem::unauthorized)
    }
}

fn checked(update: ProfileUpdate) -> Result<ProfileChange, Problem> {
    let email = update.email.map(|email| email.trim().to_lowercase());
    let mut faults = Faults::default();
    if let Some(email) = &email {
        check_email(&mut faults, email);
    }
    let text = |name: &Option<String>| name.clone().unwrap_or_default();
    check_names(&mut faults, &text(&update.first_name), &text(&update.last_name));
    faults.into_result()?;
    let trimmed = |name: String| name.trim().to_owned();
    Ok(ProfileChange {
        email,
        first_name: update.first_name.map(trimmed),
        last_name: update.last_name.map(trimmed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays_and_what_is_given_is_trimmed() {
        let update = ProfileUpdate {
            email: Some(" Ada@Example.ORG ".into()),
            first_name: Some(" Ada ".into()),
            last_name: None,
        };
        let change = checked(update).unwrap();
        assert_eq!(change.email.as_deref(), Some("ada@example.org"));
        assert_eq!(change.first_name.as_deref(), Some("Ada"));
        assert_eq!(change.last_name, None);
        assert_eq!(checked(ProfileUpdate::default()).unwrap(), ProfileChange::default());
    }

    #[test]
    fn every_wrong_field_is_reported_at_once() {
        let long = || Some("x".repeat(51));
        let wrong =
            ProfileUpdate { email: Some(String::new()), first_name: long(), last_name: long() };
        let problem = checked(wrong).unwrap_err();
        let fields: Vec<_> = problem.errors.iter().map(|e| (e.field.as_ref(), e.code)).collect();
        let expected =
            [("email", "required"), ("first_name", "too_long"), ("last_name", "too_long")];
        assert_eq!(fields, expected);
    }
}
