//! Files that programs keep their data in: small, and real enough to be opened by them.

pub(crate) mod leveldb;
pub(crate) mod sqlite;
