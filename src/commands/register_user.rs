//! Registers an account.

use std::sync::Arc;

use super::passwords::Passwords;
use super::validation::Faults;
use crate::domain::account::{NewUser, User};
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::accounts::{Accounts, RegisterError};
use crate::ports::clock::Clock;

/// What a new user says about themselves, as it came.
#[derive(Debug, Default)]
pub struct Registration {
    /// The mail address.
    pub email: String,
    /// The name in mentions and addresses.
    pub username: String,
    /// In clear.
    pub password: String,
    /// Empty if not given.
    pub first_name: String,
    /// Empty if not given.
    pub last_name: String,
}

/// The command.
pub struct RegisterUser {
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Hashes the password.
    pub passwords: Arc<Passwords>,
    /// Dates the account.
    pub clock: Arc<dyn Clock>,
}

impl RegisterUser {
    /// Checks all fields, then registers.
    pub async fn run(&self, registration: Registration) -> Result<User, Problem> {
        let email = registration.email.trim().to_lowercase();
        validate(&email, &registration)?;
        let password_hash = self.passwords.hash(registration.password).await?;
        let user = NewUser {
            email,
            username: registration.username,
            password_hash,
            first_name: registration.first_name.trim().to_owned(),
            last_name: registration.last_name.trim().to_owned(),
            created_at: self.clock.now(),
        };
        self.accounts.register(&user).await.map_err(|error| match error {
            RegisterError::EmailTaken => email_taken(),
            RegisterError::UsernameTaken => {
                let detail = "An account has this user name.";
                Problem::new(ProblemKind::Conflict, "username_taken", detail)
            }
            RegisterError::Store(error) => error.into(),
        })
    }
}

/// 409: the address belongs to another account.
pub(super) fn email_taken() -> Problem {
    let detail = "An account has this email address.";
    Problem::new(ProblemKind::Conflict, "email_taken", detail)
}

fn validate(email: &str, registration: &Registration) -> Result<(), Problem> {
    let mut faults = Faults::default();
    check_email(&mut faults, email);
    faults.check_length("username", &registration.username, 3, 50);
    let permitted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !registration.username.chars().all(permitted) {
        faults.add(
            "username",
            "invalid_characters",
            "Letters a to z, digits, '_', '-' and '.' are permitted.",
        );
    }
    check_password(&mut faults, "password", &registration.password);
    check_names(&mut faults, &registration.first_name, &registration.last_name);
    faults.into_result()
}

/// Checks an address that was trimmed already.
pub(super) fn check_email(faults: &mut Faults, email: &str) {
    if email.is_empty() {
        faults.add("email", "required", "Must not be empty.");
    } else if !is_email(email) {
        faults.add("email", "invalid_email", "Must be an email address of at most 255 characters.");
    }
}

/// Checks a password that is to be set.
pub(super) fn check_password(faults: &mut Faults, field: &'static str, password: &str) {
    faults.check_length(field, password, 8, 256);
}

/// Checks the names of a person, which may be empty.
pub(super) fn check_names(faults: &mut Faults, first_name: &str, last_name: &str) {
    faults.check_length("first_name", first_name, 0, 50);
    faults.check_length("last_name", last_name, 0, 50);
}

/// Whether a text looks like an address: one `@`, a local part, and a domain
/// with a dot. Only a mail that arrives proves more.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let plain = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    let dotted = domain.split('.').count() > 1 && domain.split('.').all(|label| !label.is_empty());
    text.len() <= 255 && plain(local) && plain(domain) && dotted && !domain.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_texts() {
        for good in ["ada@example.org", "a.b+c@sub.example.co"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@localhost",
            "a b@example.org",
            "a@b@example.org",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn every_wrong_field_is_reported_at_once() {
        let wrong =
            Registration { email: "x".into(), username: "a b".into(), ..Registration::default() };
        let problem = validate("x", &wrong).unwrap_err();
        let fields: Vec<_> = problem.errors.iter().map(|e| (e.field.as_ref(), e.code)).collect();
        assert_eq!(
            fields,
            [
                ("email", "invalid_email"),
                ("username", "invalid_characters"),
                ("password", "required")
            ]
        );
    }
}
