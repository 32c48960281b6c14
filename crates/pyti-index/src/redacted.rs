use std::fmt;

use url::Url;

/// An address that is shown without its credentials and without its query, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub struct RedactedUrl(Url);

impl RedactedUrl {
    /// Wraps an address for showing.
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// The address itself, with its credentials: for requests only.
    pub fn secret(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        // both only fail for addresses that cannot have credentials
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_query(None);
        shown.set_fragment(None);
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denied_credentials_are_not_shown() {
        let url =
            RedactedUrl::new(Url::parse("https://user:secret@example.invalid/simple/?token=x").unwrap());
        assert_eq!(url.to_string(), "https://example.invalid/simple/");
        assert!(!format!("{url:?}").contains("secret"));
    }

    #[test]
    fn allowed_plain_addresses_are_shown_whole() {
        let url = RedactedUrl::new(Url::parse("http://127.0.0.1:8080/simple/").unwrap());
        assert_eq!(url.to_string(), "http://127.0.0.1:8080/simple/");
    }
}
