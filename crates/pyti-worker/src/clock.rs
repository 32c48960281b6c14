//! The wall clock, as text.

/// Now, RFC 3339 in UTC, to the microsecond: runs of the same second keep their order.
pub fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_has_always_six_digits_and_so_sorts_as_text() {
        let now = super::now();
        assert_eq!(now.len(), "2026-11-24T21:59:59.000000Z".len(), "{now}");
        assert!(now.ends_with('Z'));
    }
}
