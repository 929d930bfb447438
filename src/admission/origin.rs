//! Which web pages may open a connection (RFC 6454).

/// Whether a page at `origin` may connect to a server that was addressed as
/// `host`. Programs that are no browsers send no origin.
pub fn is_allowed(origin: Option<&str>, host: Option<&str>, allowed: &[String]) -> bool {
    let Some(origin) = origin else { return true };
    let same_host = || {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority
            .is_some_and(|authority| host.is_some_and(|host| authority.eq_ignore_ascii_case(host)))
    };
    let listed = |entry: &String| entry == "*" || entry.eq_ignore_ascii_case(origin);
    same_host() || allowed.iter().any(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_same_and_listed_origins_may_connect() {
        let listed = ["https://app.example.org".to_owned()];
        assert!(is_allowed(None, Some("hub:8000"), &[]));
        assert!(is_allowed(Some("http://hub:8000"), Some("hub:8000"), &[]));
        assert!(is_allowed(Some("https://APP.example.org"), Some("hub:8000"), &listed));
        assert!(is_allowed(Some("https://evil.example"), Some("hub:8000"), &["*".to_owned()]));
    }

    #[test]
    fn other_origins_may_not() {
        let listed = ["https://app.example.org".to_owned()];
        for other in
            ["https://evil.example", "http://app.example.org", "http://hub:8001", "null", ""]
        {
            assert!(!is_allowed(Some(other), Some("hub:8000"), &listed), "{other}");
        }
        assert!(!is_allowed(Some("http://hub:8000"), None, &[]));
    }
}
